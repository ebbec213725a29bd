/**
 * An accelerator as the cost formulas see it: peaks, bandwidths and its generation.
 * Knows: how a precision maps to a peak. Does not know: layouts, models.
 */
import type { Accelerator } from "../catalog/accelerators.ts";
import type { ChipClass } from "./constants.ts";

/** Number formats of a training run's matrix products. */
export const trainingPrecisions = ["bf16", "fp16", "fp8", "fp4"] as const;
export type TrainingPrecision = (typeof trainingPrecisions)[number];

export interface Hardware {
  readonly chip: ChipClass;
  /** Dense FLOP/s of bf16 (or fp16 where that is all there is). */
  readonly peakFlopsPerSecond: number;
  /** How many times bf16's peak the run's format has: 1, 2 or 4. */
  readonly formatSpeed: number;
  readonly memoryBytes: number;
  readonly memoryBytesPerSecond: number;
  readonly intraBytesPerSecond: number;
  readonly interBytesPerSecond: number;
  /** Devices joined by the scale-up link, and devices in one host. */
  readonly domainDevices: number;
  readonly nodeDevices: number;
  /** Power limit relative to the generation's usual one (H100 at 500 W: 0.71). */
  readonly powerShare: number;
  /** Share of the cores that compute; the rest is set aside to move data. */
  readonly computeShare: number;
}

const blackwell = /^(b200|gb200)/;
const blackwellUltra = /^(b300|gb300)/;
const hopper = /^(h100|h200|h800|h20|gh200)/;
const ampere = /^(a100|a800)/;

/** The generation whose kernels an accelerator runs. */
export function chipClass(a: Accelerator): ChipClass {
  if (ampere.test(a.id)) return "ampere";
  if (hopper.test(a.id)) return "hopper";
  if (blackwell.test(a.id)) return "blackwell";
  if (blackwellUltra.test(a.id)) return "blackwellUltra";
  if (a.vendor === "Huawei") return "ascend";
  return a.vendor === "Google" ? "tpu" : "other";
}

/** Watts per peak FLOP/s of each generation's standard product. */
const usualWattsPerPeak: Partial<Record<ChipClass, number>> = {
  ampere: 400 / 312e12,
  hopper: 700 / 989e12,
  blackwell: 1200 / 2500e12,
  blackwellUltra: 1400 / 2500e12,
};

/** Cut-down chips (H20) have power to spare; what they gain ends at about a fifth. */
function powerShare(a: Accelerator, peak: number): number {
  const usual = usualWattsPerPeak[chipClass(a)];
  return usual && a.powerWatts ? Math.min(1.2, a.powerWatts / peak / usual) : 1;
}

/**
 * Peaks of `a` for a run in `precision`, or null when the chip has no such format (FP8 on A100 or 910B).
 * A missing network figure is taken as 200 Gb/s a device, the commonest in the catalog.
 */
export function hardwareFor(a: Accelerator, precision: TrainingPrecision): Hardware | null {
  const half = precision === "fp16" ? (a.peakFlopsPerSecond.fp16 ?? null) : (a.peakFlopsPerSecond.bf16 ?? null);
  const base = half ?? (precision === "bf16" ? null : a.peakFlopsPerSecond.fp16);
  if (base === null || a.memoryBytesPerSecond === 0) return null;
  const narrow = precision === "fp8" || precision === "fp4" ? a.peakFlopsPerSecond[precision] : base;
  if (narrow === null) return null;
  return {
    chip: chipClass(a),
    peakFlopsPerSecond: base,
    formatSpeed: narrow / base,
    memoryBytes: a.memoryBytes,
    memoryBytesPerSecond: a.memoryBytesPerSecond,
    intraBytesPerSecond: a.intraLink.bytesPerSecond,
    interBytesPerSecond: a.interNodeBytesPerSecond ?? 25e9,
    domainDevices: a.intraLink.domainDevices,
    nodeDevices: a.nodeDevices,
    powerShare: powerShare(a, base),
    computeShare: 1,
  };
}
