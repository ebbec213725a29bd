/**
 * Predicts one published inference row: resolves its fields, spans what it does not say, and evaluates each reading.
 * Knows: rows, catalogs, evaluation. Does not know: how errors are summed up, which constants are right.
 */
import { type Accelerator, accelerators, findAccelerator } from "../catalog/accelerators.ts";
import type { InferenceConstants } from "../catalog/inference-constants.ts";
import { findModel } from "../catalog/models.ts";
import {
  mlperfLimits,
  mlperfPromptTokens,
  tensorRtRequestCount,
  tensorRtTuning,
} from "../catalog/serving-benchmarks.ts";
import { engineDefaults, engineFamily } from "../catalog/serving-engines.ts";
import { type WeightFormat, weightFormat } from "../cost/inference-formats.ts";
import { causalPairs, servingShape } from "../cost/inference-shape.ts";
import type { ServingSplit } from "../cost/inference-step.ts";
import {
  type InferenceRow,
  lengthsSpread,
  type Measurement,
  measurementOf,
  type OfferedLoad,
  offeredLoad,
  type QuotedFlags,
  quotedFlags,
} from "./serve-rows.ts";
import {
  acceptedTokens,
  evaluateServing,
  fits,
  replicasOf,
  type ServingSystem,
  settledServing,
  systemCacheTokens,
  systemStep,
} from "./serving-evaluate.ts";
import { chipFamily } from "./serving-rates.ts";
import type { RequestLoad } from "./serving-run.ts";

/** A row ready to be predicted under any constants; `readings` are the systems that it may have been. */
export interface PreparedRow {
  row: InferenceRow;
  measurement: Measurement;
  load: OfferedLoad;
  flags: QuotedFlags;
  modelId: string;
  promptTokens: number;
  outputTokens: number;
  spread: boolean;
  readings: readonly ServingSystem[];
  /** Submitters tune what they do not publish: the best reading counts rather than the middle. */
  tuned: boolean;
}

export type Preparation = { ready: PreparedRow } | { reason: string };

/** Resolves a row, or says why it cannot be predicted. */
export function prepareRow(row: InferenceRow): Preparation {
  const load = offeredLoad(row);
  const measurement = measurementOf(row, load);
  if (!measurement) return { reason: "the row has no measured throughput or pace" };
  if (/feasibility|latency class|TPOT class/i.test(`${row.notes ?? ""} ${row.constraints ?? ""}`))
    return { reason: "the row states a latency class that was met, not a measurement" };
  const model = findModel(row.model);
  if (!model) return { reason: `the architecture of ${row.model.slice(0, 60)} is not published` };
  const chips = readAccelerators(row.accelerator);
  if (chips.length === 0) return { reason: `unknown accelerator ${row.accelerator.slice(0, 60)}` };
  const architecture = servingShape(model.architecture());
  const flags = quotedFlags(row);
  const phase = row.phase ?? "";
  const engine = /^(prefill|decode)/.test(phase)
    ? "disaggregated"
    : engineFamily(row.engine ?? row.group, phase.startsWith("online"));
  // TensorRT engines attend to everything unless max_attention_window is set, which trtllm-bench does not.
  const shape = engine === "trtllm-engine" ? { ...architecture, windowShare: 0 } : architecture;
  const readings = chips.flatMap(({ accelerator, chip }) => {
    const defaults = engineDefaults(engine, chip, accelerator.memoryBytes);
    const engineHere = { ...defaults, ...(flags.memoryShare ? { memoryShare: flags.memoryShare } : {}) };
    return readFormats(row, model.id, accelerator).flatMap((format) =>
      readSplits(row, shape.experts > 0, accelerator, flags).map(
        (split): ServingSystem => ({
          shape,
          accelerator,
          chip,
          engine: engineHere,
          format,
          cacheBytesPerValue: cacheBytes(row, format),
          split,
          drafted: flags.drafted,
          overlappedHost: flags.overlappedHost,
        }),
      ),
    );
  });
  const fitting = readings.filter(fits);
  // Stated devices that cannot hold the weights are a slip of the source: read the smallest number that can.
  const widened = fitting.length > 0 ? fitting : readings.slice(0, 2).map(widen);
  if (fitting.length === 0 && readings.length === 0) return { reason: "no layout of the row's devices is legal" };
  const tuned = (row.group ?? "").startsWith("mlperf");
  return {
    ready: {
      row,
      measurement,
      load,
      flags,
      modelId: model.id,
      promptTokens: row.isl ?? (tuned ? mlperfPromptTokens(model.id) : 2048),
      outputTokens: row.osl ?? 512,
      spread: lengthsSpread(row),
      readings: widened,
      tuned,
    },
  };
}

function widen(system: ServingSystem): ServingSystem {
  let wider = system;
  while (!fits(wider) && wider.split.devices < 64) {
    const { devices, attentionTp } = wider.split;
    wider = {
      ...wider,
      split: {
        ...wider.split,
        devices: 2 * devices,
        attentionTp: attentionTp > 1 || devices === 1 ? 2 * attentionTp : 1,
      },
    };
  }
  return wider;
}

/** The chips that a spelling may mean: `Ascend 910B` without its bin is each of the 64 GiB bins. */
function readAccelerators(
  spelling: string,
): { accelerator: Accelerator; chip: NonNullable<ReturnType<typeof chipFamily>> }[] {
  const found = findAccelerator(spelling);
  const named =
    found?.id === "ascend-910b" ? accelerators.filter(({ id }) => /^ascend-910b[23]$/.test(id)) : found ? [found] : [];
  return named.flatMap((accelerator) => {
    const chip = chipFamily(accelerator);
    return chip && accelerator.memoryBytesPerSecond > 0 ? [{ accelerator, chip }] : [];
  });
}

function readFormats(row: InferenceRow, modelId: string, accelerator: Accelerator): WeightFormat[] {
  const precision = row.precision ?? {};
  const stated = precision.w ?? precision.moe ?? precision.gemm;
  if (typeof stated === "string") return [weightFormat(stated)];
  if (/w8a8/i.test(row.model)) return [weightFormat("w8a8")];
  if (/fp4/i.test(row.model)) return [weightFormat("nvfp4")];
  if (/deepseek/.test(modelId)) return [weightFormat(accelerator.platform === "ascend" ? "w8a8" : "fp8")];
  if (/kimi/.test(modelId)) return [weightFormat("w4a16")];
  if (accelerator.platform === "ascend" && /pangu/.test(modelId)) return [weightFormat("w8a8")];
  return [weightFormat("bf16")];
}

function cacheBytes(row: InferenceRow, format: WeightFormat): number {
  const kv = row.precision?.kv;
  if (typeof kv === "string") return /8/.test(kv) ? 1 : 2;
  if ((row.group ?? "").startsWith("mlperf")) return format.bytesPerWeight <= 1 ? 1 : 2;
  return 2;
}

/** The splits that a row's parallelism may mean, on one group; other groups repeat it. */
function readSplits(row: InferenceRow, mixture: boolean, accelerator: Accelerator, flags: QuotedFlags): ServingSplit[] {
  const p = row.parallelism ?? {};
  const number = (key: string): number | undefined => {
    const value = p[key];
    return typeof value === "number" && value > 0 ? value : undefined;
  };
  const devices = Math.max(1, Math.round(row.n_devices ?? number("ep") ?? number("tp") ?? (mixture ? 8 : 1)));
  const wide = number("ep") ?? number("dp+ep");
  const tp = number("tp");
  const pipeline = number("pp") ?? flags.pipeline ?? 1;
  const attentionData = p.attention_dp === true || p.dp_attn === true;
  if (typeof p.decode === "string") {
    const inner = Number(/TP(\d+)/.exec(p.decode)?.[1] ?? 1);
    return [
      { devices: Math.max(1, devices / 2), attentionTp: Math.min(inner, devices), expertParallel: true, pipeline: 1 },
    ];
  }
  if (tp !== undefined && wide !== undefined && wide > devices)
    return [{ devices: wide, attentionTp: Math.min(tp, wide), expertParallel: true, pipeline: 1 }];
  const mlperf = (row.group ?? "").startsWith("mlperf");
  if (mlperf && tp !== undefined && wide !== undefined && p.attention_dp === undefined)
    return [1, tp].map((attentionTp) => ({ devices: tp, attentionTp, expertParallel: true, pipeline: 1 }));
  if (tp !== undefined) {
    const ranks = Math.min(tp, devices) * (pipeline > 1 && number("pp") === undefined ? 1 : pipeline);
    return [
      {
        devices: Math.max(ranks, pipeline),
        attentionTp: attentionData ? 1 : Math.min(tp, devices),
        expertParallel: attentionData || (wide ?? 0) > 1 || p.ep === true,
        pipeline,
      },
    ];
  }
  if (wide !== undefined || typeof p.ep === "string" || typeof p["dp+ep"] === "string") {
    const ranks = wide ?? devices;
    return [{ devices: ranks, attentionTp: 1, expertParallel: true, pipeline: 1 }];
  }
  if (mixture && row.n_devices == null && /^(prefill|decode)/.test(row.phase ?? ""))
    return [32, 64, 128].map((ranks) => ({ devices: ranks, attentionTp: 1, expertParallel: true, pipeline: 1 }));
  const splits: ServingSplit[] = [];
  const node = Math.min(devices, Math.max(8, accelerator.nodeDevices));
  for (let ranks = 1; ranks <= node; ranks *= 2) {
    splits.push({ devices: ranks, attentionTp: ranks, expertParallel: false, pipeline: 1 });
    if (mixture && ranks > 1) splits.push({ devices: ranks, attentionTp: 1, expertParallel: true, pipeline: 1 });
  }
  return splits;
}

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
  const gained = acceptedTokens(system.drafted, constants["speculative.acceptance"] ?? 0.6);
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
    // SGLang limits running requests to 48 under speculative decoding unless told otherwise (server_args.py).
    ...(drafting ? { sequencesMax: drafting } : {}),
  });
  return pace
    ? outcome.tpotSeconds
    : outcome.outputTokensPerSecond / Math.min(system.split.devices, prepared.row.n_devices ?? Infinity);
}
