/**
 * How far the serving model was off on the published runs nearest to a question, and whether there are any near.
 * Knows: left-out errors per published configuration. Does not know: how they were predicted.
 */

import { type InferenceErrorRow, inferenceErrors } from "../catalog/data/inference-errors.ts";
import { type EngineFamily, hostClass } from "../catalog/inference-constants.ts";

/** What decides whether two serving configurations are alike. */
export interface Likeness {
  accelerator: string;
  chip: string;
  engine: EngineFamily;
  kind: "dense" | "mixture" | "latent";
  parameters: number;
  format: string;
  devices: number;
  promptTokens: number;
  outputTokens: number;
}

export interface Accuracy {
  basis: "interpolated" | "extrapolated";
  /** Median left-out error of the nearest configurations, a fraction; null when nothing at all is comparable. */
  medianError: number | null;
  nearest: string[];
}

/** What a committed error was measured on. */
export const likenessOfErrors = (row: InferenceErrorRow): Likeness => ({
  accelerator: row[2],
  chip: row[3],
  engine: row[4],
  kind: row[5],
  parameters: row[6],
  format: row[7],
  devices: row[8],
  promptTokens: row[9],
  outputTokens: row[10],
});

/** The unit that a format multiplies with: formats of one unit share most of their kernels. */
function unitOf(format: string): string {
  if (/^fp8/.test(format)) return "fp8";
  if (/^w[48]a8/.test(format)) return "int8";
  return format;
}

/**
 * 0 for the same configuration; about 1 for one large step in one respect (another chip generation, a tenth of the size and format, …).
 * The weights are those under which left-out errors of published configurations rise with the distance to their neighbours:
 * who drives the engine counts most, then the engine, then the chip.
 */
export function unlikeness(a: Likeness, b: Likeness): number {
  const ratio = (x: number, y: number): number => Math.abs(Math.log(Math.max(x, 1) / Math.max(y, 1)));
  return (
    (a.chip === b.chip ? (a.accelerator === b.accelerator ? 0 : 0.2) : 1) +
    (a.engine === b.engine ? 0 : hostClass(a.engine) === hostClass(b.engine) ? 1.3 : 2) +
    (a.kind === b.kind ? 0 : 0.7) +
    (a.format === b.format ? 0 : unitOf(a.format) === unitOf(b.format) ? 0.35 : 0.7) +
    0.3 * ratio(a.parameters, b.parameters) +
    0.3 * ratio(a.devices, b.devices) +
    0.1 * (ratio(a.promptTokens, b.promptTokens) + ratio(a.outputTokens, b.outputTokens))
  );
}

/** Configurations within this unlikeness count as near; three of them make an interpolation. */
const near = 1;
const neighbours = 3;

/** The badge of an answer; `exclude` names a configuration (by its first row's id) that must not vouch for itself. */
export function servingAccuracy(question: Likeness, exclude?: string): Accuracy {
  const ranked = inferenceErrors
    .filter((row) => row[0] !== exclude)
    .map((row) => ({ row, distance: unlikeness(question, likenessOfErrors(row)) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 5);
  const close = ranked.filter(({ distance }) => distance <= near);
  const used = close.length >= neighbours ? close : ranked.slice(0, neighbours);
  return {
    basis: close.length >= neighbours ? "interpolated" : "extrapolated",
    medianError: quantile(
      used.map(({ row }) => row[13]),
      0.5,
    ),
    nearest: used.map(({ row }) => row[0]),
  };
}

/** The value below which a share `q` of `values` lies, linear between neighbours; null for none. */
export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}
