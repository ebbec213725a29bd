/**
 * Judges two models by what was measured on them: the same, within tolerance, or different, and by which limit.
 * Knows: published limits and what each is compared with. Does not know: models, files.
 */
import {
  accumulatedRelativeError,
  layerDivergence,
  meanKl,
  nearTie,
  routerTies,
  taskDifference,
  tensorComparison,
} from "../catalog/parity-thresholds.ts";

export type Verdict = "same" | "within tolerance" | "different";

/** What one position of one prompt showed. */
export interface PositionMeasure {
  readonly relativeError: number;
  readonly cosine: number;
  readonly largestDifference: number;
  /** Its experts score equally up to rounding in some layer, and the sides chose otherwise: what follows from that says nothing. */
  readonly isTipped?: boolean;
  /** The two sides' greedy answers part here, for the first time in their prompt, and it is no near tie. */
  readonly partsBeyondNearTie: boolean;
}

/** Everything that the verdict depends on. */
export interface Measured {
  /** The narrower number format of the two sides' weights. */
  readonly format: keyof typeof accumulatedRelativeError;
  /** Attention and feed-forward blocks, whose errors add up. */
  readonly blocks: number;
  readonly hasExperts: boolean;
  readonly positions: readonly PositionMeasure[];
  readonly tensorsBeyondRounding: number;
  readonly configurationDifferences: number;
  /** Nats per token. */
  readonly meanKl: number;
  /** Sides that gave other bits when they were asked again. */
  readonly unrepeatable: number;
  /** Modules whose outputs part beyond rounding; absent where none were looked at. */
  readonly divergedModules?: number;
  /** Sides whose cache holds something else than reading the text gives; absent where none was looked at. */
  readonly staleCaches?: number;
  /** McNemar's probability; absent where no prompt says what is right. */
  readonly taskProbability?: number | undefined;
}

/** What the verdict on two servers' answers depends on. */
export interface MeasuredAnswers
  extends Pick<Measured, "unrepeatable" | "configurationDifferences" | "meanKl" | "taskProbability"> {
  /** Answers that part where neither side had to choose between nearly equal tokens. */
  readonly partings: number;
  /** Sides that chose a token which was not their own likeliest. */
  readonly sampling: number;
  /** Positions with probabilities of both sides. */
  readonly positions: number;
  readonly identical: boolean;
}

export interface Check {
  readonly name: string;
  readonly value: number;
  readonly limit: number;
  readonly passed: boolean;
  readonly source: string;
}

/** All checks, and the verdict: `same` needs every logit equal to the bit; a NaN fails whatever it is compared with. */
export function judge(measured: Measured): { verdict: Verdict; checks: readonly Check[] } {
  const { positions, blocks, hasExperts } = measured;
  const perBlock = accumulatedRelativeError[measured.format];
  const accumulated = {
    limit: perBlock.limit * Math.sqrt(blocks),
    source: `${perBlock.source}, times the square root of ${blocks} blocks`,
  };
  const isRounding = ({ relativeError }: PositionMeasure): boolean =>
    relativeError <= routerTies.factor.limit * accumulated.limit;
  const rounding = positions.filter(isRounding);
  const unexplained = positions.filter((one) => !one.isTipped && !isRounding(one)).length;
  const parted = hasExperts ? rounding : positions;
  const share = hasExperts ? routerTies.share : { limit: 0, source: "a model without experts has no router ties" };
  const logitChecks = (): Check[] => [
    atMost("median relative error of the logits", median(positions.map((one) => one.relativeError)), accumulated),
    atMost("share of tokens beyond rounding", unexplained / positions.length, share),
    ...tensorChecks(rounding, measured.format),
    atMost("mean KL divergence, nats per token", measured.meanKl, meanKl),
    none(
      "greedy divergences that are no near tie",
      parted.filter(({ partsBeyondNearTie }) => partsBeyondNearTie).length,
      nearTie.gapNats.source,
    ),
  ];
  const checks: readonly Check[] = [
    none("differences between the configurations", measured.configurationDifferences, "config.json of both"),
    none("sides that do not repeat themselves", measured.unrepeatable, "each side asked twice"),
    none("weights beyond rounding", measured.tensorsBeyondRounding, "equal bits, or rounded to nearest even"),
    ...(measured.divergedModules === undefined
      ? []
      : [none("modules beyond rounding", measured.divergedModules, layerDivergence.rowFactor.source)]),
    ...(measured.staleCaches === undefined
      ? []
      : [none("caches that are not what was read", measured.staleCaches, "each side against its own reading")]),
    ...(positions.length === 0 ? [] : logitChecks()),
    ...taskChecks(measured.taskProbability),
  ];
  if (!checks.every(({ passed }) => passed)) return { verdict: "different", checks };
  const identical = positions.every(({ largestDifference }) => largestDifference === 0);
  return { verdict: identical ? "same" : "within tolerance", checks };
}

/** The same for answers of which only the likeliest tokens are known. */
export function judgeAnswers(measured: MeasuredAnswers): { verdict: Verdict; checks: readonly Check[] } {
  const checks: readonly Check[] = [
    none("differences between the configurations", measured.configurationDifferences, "config.json of both"),
    none("sides that do not repeat themselves", measured.unrepeatable, "each side asked twice"),
    none("sides that sample", measured.sampling, "a greedy answer takes its own likeliest token"),
    ...(measured.positions === 0
      ? []
      : [atMost("mean KL divergence of the likeliest tokens, nats", measured.meanKl, meanKl)]),
    none("greedy divergences that are no near tie", measured.partings, nearTie.gapNats.source),
    ...taskChecks(measured.taskProbability),
  ];
  if (!checks.every(({ passed }) => passed)) return { verdict: "different", checks };
  return { verdict: measured.identical ? "same" : "within tolerance", checks };
}

function taskChecks(probability: number | undefined): Check[] {
  if (probability === undefined) return [];
  const { limit, source } = taskDifference;
  const name = "chance of the task's unequal answers (at least)";
  return [{ name, value: probability, limit, passed: probability >= limit, source }];
}

/**
 * The vendor's rule, for every position whose routing is the same. It is for one computation done twice: codes stand for other weights,
 * so of those the relative error, the share beyond it and the divergence judge.
 */
function tensorChecks(positions: readonly PositionMeasure[], format: Measured["format"]): readonly Check[] {
  if (format === "w8a8" || format === "fp8") return [];
  const { fairCosine, smallError, poorCosine, largeError } = tensorComparison;
  const cosine = positions.reduce((least, one) => (one.cosine >= least ? least : one.cosine), 1);
  const unfair = positions.filter(
    (one) => !(one.cosine >= fairCosine.limit) && one.largestDifference > smallError.limit,
  );
  const error = positions.reduce((most, one) => Math.max(most, one.largestDifference), 0);
  const limit = unfair.length > 0 ? fairCosine.limit : poorCosine.limit;
  return [
    {
      name: "smallest cosine of logits within rounding",
      value: cosine,
      limit,
      passed: unfair.length === 0 && cosine >= poorCosine.limit,
      source: fairCosine.source,
    },
    atMost("largest logit difference within rounding", error, largeError),
  ];
}

function none(name: string, value: number, source: string): Check {
  return { name, value, limit: 0, passed: value === 0, source };
}

function atMost(name: string, value: number, { limit, source }: { limit: number; source: string }): Check {
  return { name, value, limit, passed: value <= limit, source };
}

function median(values: readonly number[]): number {
  return [...values].sort((x, y) => x - y)[values.length >> 1] ?? 0;
}
