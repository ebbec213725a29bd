/**
 * Resolves a published inference row into the systems that it may have been measured on.
 * Knows: rows, catalogs, which fields a source leaves out. Does not know: predictions, constants.
 */
import { type Accelerator, accelerators, findAccelerator } from "../catalog/accelerators.ts";
import { findModel } from "../catalog/models.ts";
import { whyNoArchitecture } from "../catalog/models-without-shape.ts";
import { mlperfPromptTokens } from "../catalog/serving-benchmarks.ts";
import { engineDefaults, engineFamily } from "../catalog/serving-engines.ts";
import { type WeightFormat, weightFormat } from "../cost/inference-formats.ts";
import { servingShape } from "../cost/inference-shape.ts";
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
import { fits, type ServingSystem } from "./serving-evaluate.ts";
import { chipFamily } from "./serving-rates.ts";

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
  if (!model) return { reason: whyNoArchitecture(row.model) };
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
  // The two published FP8 files of Llama 3.1 405B differ in what they quantise; some ids say which one was served.
  if (stated === "fp8" && /fp8-meta/i.test(row.id)) return [weightFormat("fp8 (meta)")];
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
