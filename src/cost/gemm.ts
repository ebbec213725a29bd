/**
 * Seconds of matrix products and of memory-bound kernels on one device.
 * Knows: rooflines with operand traffic. Does not know: layers, layouts.
 */
import type { Constants } from "./constants.ts";
import type { Hardware } from "./hardware.ts";

/** Share of dense bf16 peak that a large GEMM reaches, less under a power limit below the product's own: FLOP/s. */
export function productFlopsPerSecond(hardware: Hardware, c: Constants): number {
  const limit = hardware.powerShare === 1 ? 1 : hardware.powerShare ** c.power;
  return hardware.peakFlopsPerSecond * hardware.computeShare * c[`gemm.${hardware.chip}`] * limit;
}

/** Share of dense bf16 peak times format speed that a large GEMM reaches: FLOP/s. */
export function gemmFlopsPerSecond(hardware: Hardware, c: Constants): number {
  const base = productFlopsPerSecond(hardware, c);
  if (hardware.formatSpeed <= 1) return base;
  if (hardware.chip === "hopper") return base * hardware.formatSpeed * c["fp8.hopper"];
  return (base * hardware.formatSpeed) / (1 + c["narrow.blackwell"] * (hardware.formatSpeed - 1));
}

/**
 * Seconds of an m×k×n product at `rate` FLOP/s (from {@link gemmFlopsPerSecond}): 2mkn/rate plus the share of operand
 * traffic (2 bytes per value of all three matrices) that tiles of this size do not hide. Zero sizes give 0.
 */
export function gemmSeconds(
  hardware: Hardware,
  c: Constants,
  rate: number,
  m: number,
  k: number,
  n: number,
  prologue = c["gemm.prologue"],
): number {
  if (m * k * n === 0) return 0;
  const compute = ((2 * m * k * n) / rate) * (1 + (prologue / 3) * (1 / m + 1 / k + 1 / n));
  const traffic = 2 * (m * k + k * n + m * n);
  return compute + (c["gemm.operands"] * traffic) / hardware.memoryBytesPerSecond;
}

/** Seconds to move `bytes` through memory by elementwise kernels. */
export function memorySeconds(hardware: Hardware, c: Constants, bytes: number): number {
  return bytes / (hardware.memoryBytesPerSecond * c.memory);
}
