/**
 * Answers one training question for one layout: time, memory, money, energy, failures.
 * Knows: how the cost formulas make an estimate. Does not know: which layouts are worth asking, what is printed.
 */
import type { Accelerator } from "../catalog/accelerators.ts";
import type { Constants, Stack } from "../cost/constants.ts";
import { momentsInHalf, withoutCommunicationCores } from "../cost/deepseek.ts";
import { trainingFlopsPerToken } from "../cost/flops.ts";
import { type Hardware, hardwareFor, type TrainingPrecision } from "../cost/hardware.ts";
import { deviceMemory, fullOptimizerBytes, type MemoryParts, stageMemory } from "../cost/memory.ts";
import { completion, type FailureCosts, goodputClosedForm } from "../cost/reliability.ts";
import { modelShape, type StepSetup } from "../cost/setup.ts";
import { type StepParts, stepSeconds } from "../cost/step.ts";
import type { Architecture } from "../spec/architecture.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { Layout } from "../spec/layout.ts";
import { parameterCounts } from "../spec/parameter-counts.ts";
import { secondsPerDay } from "../spec/quantities.ts";

export interface TrainingQuestion {
  readonly architecture: Architecture;
  readonly accelerator: Accelerator;
  readonly devices: number;
  readonly tokens: number;
  readonly seq: number;
  /** Sequences per step. */
  readonly globalBatch: number;
  readonly precision: TrainingPrecision;
  readonly stack: Stack;
  readonly constants: Constants;
  readonly deadlineDays: number | null;
  readonly failuresPerNodeDay: number;
  readonly dollarsPerDeviceHour: number | null;
  /** Bytes/s that one node writes of a checkpoint, and the seconds of a restart and of noticing that one is needed. */
  readonly checkpointBytesPerSecondPerNode: number;
  readonly restartSeconds: number;
  readonly detectSeconds: number;
  /** Idle nodes beyond `devices` that stand in for failed ones until those are repaired; undefined: always enough. */
  readonly spareNodes?: number;
  /** Mean repair time of a node; undefined: a day. */
  readonly repairSeconds?: number;
  /** Relative standard deviation of the step-time model near this question. */
  readonly stepDeviation: number;
}

export interface TrainingEstimate {
  readonly layout: Layout;
  readonly stepSeconds: number;
  readonly parts: StepParts;
  readonly tokensPerSecondPerDevice: number;
  /** Model FLOPs (6 per active parameter, causal attention) over bf16 peak; FP8 runs can exceed 1 against it. */
  readonly mfu: number;
  /** Hardware FLOPs (with recompute) over bf16 peak. */
  readonly hfu: number;
  readonly memoryBytesPerDevice: number;
  readonly memoryParts: MemoryParts;
  readonly fits: boolean;
  readonly days: { readonly p10: number; readonly p50: number; readonly p90: number };
  readonly deviceHours: number;
  readonly cost: number | null;
  readonly energyKilowattHours: number | null;
  readonly goodput: number;
  readonly checkpointIntervalSeconds: number;
  readonly failuresExpected: number;
  readonly probabilityByDeadline: number | null;
  /** Where days, goodput and P(deadline) come from; `interval` is the 90 % interval of the sampling error of P(deadline). */
  readonly completion: {
    readonly method: "closed-form" | "simulated";
    readonly replicas: number;
    readonly interval: readonly [number, number] | null;
    /** Failures of idle nodes while the run waits for a repair; `failuresExpected` counts those that interrupt it. */
    readonly failuresWhileWaiting: number;
  };
}

/** What stays the same over all layouts of one question. */
export interface PreparedQuestion {
  readonly question: TrainingQuestion;
  readonly setup: StepSetup;
  readonly flopsPerToken: number;
}

const closedForm = { method: "closed-form", replicas: 0, interval: null, failuresWhileWaiting: 0 } as const;

/** Share of a device's memory that a layout may fill; the rest is fragmentation and spikes. */
export const memoryShare = 0.94;

/** Derives what all layouts share; BadInput when the chip cannot compute in the precision. */
export function prepareQuestion(question: TrainingQuestion): PreparedQuestion {
  const { accelerator, precision, architecture, seq } = question;
  const hardware = hardwareFor(accelerator, precision);
  if (!hardware)
    throw new BadInput(
      `--precision: ${accelerator.id} has no published ${precision} peak; use one of ${formatsOf(accelerator).join(", ")}`,
    );
  return {
    question,
    setup: setupFor(question, hardware),
    flopsPerToken: trainingFlopsPerToken(architecture, seq, "model-causal"),
  };
}

function formatsOf(a: Accelerator): string[] {
  const formats = (["bf16", "fp16", "fp8", "fp4"] as const).filter((format) => a.peakFlopsPerSecond[format] !== null);
  return formats.length > 0 ? formats : ["another accelerator"];
}

function setupFor(question: TrainingQuestion, hardware: Hardware): StepSetup {
  const { architecture, seq, constants, stack, globalBatch, precision } = question;
  return {
    shape: modelShape(architecture, seq),
    hardware: stack === "deepseek" ? withoutCommunicationCores(hardware) : hardware,
    constants,
    stack,
    seq,
    globalBatch,
    fusedAttention: stack !== "megatron-2021" && stack !== "megatron-2022",
    attentionAge: stack === "torchtitan" || stack === "fsdp" ? 1 : 0,
    sequenceParallel: stack !== "megatron-2021",
    tensorOverlap: stack === "mindspeed" || stack === "bridge" || stack === "megatron-core" || stack === "megascale",
    forcedBalance: false,
    staticRouting: false,
    capacityFactor: 1,
    adaptersOnly: false,
    rowwiseScaling: false,
    blockScaled:
      precision === "fp4" || (precision === "fp8" && (stack === "deepseek" || hardware.chip.startsWith("blackwell"))),
    releaseYears: 0,
    fusedElementwise: true,
    offloadedOptimizer: false,
    optimizerBytes: stack === "deepseek" ? momentsInHalf : fullOptimizerBytes,
  };
}

/** Failure rate and recovery costs of a run that uses all of the question's devices. */
export function checkpointCosts(question: TrainingQuestion): FailureCosts {
  return failureCosts(question, parameterCounts(question.architecture).total);
}

function failureCosts(question: TrainingQuestion, parameters: number): FailureCosts {
  const nodes = Math.max(1, question.devices / question.accelerator.nodeDevices);
  // Weights and optimizer states in full: 2 + 12 bytes per parameter, written by all nodes together.
  const bytes = 14 * parameters;
  return {
    failuresPerSecond: (nodes * question.failuresPerNodeDay) / secondsPerDay,
    checkpointSeconds: Math.max(1, bytes / nodes / question.checkpointBytesPerSecondPerNode),
    detectSeconds: question.detectSeconds,
    restartSeconds: question.restartSeconds,
  };
}

/** Seconds of training without failures or checkpoints; the last step is a whole one. */
export function productiveSecondsOf({ tokens, globalBatch, seq }: TrainingQuestion, secondsPerStep: number): number {
  return Math.ceil(tokens / (globalBatch * seq)) * secondsPerStep;
}

/** What `wallSeconds` on all devices of the question cost in device-hours, money and energy. */
export function costOf(
  { devices, accelerator, dollarsPerDeviceHour }: TrainingQuestion,
  wallSeconds: number,
): Pick<TrainingEstimate, "deviceHours" | "cost" | "energyKilowattHours"> {
  const deviceHours = (wallSeconds * devices) / 3600;
  return {
    deviceHours,
    cost: dollarsPerDeviceHour === null ? null : deviceHours * dollarsPerDeviceHour,
    // The chip's rated power and half as much again for host, network and cooling.
    energyKilowattHours: accelerator.powerWatts === null ? null : (deviceHours * accelerator.powerWatts * 1.5) / 1000,
  };
}

/** The estimate for one layout; the layout must divide (see layout-rules.ts), it need not fit. */
export function evaluateTraining(prepared: PreparedQuestion, layout: Layout): TrainingEstimate {
  const { question, setup, flopsPerToken } = prepared;
  const { seq, globalBatch } = question;
  const parts = stepSeconds(setup, layout);
  const memory = deviceMemory(setup, layout);
  const used = layout.tp * layout.pp * layout.dp * layout.cp;
  const perStep = globalBatch * seq;
  const tokensPerSecond = perStep / parts.total;
  const productive = productiveSecondsOf(question, parts.total);
  const costs = failureCosts(question, setup.shape.counts.total);
  const { goodput, checkpointIntervalSeconds } = goodputClosedForm(costs);
  const done = completion(productive, costs, {
    stepDeviation: question.stepDeviation,
    rateDeviation: 0.5,
    deadlineSeconds: question.deadlineDays === null ? null : question.deadlineDays * secondsPerDay,
  });
  const utilisation = (tokensPerSecond / used) * (flopsPerToken / setup.hardware.peakFlopsPerSecond);
  const forward = layout.recompute === "full" ? 4 / 3 : layout.recompute === "selective" ? 1.02 : 1;
  return {
    layout,
    stepSeconds: parts.total,
    parts,
    tokensPerSecondPerDevice: tokensPerSecond / used,
    mfu: utilisation,
    hfu: utilisation * forward,
    memoryBytesPerDevice: memory.total,
    memoryParts: memory,
    fits: memory.total <= setup.hardware.memoryBytes * memoryShare,
    days: done.days,
    ...costOf(question, productive / goodput),
    goodput,
    checkpointIntervalSeconds,
    failuresExpected: done.failuresExpected,
    probabilityByDeadline: done.probabilityByDeadline,
    completion: closedForm,
  };
}

/** Memory of every pipeline stage of a layout, first to last. */
export function memoryByStage(prepared: PreparedQuestion, layout: Layout): MemoryParts[] {
  return Array.from({ length: layout.pp }, (_, stage) => stageMemory(prepared.setup, layout, stage));
}
