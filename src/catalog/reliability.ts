/**
 * Looks up published failure rates and the prior that they give for a pool about which nothing is known.
 * Knows: the records of reliability-facts.ts. Does not know: simulation, layouts, a pool's own evidence.
 */
import { BadInput, didYouMean } from "../spec/bad-input.ts";
import { type ReliabilityRecord, reliabilityRecords } from "./reliability-facts.ts";

export { type FailureCause, publishedCauses, type ReliabilityRecord, reliabilityRecords } from "./reliability-facts.ts";

/** A gamma distribution of a rate: `shape` (dimensionless) over `nodeDays`, so that the mean is shape / nodeDays. */
export interface GammaRate {
  shape: number;
  nodeDays: number;
}

/** The record of that id; BadInput names the nearest id. */
export function reliabilityRecord(id: string): ReliabilityRecord {
  const record = reliabilityRecords.find((candidate) => candidate.id === id);
  if (record) return record;
  const known = reliabilityRecords.map((candidate) => candidate.id);
  throw new BadInput(
    `reliability: no record ${id.slice(0, 80)}${didYouMean(id, known) || `; known are ${known.join(", ")}`}`,
  );
}

/**
 * Failures per node and day from what a person gave: a record's id, or a rate such as `6.5e-3`.
 * BadInput when it is neither, not positive, or above 24 (one an hour and node).
 */
export function failuresPerNodeDay(given: string | number): number {
  const rate = typeof given === "number" ? given : Number(given);
  if (typeof given === "string" && (given.trim() === "" || Number.isNaN(rate)))
    return reliabilityRecord(given).failuresPerNodeDay;
  if (!(rate > 0 && rate <= 24)) {
    throw new BadInput(
      `reliability: ${given} failures per node and day; give a rate above 0 and at most 24, such as 6.5e-3`,
    );
  }
  return rate;
}

/** The published record nearest to an accelerator: its own, else its generation's, else undefined (then only the prior speaks). */
export function reliabilityFor(accelerator: string): ReliabilityRecord | undefined {
  const counted = reliabilityRecords.filter((record) => record.excludedFromPrior === undefined);
  const own = counted.find((record) => record.accelerator === accelerator);
  if (own) return own;
  const generation = generationOf(accelerator);
  return generation === undefined
    ? undefined
    : counted.find((record) => generationOf(record.accelerator) === generation);
}

function generationOf(accelerator: string): string | undefined {
  if (/^(h100|h200|h800|h20)\b/.test(accelerator)) return "hopper";
  if (/^(a100|a800)\b/.test(accelerator)) return "ampere";
  return undefined;
}

/**
 * The prior for the failure rate of a pool that nobody has watched: the gamma distribution that is most likely to have
 * produced the published rates (each system counts once, since systems differ by more than their counting errors).
 * Leaves out `without`, so that a published system can be predicted from all others. Maximum likelihood after Minka 2002,
 * https://tminka.github.io/papers/minka-gamma.pdf.
 */
export function ratePrior({ without }: { without?: string } = {}): GammaRate {
  const rates = reliabilityRecords
    .filter((record) => record.excludedFromPrior === undefined && record.id !== without)
    .map((record) => record.failuresPerNodeDay);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const meanLog = rates.reduce((sum, rate) => sum + Math.log(rate), 0) / rates.length;
  const gap = Math.log(mean) - meanLog;
  // Solves log(a) − ψ(a) = gap by Newton on the concave function, from the usual start.
  let shape = (3 - gap + Math.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap);
  for (let i = 0; i < 20; i++) {
    const step = (Math.log(shape) - digamma(shape) - gap) / (1 / shape - trigamma(shape));
    shape = Math.max(shape / 2, shape - step);
  }
  return { shape, nodeDays: shape / mean };
}

/** ψ(x) for x > 0: recurrence up to 8, then the asymptotic series (Abramowitz & Stegun 6.3.18). */
function digamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 8; at++) shift -= 1 / at;
  const inverse = 1 / (at * at);
  return shift + Math.log(at) - 1 / (2 * at) - inverse * (1 / 12 - inverse * (1 / 120 - inverse / 252));
}

/** ψ′(x) for x > 0 (Abramowitz & Stegun 6.4.12). */
function trigamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 8; at++) shift += 1 / (at * at);
  const inverse = 1 / (at * at);
  return shift + 1 / at + inverse / 2 + (inverse / at) * (1 / 6 - inverse * (1 / 30 - inverse / 42));
}
