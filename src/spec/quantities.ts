/**
 * Base units and plain checks on numbers that a person gave.
 * Knows: GiB, days, and how a bad number is refused. Does not know: what any number is for.
 */
import { BadInput } from "./bad-input.ts";

export const gibibyte = 2 ** 30;
export const secondsPerDay = 86400;
export const bytesPerGigabyte = 1e9;

/** `value` when it is a whole number from `least` to `most`; otherwise BadInput naming `where`. */
export function wholeNumber(where: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new BadInput(`${where}: ${value} is not a whole number from ${least} to ${most}; give one in that range`);
}

/** `value` when it is finite and within (`above`, `most`]; otherwise BadInput naming `where`. */
export function amount(where: string, value: number, above: number, most: number): number {
  if (Number.isFinite(value) && value > above && value <= most) return value;
  throw new BadInput(`${where}: ${value} is not a number above ${above} and at most ${most}; give one in that range`);
}

/** The divisors of a positive whole number, ascending; at most a few hundred for any device count. */
export function divisors(value: number): number[] {
  const low: number[] = [];
  const high: number[] = [];
  for (let i = 1; i * i <= value; i++) {
    if (value % i !== 0) continue;
    low.push(i);
    if (i * i !== value) high.push(value / i);
  }
  return low.concat(high.reverse());
}
