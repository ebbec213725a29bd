/**
 * Judges a canary by how it answers the same requests as the others, against how far those agree with themselves.
 * Knows: agreement of texts, a one-sided bound on the mean difference. Does not know: who was asked, or how.
 */
import type { Canary } from "./fleet-file.ts";

/** One request, asked at temperature 0 of the canary once and of another backend twice. */
export interface Sample {
  readonly canary: string;
  readonly other: string;
  readonly otherAgain: string;
}

export interface Verdict {
  readonly samples: number;
  /** Mean agreement with the other backend, 0 to 1. */
  readonly agreement: number;
  /** What the other backend reaches with itself: no canary can be asked for more. */
  readonly selfAgreement: number;
  /** Why the canary must go; undefined while nothing speaks against it. */
  readonly rollBack: string | undefined;
}

/** Kept so that a canary that turns bad after a good week is still found. */
const windowSamples = 200;
/** One-sided 95 % of a normal distribution. */
const z95 = 1.645;

export function keepSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  return [...samples.slice(-(windowSamples - 1)), sample];
}

/**
 * The canary goes when the lower 95 % bound of (self-agreement − agreement), paired by request, exceeds `tolerance`.
 * Greedy texts of two platforms part at near-ties, so agreement is a share, and the tolerance says how much of that is fine.
 */
export function judge(
  samples: readonly Sample[],
  { samplesMin, tolerance }: Pick<Canary, "samplesMin" | "tolerance">,
): Verdict {
  const pairs = samples.map(({ canary, other, otherAgain }) => ({
    agreement: agreementOf(canary, other),
    self: agreementOf(other, otherAgain),
  }));
  const agreement = mean(pairs.map((pair) => pair.agreement));
  const selfAgreement = mean(pairs.map((pair) => pair.self));
  const lacks = pairs.map((pair) => pair.self - pair.agreement);
  const lack = mean(lacks);
  const variance = lacks.reduce((sum, each) => sum + (each - lack) ** 2, 0) / Math.max(1, lacks.length - 1);
  const bound = lack - z95 * Math.sqrt(variance / Math.max(1, lacks.length));
  const verdict = { samples: samples.length, agreement, selfAgreement };
  if (samples.length < samplesMin || bound <= tolerance) return { ...verdict, rollBack: undefined };
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  const rollBack = `its texts agree to ${percent(agreement)} with the others, which agree to ${percent(selfAgreement)} with themselves, over ${samples.length} requests`;
  return { ...verdict, rollBack };
}

/** Length of the common beginning over the longer length; 1 for equal texts, two empty ones included. */
export function agreementOf(one: string, other: string): number {
  const longer = Math.max(one.length, other.length);
  if (longer === 0) return 1;
  let at = 0;
  while (at < longer && one.charCodeAt(at) === other.charCodeAt(at)) at++;
  return at / longer;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
