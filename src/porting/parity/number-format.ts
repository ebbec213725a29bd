/**
 * The number formats of a comparison's sides, by how much they round.
 * Knows: their order. Does not know: what is stored in them.
 */
import type { accumulatedRelativeError } from "../../catalog/parity-thresholds.ts";

export type NumberFormat = keyof typeof accumulatedRelativeError;

/** From the one that rounds least. */
const order: readonly NumberFormat[] = ["fp32", "bf16", "w8a8", "fp8"];

/** The format that rounds most. */
export function coarser(a: NumberFormat, b: NumberFormat): NumberFormat {
  return order.indexOf(a) > order.indexOf(b) ? a : b;
}
