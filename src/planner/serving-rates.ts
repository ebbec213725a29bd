/**
 * Turns an accelerator, an engine and a number format into the rates that the step model works with.
 * Knows: calibrated constants and published peaks. Does not know: models, requests, rows.
 */
import type { Accelerator } from "../catalog/accelerators.ts";
import { type EngineFamily, hostClass, type InferenceConstants } from "../catalog/inference-constants.ts";
import type { WeightFormat } from "../cost/inference-formats.ts";
import type { ServingShape } from "../cost/inference-shape.ts";
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

/** Without a switch or mesh of their own, the devices of a node still reach each other over its bus. */
function overBus(chip: ChipFamily, accelerator: Accelerator): boolean {
  return chip !== "cdna" && chip !== "ascend" && accelerator.intraLink.bytesPerSecond < 1e11;
}

/** Launches per layer: from a captured graph, from an Ascend graph, or one by one. */
function layerName(engine: EngineFamily, chip: ChipFamily): string {
  if (engine === "vllm-ascend-2025") return "layer.eager.ascend";
  return chip === "ascend" && engine === "vllm-ascend" ? "layer.ascend" : "layer.graph";
}

/**
 * Load of the busiest rank over the mean where redundant experts are placed by load (EPLB): an assumption, not fitted.
 * Few published rows are this wide, and none states its balance.
 */
const wideImbalance = 1.15;
/** Half of a wide group's batch computes while the other half communicates (DeepSeek-V3, arXiv:2412.19437 §3.4). */
const hiddenCompute = 0.5;

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
  shape: Pick<ServingShape, "blockScaled">;
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
  const kernels = q.chip === "ascend" ? 1 : (constants[`kernels.${q.engine}`] ?? 1);
  const fallback = unit === "16-bit" ? `compute.${q.chip}.fp8` : `compute.${q.chip}.16-bit`;
  // Block scales cost matrix rate; NVIDIA's benches serve its own checkpoints, scaled per tensor.
  const blocks = q.shape.blockScaled && !/^trtllm(-engine)?$/.test(q.engine);
  const block = unit === "fp8" && blocks ? c("fp8.block", "") : 1;
  // Weight-only kernels (Marlin) multiply with the instructions of Ampere, which reach less of a later chip's peak.
  const older = q.chip === "ampere" || q.chip === "ada" || q.chip === "ascend";
  const weightOnly = c(older ? "weightOnly" : "weightOnly.later", "");
  const dense = peak * c(`compute.${q.chip}.${unit}`, fallback) * (widened ? weightOnly : 1) * block * kernels;
  const nvidia = q.chip !== "cdna" && q.chip !== "ascend";
  const memory = q.accelerator.memoryBytesPerSecond * c(nvidia ? "memory.nvidia" : "memory.others", "");
  const host = q.overlappedHost ? c("host.overlapped", "") : 1;
  const hostOf = `host.${hostClass(q.engine)}`;
  // vLLM of 2024 ran row-scaled FP8 on CDNA as a product with float32 output, then scaled that (w8a8_utils.py, apply_fp8_linear).
  const unfused = q.chip === "cdna" && q.engine === "vllm-2024" && q.format.name === "fp8-mlp";
  const denseBytes = q.format.name === "mxfp4" ? 2 : q.format.bytesPerWeight / (unfused ? c("unfused", "") : 1);
  const denseFlops = q.format.name === "mxfp4" ? dense / weightOnly : dense;
  const head = wide * c(`compute.${q.chip}.16-bit`, "compute.hopper.16-bit") * kernels;
  const wideAttention = q.format.attentionBytesPerWeight === 2 && unit !== "16-bit";
  return {
    denseFlopsPerSecond: denseFlops,
    expertFlopsPerSecond: dense * c("experts.compute", ""),
    attentionFlopsPerSecond: wide * c(q.chip === "hopper" ? "attention.hopper" : "attention.others", "") * kernels,
    latentFlopsPerSecond: wide * Math.min(0.9, c("attention.latent", "")),
    headFlopsPerSecond: head,
    weightBytesPerSecond: memory,
    cacheBytesPerSecond: memory,
    vectorBytesPerSecond: memory,
    vectorPasses: c("vectors.passes", ""),
    denseBytesPerWeight: denseBytes,
    attentionBytesPerWeight: q.format.attentionBytesPerWeight,
    projectionFlopsPerSecond: wideAttention ? head : denseFlops,
    expertBytesPerWeight: q.format.bytesPerWeight,
    cacheBytesPerValue: q.cacheBytesPerValue,
    padTokens: c("dense.pad", ""),
    expertPadTokens: c("experts.pad", ""),
    expertIndependence: Math.min(1, c("experts.independence", "")),
    expertImbalance: Math.max(1, c("experts.imbalance", "")),
    expertImbalanceWide: wideImbalance,
    linkBytesPerSecond: Math.max(1e9, q.accelerator.intraLink.bytesPerSecond * c("link.share", "")),
    linkLatencySeconds: c("link.latency", ""),
    networkBytesPerSecond: (q.accelerator.interNodeBytesPerSecond ?? 2.5e10) * c("network.share", ""),
    networkLatencySeconds: c("network.latency", ""),
    domain: Math.max(
      1,
      q.accelerator.intraLink.domainDevices,
      overBus(q.chip, q.accelerator) ? q.accelerator.nodeDevices : 1,
    ),
    exposedShare: c("exposed", ""),
    hiddenCompute,
    layerSeconds: c(layerName(q.engine, q.chip), ""),
    eagerLayerSeconds: c("layer.eager", ""),
    graphContextMax: q.engine === "vllm-2024" ? 8192 : Infinity,
    mixtureLaunches: c("experts.launches", ""),
    indexerLaunches: 1,
    indexerPasses: c("indexer.passes", ""),
    stepSeconds: host * c(`${hostOf}.step`, ""),
    sequenceSeconds: host * c(`${hostOf}.sequence`, ""),
    promptTokenSeconds: c(`${hostOf}.promptToken`, ""),
    requestSeconds: c("host.request", ""),
    sharpness: Math.max(1, c("sharpness", "")),
  };
}
