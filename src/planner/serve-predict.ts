/**
 * Predicts one published inference row: evaluates each reading and takes the middle of what they span.
 * Knows: evaluation, loads. Does not know: how a row is read, how errors are summed up, which constants are right.
 */
import type { InferenceConstants } from "../catalog/inference-constants.ts";
import { mlperfLimits, tensorRtRequestCount, tensorRtTuning } from "../catalog/serving-benchmarks.ts";
import { causalPairs } from "../cost/inference-shape.ts";
import type { PreparedRow } from "./serve-readings.ts";
import {
  acceptanceOf,
  acceptedTokens,
  evaluateServing,
  replicasOf,
  type ServingSystem,
  settledServing,
  systemCacheTokens,
  systemStep,
} from "./serving-evaluate.ts";
import type { RequestLoad } from "./serving-run.ts";

/** Predicted value with the range that the row's unstated fields span. */
export interface RowPrediction {
  predicted: number;
  low: number;
  high: number;
}

export function predictRow(prepared: PreparedRow, constants: InferenceConstants): RowPrediction {
  const values = prepared.readings
    .flatMap((system) => predictReading(prepared, system, constants))
    .filter((v) => v > 0 && Number.isFinite(v));
  if (values.length === 0) return { predicted: Number.NaN, low: Number.NaN, high: Number.NaN };
  const low = Math.min(...values);
  const high = Math.max(...values);
  const pace = prepared.measurement.quantity === "secondsPerOutputToken";
  const predicted = prepared.tuned ? (pace ? low : high) : Math.sqrt(low * high);
  return { predicted, low, high };
}

function predictReading(prepared: PreparedRow, system: ServingSystem, constants: InferenceConstants): number[] {
  const { load, promptTokens, outputTokens } = prepared;
  const replicas = replicasOf(system.split);
  const gained = acceptedTokens(system.drafted, acceptanceOf(system.shape, constants));
  const pace = prepared.measurement.quantity === "secondsPerOutputToken";
  const step = systemStep(system, constants);
  const decode = (perDevice: number): number => {
    const sequences = perDevice * system.split.devices;
    const context = promptTokens + outputTokens / 2;
    const { total } = step({
      promptTokens: 0,
      promptPairs: 0,
      prompts: 0,
      sequences,
      meanContext: context,
      tokensPerSequence: 1 + system.drafted,
    });
    return pace ? total / gained : (perDevice * gained) / total;
  };
  switch (load.kind) {
    case "prompts": {
      const each = Math.max(1, load.tokensPerDevice * system.split.devices) / replicas;
      const prompts = Math.max(1, each / promptTokens) * replicas;
      const pairs = prompts * causalPairs(system.shape, 0, promptTokens);
      const tokens = prompts * promptTokens;
      const { total } = step({
        promptTokens: tokens,
        promptPairs: pairs,
        prompts,
        sequences: 0,
        meanContext: 0,
        tokensPerSequence: 1,
      });
      return [tokens / total / (1 - prepared.flags.prefixHit) / system.split.devices];
    }
    case "batch":
      return [decode(load.perDevice)];
    case "range": {
      const shared = (sequences: number): number => {
        const context = promptTokens + outputTokens / 2;
        return (
          step({
            promptTokens: 0,
            promptPairs: 0,
            prompts: 0,
            sequences,
            meanContext: context,
            tokensPerSequence: 1 + system.drafted,
          }).total / gained
        );
      };
      const ends = [load.least, load.most].map(shared);
      return pace ? ends : [load.least, load.most].map((n) => n / shared(n) / system.split.devices);
    }
    case "unknown":
      if ((prepared.row.phase ?? "").startsWith("decode") || pace) {
        const most = Math.max(
          1,
          systemCacheTokens(system, constants) / (promptTokens + outputTokens / 2) / system.split.devices,
        );
        return [decode(Math.max(1, most / 4)), decode(most)];
      }
      return [played(prepared, system, constants, { requests: 1000 }, pace)];
    default:
      return [offered(prepared, system, constants, pace)];
  }
}

function offered(prepared: PreparedRow, system: ServingSystem, constants: InferenceConstants, pace: boolean): number {
  const { load, promptTokens, outputTokens } = prepared;
  const devices = prepared.row.n_devices ?? system.split.devices;
  const groups = Math.max(1, devices / system.split.devices);
  switch (load.kind) {
    case "burst":
      return played(prepared, system, constants, { requests: Math.max(1, Math.round(load.requests / groups)) }, pace);
    case "rate":
      return played(
        prepared,
        system,
        constants,
        { requests: load.requests, requestsPerSecond: load.requestsPerSecond / groups },
        pace,
      );
    case "concurrency":
      return played(
        prepared,
        system,
        constants,
        { requests: load.requests, concurrency: Math.max(1, load.sequences / groups) },
        pace,
      );
    case "latency-limit":
      return limited(prepared, system, constants, mlperfLimits(prepared.modelId, load.interactive), pace);
    default: {
      if (prepared.tuned) {
        const load: RequestLoad = { requests: 1, promptTokens, outputTokens, spread: true, prefixHit: 0 };
        const outcome = settledServing(system, settledSequences(prepared, system, constants), load, constants);
        return pace ? outcome.tpotSeconds : outcome.outputTokensPerSecond / system.split.devices;
      }
      const requests = tensorRtRequestCount(promptTokens, outputTokens);
      return played(prepared, system, constants, { requests }, pace);
    }
  }
}

/** Mean pace over its 99th percentile in a saturated server: published server results meet 200 ms with about 170. */
const paceMargin = 0.86;

/** Largest throughput within 99th-percentile limits on pace and first token, by bisection on concurrency. */
function limited(
  prepared: PreparedRow,
  system: ServingSystem,
  constants: InferenceConstants,
  limits: { ttftSeconds: number; tpotSeconds: number },
  pace: boolean,
): number {
  const { promptTokens, outputTokens } = prepared;
  const load: RequestLoad = { requests: 1, promptTokens, outputTokens, spread: true, prefixHit: 0 };
  const at = (n: number) => settledServing(system, n, load, constants);
  const prompt = systemStep(
    system,
    constants,
  )({
    promptTokens,
    promptPairs: causalPairs(system.shape, 0, promptTokens),
    prompts: 1,
    sequences: 0,
    meanContext: 0,
    tokensPerSequence: 1,
  }).total;
  const good = (n: number): boolean => {
    const { tpotSeconds, promptTokensPerSecond } = at(n);
    const busy = Math.min(0.99, (promptTokensPerSecond / promptTokens / replicasOf(system.split)) * prompt);
    // Exponential tail of the waiting time of a queue with random arrivals: its 99th percentile is ln(100) means.
    const ttft = prompt + (Math.log(100) * prompt * busy) / (2 * (1 - busy)) + tpotSeconds;
    return tpotSeconds <= paceMargin * limits.tpotSeconds && ttft <= limits.ttftSeconds;
  };
  let low = 1;
  let high = settledSequences(prepared, system, constants);
  if (good(high)) low = high;
  for (let i = 0; i < 12 && low < high; i++) {
    const middle = Math.sqrt(low * high);
    if (good(middle)) low = middle;
    else high = middle;
  }
  const outcome = at(low);
  return pace ? outcome.tpotSeconds : outcome.outputTokensPerSecond / system.split.devices;
}

/** Sequences that fill the cache in the long run; their mean length lies between half an output and the whole. */
function settledSequences(prepared: PreparedRow, system: ServingSystem, constants: InferenceConstants): number {
  const room = systemCacheTokens(system, constants) / (prepared.promptTokens + prepared.outputTokens);
  return Math.max(1, Math.min(room, 2048 * replicasOf(system.split)));
}

/** Longer runs only repeat themselves. */
const requestsMax = 50_000;

function played(
  prepared: PreparedRow,
  system: ServingSystem,
  constants: InferenceConstants,
  offeredLoad: Pick<RequestLoad, "requests" | "requestsPerSecond" | "concurrency">,
  pace: boolean,
): number {
  const { promptTokens, outputTokens, flags } = prepared;
  const replicas = replicasOf(system.split);
  const load: RequestLoad = {
    ...offeredLoad,
    requests: Math.min(offeredLoad.requests, requestsMax),
    promptTokens,
    outputTokens,
    spread: prepared.spread,
    prefixHit: flags.prefixHit,
  };
  const benched = prepared.load.kind === "queued" && /^trtllm/.test(system.engine.family);
  const room = systemCacheTokens(system, constants) / (promptTokens + outputTokens) / replicas;
  const tuned = benched ? tensorRtTuning(Math.max(1, room), promptTokens, outputTokens) : undefined;
  const drafting = system.drafted > 0 && system.engine.family === "sglang" ? 48 : undefined;
  const outcome = evaluateServing(system, load, constants, {
    ...(tuned ? { sequencesMax: tuned.sequencesMax * replicas, stepTokensMax: tuned.stepTokensMax * replicas } : {}),
    ...(flags.stepTokensMax ? { stepTokensMax: flags.stepTokensMax * replicas } : {}),
    // SGLang limits running requests to 48 under speculative decoding unless told otherwise (server_args.py, read).
    ...(drafting ? { sequencesMax: drafting } : {}),
  });
  return pace
    ? outcome.tpotSeconds
    : outcome.outputTokensPerSecond / Math.min(system.split.devices, prepared.row.n_devices ?? Infinity);
}
