/**
 * How far the serving model was off on the published runs nearest to a question, and whether there are any near.
 * Knows: left-out errors per published configuration. Does not know: how they were predicted.
 */

import { type InferenceErrorRow, inferenceErrors } from "../catalog/data/inference-errors.ts";
import type { EngineFamily } from "../catalog/inference-constants.ts";

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

const toLikeness = (row: InferenceErrorRow): Likeness => ({
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

/** 0 for the same configuration; about 1 for one step in one respect (other engine, twice the size and format, …). */
export function unlikeness(a: Likeness, b: Likeness): number {
  const ratio = (x: number, y: number): number => Math.abs(Math.log(Math.max(x, 1) / Math.max(y, 1)));
  return (
    (a.chip === b.chip ? (a.accelerator === b.accelerator ? 0 : 0.3) : 2.5) +
    (a.engine === b.engine ? 0 : 0.7) +
    (a.kind === b.kind ? 0 : 1) +
    (a.format === b.format ? 0 : 0.5) +
    0.5 * ratio(a.parameters, b.parameters) +
    0.2 * ratio(a.devices, b.devices)
  );
}

/** Configurations within this unlikeness count as near; two of them make an interpolation. */
const near = 1.2;

/** The badge of an answer; `exclude` names a configuration (by its first row's id) that must not vouch for itself. */
export function servingAccuracy(question: Likeness, exclude?: string): Accuracy {
  const ranked = inferenceErrors
    .filter((row) => row[0] !== exclude)
    .map((row) => ({ row, distance: unlikeness(question, toLikeness(row)) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 5);
  const close = ranked.filter(({ distance }) => distance <= near);
  const used = close.length >= 2 ? close : ranked.slice(0, 3);
  return {
    basis: close.length >= 2 ? "interpolated" : "extrapolated",
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
