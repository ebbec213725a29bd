/**
 * How far the model was off on the published runs nearest to a question, and whether there are any near.
 * Knows: what makes two runs alike. Does not know: predictions; the errors were computed when the constants were fitted.
 */

import { findAccelerator } from "../catalog/accelerators.ts";
import { configurationHash } from "../catalog/configuration-hash.ts";
import { accuracyRows } from "../catalog/data/training-accuracy.ts";
import { chipClass } from "../cost/hardware.ts";

/** What two runs are compared by. */
export interface RunTraits {
  readonly accelerator: string;
  readonly stack: string;
  readonly precision: string;
  readonly mixture: boolean;
  readonly activeParameters: number;
  readonly devices: number;
  readonly seq: number;
}

export interface AccuracyBadge {
  readonly basis: "interpolated" | "extrapolated";
  /** Median relative error of the model on the nearest runs, each predicted without its own configuration. */
  readonly medianError: number;
  readonly nearest: readonly string[];
}

interface KnownRun extends RunTraits {
  readonly id: string;
  readonly configuration: string;
  readonly chip: string;
  readonly error: number;
}

let parsed: readonly KnownRun[] | undefined;

/** Row: id, hash of the configuration, accelerator, stack, precision, mixture, active parameters, devices, sequence, error. */
function knownRuns(): readonly KnownRun[] {
  parsed ??= accuracyRows.map((line) => {
    const [
      id = "",
      configuration = "",
      accelerator = "",
      stack = "",
      precision = "",
      mixture,
      active,
      devices,
      seq,
      error,
    ] = line.split("|");
    return {
      id,
      configuration,
      accelerator,
      stack,
      precision,
      chip: chipOf(accelerator),
      mixture: mixture === "1",
      activeParameters: Number(active),
      devices: Number(devices),
      seq: Number(seq),
      error: Number(error),
    };
  });
  return parsed;
}

const chips = new Map<string, string>();

/** The generation of an accelerator; hundreds of runs name a dozen. */
function chipOf(accelerator: string): string {
  const known = chips.get(accelerator);
  if (known !== undefined) return known;
  const found = findAccelerator(accelerator);
  const chip = found ? chipClass(found) : "other";
  chips.set(accelerator, chip);
  return chip;
}

/** Distance in units in which 1 is "another regime": a tenfold model, a hundredfold cluster, another format or generation. */
function distance(a: RunTraits & { chip: string }, b: KnownRun): number {
  const decades = (x: number, y: number): number => Math.abs(Math.log10(x / y));
  const size = decades(a.activeParameters, b.activeParameters);
  const scale = decades(a.devices, b.devices) / 2;
  const length = decades(a.seq, b.seq);
  const kind =
    (a.mixture === b.mixture ? 0 : 1) + (a.precision === b.precision ? 0 : 0.6) + (a.stack === b.stack ? 0 : 0.4);
  const chip = a.accelerator === b.accelerator ? 0 : a.chip === b.chip ? 0.4 : 2;
  return Math.hypot(size, scale, length) + kind + chip;
}

/** Within this distance of at least three runs a question counts as interpolated. */
const nearEnough = 1;

/** The badge of a question; runs of the configuration `without` do not count, so that a row cannot vouch for itself. */
export function accuracyBadge(traits: RunTraits, without?: string): AccuracyBadge {
  const here = { ...traits, chip: chipOf(traits.accelerator) };
  const own = without === undefined ? undefined : configurationHash(without);
  const ranked = knownRuns()
    .filter(({ configuration }) => configuration !== own)
    .map((run) => ({ run, distance: distance(here, run) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 7);
  const errors = ranked.map(({ run }) => run.error).sort((a, b) => a - b);
  const near = ranked.filter((entry) => entry.distance <= nearEnough).length;
  return {
    basis: near >= 3 ? "interpolated" : "extrapolated",
    medianError: errors[Math.floor(errors.length / 2)] ?? 1,
    nearest: ranked.slice(0, 5).map(({ run }) => run.id),
  };
}
