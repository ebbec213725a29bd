/**
 * Turns an accelerator, an engine and a number format into the rates that the step model works with.
 * Knows: calibrated constants and published peaks. Does not know: models, requests, rows.
 */
import type { Accelerator } from "../catalog/accelerators.ts";
import type { EngineFamily, InferenceConstants } from "../catalog/inference-constants.ts";
import type { WeightFormat } from "../cost/inference-formats.ts";
import type { StepRates } from "../cost/inference-step.ts";

export type ChipFamily = "ampere" | "hopper" | "ada" | "blackwell" | "cdna" | "ascend";

/** The chip generation whose constants apply; null for chips that no published serving run covers. */
export function chipFamily(accelerator: Accelerator): ChipFamily | null {
  const id = accelerator.id;
  if (/^(a100|a800|a30)/.test(id)) return "ampere";
  if (/^(h100|h200|h800|h20|gh200)/.test(id)) return "hopper";
  if (/^(l40|l20|rtx|l4)/.test(id)) return "ada";
  if (/^(b200|b300|b100|gb200|gb300)/.test(id)) return "blackwell";
  if (/^mi\d/.test(id)) return "cdna";
  if (/^(ascend|atlas|cloudmatrix)/.test(id)) return "ascend";
  return null;
}

function linkKind(chip: ChipFamily, accelerator: Accelerator): string {
  if (chip === "cdna") return "xgmi";
  if (chip === "ascend") return "hccs";
  return accelerator.intraLink.bytesPerSecond < 1e11 ? "pcie" : "nvlink";
}

/** The unit that really multiplies, and its dense peak: the widest native one not narrower than the format asks. */
function unitPeak(accelerator: Accelerator, format: WeightFormat): { unit: string; peak: number; widened: boolean } {
  const peaks = accelerator.peakFlopsPerSecond;
  const wide = peaks.bf16 ?? peaks.fp16 ?? (peaks.fp8 ?? 0) / 2;
  if (format.weightOnly) return { unit: "16-bit", peak: wide, widened: true };
  if (format.unit === "fp4" && peaks.fp4) return { unit: "fp4", peak: peaks.fp4, widened: false };
  if (format.unit === "fp8" && peaks.fp8) return { unit: "fp8", peak: peaks.fp8, widened: false };
  if (format.unit === "int8" && peaks.int8) return { unit: "int8", peak: peaks.int8, widened: false };
  return { unit: "16-bit", peak: wide, widened: format.unit !== "16-bit" };
}

export interface RatesQuestion {
  accelerator: Accelerator;
  chip: ChipFamily;
  engine: EngineFamily;
  format: WeightFormat;
  cacheBytesPerValue: number;
  /** The engine prepares the next step while this one runs. */
  overlappedHost?: boolean;
}

/** Rates under `constants`; a unit without its own constant uses the chip's nearest one. */
export function stepRates(q: RatesQuestion, constants: InferenceConstants): StepRates {
  const c = (name: string, otherwise: string): number => constants[name] ?? constants[otherwise] ?? 1;
  const { unit, peak, widened } = unitPeak(q.accelerator, q.format);
  const peaks = q.accelerator.peakFlopsPerSecond;
  const wide = peaks.bf16 ?? peaks.fp16 ?? (peaks.fp8 ?? 0) / 2;
  const kernels = constants[`kernels.${q.engine}.${q.chip}`] ?? (q.engine === "trtllm-engine" ? 1 : 0.9);
  const fallback = unit === "16-bit" ? `compute.${q.chip}.fp8` : `compute.${q.chip}.16-bit`;
  // Checkpoints served outside NVIDIA's own benches scale FP8 per 128 × 128 block, which costs matrix rate.
  const block = unit === "fp8" && !/^trtllm(-engine)?$/.test(q.engine) ? c("fp8.block", "") : 1;
  const dense = peak * c(`compute.${q.chip}.${unit}`, fallback) * (widened ? c("weightOnly", "") : 1) * block * kernels;
  const memory = q.accelerator.memoryBytesPerSecond * c(`memory.${q.chip}`, "memory.hopper");
  const host = q.overlappedHost ? c("host.overlapped", "") : 1;
  const link = linkKind(q.chip, q.accelerator);
  const denseBytes = q.format.name === "mxfp4" ? 2 : q.format.bytesPerWeight;
  return {
    denseFlopsPerSecond: q.format.name === "mxfp4" ? dense / c("weightOnly", "") : dense,
    expertFlopsPerSecond: dense * c("experts.compute", ""),
    attentionFlopsPerSecond: wide * c(`attention.${q.chip}`, "attention.hopper") * kernels,
    headFlopsPerSecond: wide * c(`compute.${q.chip}.16-bit`, "compute.hopper.16-bit") * kernels,
    weightBytesPerSecond: memory,
    cacheBytesPerSecond: memory * c("attention.cache", ""),
    vectorBytesPerSecond: memory,
    vectorPasses: c("vectors.passes", ""),
    denseBytesPerWeight: denseBytes,
    expertBytesPerWeight: q.format.bytesPerWeight,
    cacheBytesPerValue: q.cacheBytesPerValue,
    padTokens: c("dense.pad", ""),
    expertPadTokens: c("experts.pad", ""),
    expertIndependence: Math.min(1, c("experts.independence", "")),
    expertImbalance: Math.max(1, c("experts.imbalance", "")),
    expertImbalanceWide: Math.max(1, c("experts.imbalanceWide", "")),
    linkBytesPerSecond: Math.max(
      1e9,
      q.accelerator.intraLink.bytesPerSecond * c(`link.${link}.share`, "link.nvlink.share"),
    ),
    linkLatencySeconds: c(`link.${link}.latency`, "link.nvlink.latency"),
    networkBytesPerSecond: (q.accelerator.interNodeBytesPerSecond ?? 2.5e10) * c("network.share", ""),
    networkLatencySeconds: c("network.latency", ""),
    domain: Math.max(1, q.accelerator.intraLink.domainDevices, link === "pcie" ? q.accelerator.nodeDevices : 1),
    exposedShare: c("exposed", ""),
    hiddenCompute: c("hidden", ""),
    layerSeconds: c(`engine.${q.engine}.layer`, "engine.vllm.layer"),
    eagerLayerSeconds: c("layer.eager", ""),
    graphContextMax: q.engine === "vllm-2024" ? 8192 : Infinity,
    mixtureLaunches: c("experts.launches", ""),
    indexerLaunches: c("indexer.launches", ""),
    indexerPasses: c("indexer.passes", ""),
    stepSeconds: host * c(`engine.${q.engine}.step`, "engine.vllm.step"),
    sequenceSeconds: host * c(`engine.${q.engine}.sequence`, "engine.vllm.sequence"),
    promptTokenSeconds: c(`engine.${q.engine}.promptToken`, "engine.vllm.promptToken"),
    requestSeconds: c(`engine.${q.engine}.request`, "engine.vllm.request"),
    unhidden: Math.min(1, c("unhidden", "")),
  };
}
