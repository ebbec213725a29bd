/**
 * How fast a pool's chips train and serve, by the planner's own models of both, or as measured in the fleet file.
 * Knows: which stack, schedules and engines a platform runs. Does not know: periods, money, faults.
 */
import { calibration } from "../catalog/calibration.ts";
import { inferenceConstants } from "../catalog/inference-constants.ts";
import { constantsFrom } from "../cost/constants.ts";
import { layoutText } from "../spec/layout.ts";
import type { ResolvedPool } from "./fleet.ts";
import type { FleetEstimators, ServingSpeed, TrainingSpeed } from "./fleet-options.ts";
import { searchLayouts } from "./search.ts";
import { planServing } from "./serve.ts";
import { servingQuestion } from "./serve-question.ts";
import { chipFamily } from "./serving-rates.ts";
import { prepareQuestion } from "./train.ts";

type TrainingQuery = Parameters<FleetEstimators["training"]>[0];
type ServingQuery = Parameters<FleetEstimators["serving"]>[0];

/** Estimators that search layouts with the calibrated cost models; figures measured in the file go before them. */
export function plannerEstimators(): FleetEstimators {
  return { training, serving };
}

function training({ job, pool, devices, precision }: TrainingQuery): TrainingSpeed | { reason: string } {
  const measured = pool.measured.trainingTokensPerSecondPerDevice;
  if (measured !== undefined)
    return {
      tokensPerSecond: measured * devices,
      layout: "as measured",
      exposedCommunicationShare: 0.2,
      basis: "measured",
    };
  const prepared = prepareQuestion({
    architecture: job.architecture.architecture(),
    accelerator: pool.chip,
    devices,
    tokens: job.tokens,
    seq: job.seq,
    globalBatch: job.globalBatch,
    precision,
    stack: pool.chip.platform === "ascend" ? "mindspeed" : "megatron-core",
    constants: constantsFrom(calibration.constants),
    // Faults, deadlines and prices are the fleet's affair: only the undisturbed step is asked for.
    deadlineDays: null,
    failuresPerNodeDay: 0,
    dollarsPerDeviceHour: null,
    checkpointBytesPerSecondPerNode: 1e9,
    restartSeconds: 0,
    detectSeconds: 0,
    stepDeviation: 0,
  });
  const { best, rejected } = searchLayouts(prepared, { fixed: { zero: 1 }, schedules: schedulesOf(pool), keep: 0 });
  if (!best) return { reason: `no layout on ${devices} devices: ${Object.keys(rejected)[0] ?? "none is legal"}` };
  const { layout, parts } = best;
  const waiting =
    parts.tensorCommunication +
    parts.contextCommunication +
    parts.expertCommunication +
    parts.pipelineCommunication +
    parts.dataCommunication;
  return {
    tokensPerSecond: (job.globalBatch * job.seq) / best.stepSeconds,
    layout: layoutText(layout),
    exposedCommunicationShare: waiting / best.stepSeconds,
    basis: pool.chip.platform === "ascend" ? "estimate: few published runs on this platform" : "calculated",
  };
}

/** DualPipe has no published implementation on Ascend. */
function schedulesOf({ chip }: ResolvedPool): ("1f1b" | "dualpipe")[] {
  return chip.platform === "ascend" ? ["1f1b"] : ["1f1b", "dualpipe"];
}

/** Devices of one serving unit: experts spread wide, as the published large services do, down to a few nodes. */
const unitDevices = [256, 64, 16] as const;

const engines = { nvidia: ["vllm", "sglang"], ascend: ["vllm-ascend", "mindie", "sglang"], cpu: [] } as const;

/** The fastest of the engines that run on the platform and of the unit sizes. */
function serving({ service, pool }: ServingQuery): ServingSpeed | { reason: string } {
  const measured = pool.measured.outputTokensPerSecondPerDevice;
  if (measured !== undefined) return { outputTokensPerSecondPerDevice: measured, unitDevices: 1, basis: "measured" };
  if (chipFamily(pool.chip) === null || pool.chip.platform === null)
    return { reason: `no published serving run covers ${pool.chip.id}` };
  let best: ServingSpeed | undefined;
  let reason = `no engine serves on ${pool.chip.platform}`;
  for (const engine of engines[pool.chip.platform]) {
    for (const devices of unitDevices) {
      const { question } = servingQuestion({
        architecture: service.architecture.architecture(),
        accelerator: pool.chip.id,
        devices,
        isl: service.inputTokens,
        osl: service.outputTokens,
        ttft: service.ttft,
        tpot: service.tpot,
        engine,
        disaggregate: "auto",
        prefixHit: service.prefixHit,
        mtp: 0,
      });
      const { best: found, rejected } = planServing(question, inferenceConstants);
      const perDevice = (found?.outputTokensPerSecond ?? 0) / devices;
      if (!found) reason = Object.keys(rejected).at(-1) ?? reason;
      else if (perDevice > (best?.outputTokensPerSecondPerDevice ?? 0)) {
        const basis = `${engine}, ${question.format.name}, ${found.mode}`;
        best = { outputTokensPerSecondPerDevice: perDevice, unitDevices: devices, basis };
      }
    }
  }
  return best ?? { reason };
}
