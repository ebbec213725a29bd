/**
 * Puts together what a comparison says: figures, verdict, cause, and the reasons for it.
 * Knows: measurements and the report's fields. Does not know: how they were measured or how they are told.
 */
import { tensorComparison } from "../../catalog/parity-thresholds.ts";
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import {
  type ComparedModule,
  type ComparedScoring,
  type ComparedTask,
  type CompareReport,
  configurationCause,
  failuresOf,
  type Repeatability,
  sum,
} from "../compare-report.ts";
import type { WeightComparison } from "../compare-weights.ts";
import { judge, judgeAnswers, type PositionMeasure, type Verdict } from "../verdict.ts";
import { type AnsweredPrompt, samplingSides } from "./compare-answers.ts";
import type { Measurement } from "./compare-readings.ts";
import { beyond, type Cause, firstDivergence, staleCache, tapCause, weightCause } from "./locate.ts";
import { rowLimit } from "./measure-reading.ts";
import { joinTaps } from "./measure-taps.ts";
import type { NumberFormat } from "./number-format.ts";
import { type ComparedSide, sha256 } from "./open-side.ts";
import { executionOrder, layerOf } from "./reading.ts";
import { canonicalJson } from "./seal-report.ts";
import { accuracy, mcNemar } from "./task.ts";

export interface ReadingsToReport {
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  readonly config: DeepseekConfig | undefined;
  readonly format: NumberFormat;
  readonly weights: WeightComparison | null;
  readonly measured: readonly Measurement[];
  readonly repeatable: Repeatability;
  readonly configurationDifferences: readonly string[];
  readonly task: readonly { readonly a: boolean; readonly b: boolean }[] | undefined;
}

export function reportReadings(given: ReadingsToReport): CompareReport {
  const { a, b, config, format, weights, measured, repeatable, configurationDifferences } = given;
  const texts = measured.map(({ modules }) => modules);
  const modules = modulesOf(measured, format);
  const first = firstDivergence(texts, format);
  const stale = measured.flatMap(({ caches }) => caches.flatMap((one) => staleCache(one) ?? []));
  const task = taskOf(given.task, "likelihood of the choices, or the greedy answer");
  const figures = figuresOf(measured);
  const judged = judge({
    positions: measured.flatMap(positionsOf),
    meanKl: figures.meanKl,
    ...{ format, blocks: 2 * layersOf(config, modules) },
    hasExperts: config ? (config.n_routed_experts ?? 0) > 0 : texts.some(({ routing }) => routing.length > 0),
    tensorsBeyondRounding: weights?.different.length ?? 0,
    configurationDifferences: configurationDifferences.length,
    unrepeatable: unrepeatable(repeatable),
    ...(modules.length > 0 && { divergedModules: first === undefined ? 0 : modules.filter(parts).length || 1 }),
    ...(measured.some(({ caches }) => caches.some(({ measures }) => measures.length > 0)) && {
      staleCaches: new Set(stale.map(({ module, text }) => `${module} ${text.slice(0, 6)}`)).size,
    }),
    taskProbability: task?.probability,
  });
  // Without logits nothing but the modules can say that two sides are the same to the bit.
  const verdict =
    judged.verdict === "same" && modules.some(({ largestError }) => largestError > 0)
      ? "within tolerance"
      : judged.verdict;
  const routerTies = sum(texts.map(({ tippedTokens }) => tippedTokens.size));
  const cause = causeOf(verdict, {
    ...{ repeatable, configurationDifferences, weights, format, a, b, routerTies },
    ...{ stale: stale[0], tap: () => tapCause(texts, format) },
  });
  return {
    ...{ v: 2, verdict, cause },
    reasons: reasonsOf(verdict, cause, [
      ...configurationDifferences,
      ...worstWeight(weights),
      ...failuresOf(judged.checks),
    ]),
    ...{ a, b, computedBy: computedBy(a, b), repeatable, ...figures, configurationDifferences, weights },
    modules: modules.length > 0 ? modules : null,
    firstDivergence: first === undefined ? null : (texts[0]?.taps[first]?.name ?? null),
    ...{ routerTies, task, scoring: null, prompts: measured.map(({ prompt }) => prompt), checks: judged.checks },
  };
}

const parts = ({ tokensBeyond }: ComparedModule): boolean => tokensBeyond > 0;

const unrepeatable = ({ a, b }: Repeatability): number => [a, b].filter((repeats) => !repeats).length;

function computedBy(a: ComparedSide, b: ComparedSide): string {
  return a.computedBy === b.computedBy ? a.computedBy : `A: ${a.computedBy}; B: ${b.computedBy}`;
}

function layersOf(config: DeepseekConfig | undefined, modules: readonly ComparedModule[]): number {
  return config?.num_hidden_layers ?? Math.max(1, ...modules.map(({ layer }) => (layer ?? 0) + 1));
}

function modulesOf(measured: readonly Measurement[], format: NumberFormat): ComparedModule[] {
  const [head] = measured;
  return (head?.modules.taps ?? []).map(({ name }, index) => {
    const tap = joinTaps(measured.map(({ modules }) => modules.taps[index]!));
    const layer = layerOf(name);
    const { rows, counted } = beyond(tap, format);
    const { fairCosine, smallError, poorCosine, largeError } = tensorComparison;
    const { cosine, largestError, meanError, relativeError, withinThousandth } = tap;
    return {
      ...{ module: name, layer: layer ?? null, cosine, largestError, meanError, relativeError, withinThousandth },
      ...{ tokensBeyond: rows.length, tokens: counted, limit: middle(tap.rowLimits) ?? rowLimit(format, tap.blocks) },
      passesVendorRule:
        cosine >= poorCosine.limit &&
        largestError <= largeError.limit &&
        (cosine >= fairCosine.limit || largestError <= smallError.limit),
    };
  });
}

const middle = (values: Float64Array | undefined): number | undefined =>
  values && [...values].sort((x, y) => x - y)[values.length >> 1];

function figuresOf(
  measured: readonly Measurement[],
): Pick<
  CompareReport,
  "positions" | "topOneAgreement" | "topFiveShare" | "meanKl" | "largestKl" | "klOf" | "largestLogitDifference"
> {
  const logits = measured.flatMap((one) => (one.logits ? [one.logits] : []));
  const positions = sum(logits.map((one) => one.positions));
  const largest = logits
    .flatMap((one, prompt) => [...one.largestDifference].map((value, position) => ({ value, prompt, position })))
    .reduce((most, one) => (one.value > most.value ? one : most), { value: 0, prompt: 0, position: 0 });
  const known = measured.filter((one) => one.logits);
  return {
    positions,
    topOneAgreement: sum(logits.map((one) => one.topOneAgreements)) / positions,
    topFiveShare: sum(known.map((one) => one.topFiveShare * (one.logits?.positions ?? 0))) / positions,
    meanKl: positions === 0 ? 0 : sum(logits.map((one) => sum(one.kl))) / positions,
    largestKl: logits.reduce((most, { kl }) => kl.reduce((top, value) => Math.max(top, value), most), 0),
    klOf: positions === 0 ? "nothing" : "all tokens",
    largestLogitDifference: largest,
  };
}

function positionsOf({ logits, prompt, modules }: Measurement): PositionMeasure[] {
  if (!logits) return [];
  const { at, nearTie } = prompt.greedyDivergence ?? { at: -1, nearTie: true };
  return [...logits.relativeError].map((relativeError, position) => ({
    relativeError,
    cosine: logits.cosine[position]!,
    largestDifference: logits.largestDifference[position]!,
    isTipped: modules.tippedTokens.has(position),
    partsBeyondNearTie: !nearTie && position === prompt.promptTokens - 1 + at,
  }));
}

function taskOf(
  answers: readonly { readonly a: boolean; readonly b: boolean }[] | undefined,
  scoredBy: ComparedTask["scoredBy"],
): ComparedTask | null {
  if (!answers || answers.length === 0) return null;
  const count = (test: (one: { a: boolean; b: boolean }) => boolean): number => answers.filter(test).length;
  const [onlyA, onlyB] = [count(({ a, b }) => a && !b), count(({ a, b }) => b && !a)];
  return {
    a: accuracy(
      count(({ a }) => a),
      answers.length,
    ),
    b: accuracy(
      count(({ b }) => b),
      answers.length,
    ),
    ...{ onlyA, onlyB, probability: mcNemar(onlyA, onlyB), scoredBy },
  };
}

interface Evidence {
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  readonly repeatable: Repeatability;
  readonly configurationDifferences: readonly string[];
  readonly weights: WeightComparison | null;
  readonly format: NumberFormat;
  readonly routerTies: number;
  readonly stale: Cause | undefined;
  readonly tap: () => Cause | undefined;
}

function causeOf(verdict: Verdict, evidence: Evidence): Cause | null {
  if (verdict === "same") return null;
  const { a, b, repeatable, configurationDifferences, weights, format, routerTies, stale, tap } = evidence;
  if (verdict === "within tolerance") {
    if (routerTies > 0) {
      const text = `${routerTies} tokens went to another expert that scores equally up to rounding`;
      return { reason: "router tie", layer: null, module: null, text };
    }
    const text = a.format === b.format ? `rounding of ${format}` : `${a.format} against ${b.format}: rounding`;
    return { reason: "type", layer: null, module: null, text };
  }
  const unsteady = unsteadySide(repeatable);
  if (unsteady) return unsteady;
  const different = weights?.different ?? [];
  const [first] = executionOrder(different.map(({ tensor }) => tensor));
  const worst =
    different.find(({ looks }) => looks.reason === "expert") ?? different.find(({ tensor }) => tensor === first);
  return (
    configurationCause(configurationDifferences) ??
    (worst && weightCause(worst)) ??
    // A wrong reading makes the cache disagree too; a cache that is wrong alone leaves the reading as it was.
    tap() ??
    stale ?? { reason: "operator", layer: null, module: "logits", text: "the logits differ beyond rounding" }
  );
}

function unsteadySide({ a, b }: Repeatability): Cause | undefined {
  if (a && b) return undefined;
  const who = a ? "side B does" : b ? "side A does" : "both sides do";
  const text = `${who} not give the same when asked again: sampling, or kernels whose order of sums changes`;
  return { reason: "sampling", layer: null, module: null, text };
}

function worstWeight(weights: WeightComparison | null): string[] {
  const [worst] = weights?.different ?? [];
  if (!worst) return [];
  const count = weights?.different.length;
  return [`${worst.tensor} differs most of ${count} tensors: relative error ${worst.relativeError}`];
}

function reasonsOf(verdict: Verdict, cause: Cause | null, others: readonly string[]): string[] {
  if (verdict !== "different") return [];
  const first = cause ? [`${cause.reason}: ${cause.text}`] : [];
  // A configuration's difference is its own cause.
  return [...first, ...others.filter((other) => other !== cause?.text)];
}

export function reportAnswers({
  a,
  b,
  answers,
  repeatable,
  task: right,
}: {
  a: ComparedSide;
  b: ComparedSide;
  answers: readonly AnsweredPrompt[];
  repeatable: Repeatability;
  task: readonly { readonly a: boolean; readonly b: boolean }[];
}): CompareReport {
  const measures = answers.map((one) => one.measures);
  const kl = measures.flatMap((one) => one.kl);
  const sampling = samplingSides(answers);
  const task = taskOf(right, "greedy answer");
  const meanKl = kl.length === 0 ? 0 : sum(kl) / kl.length;
  const { verdict, checks } = judgeAnswers({
    ...{ configurationDifferences: 0, unrepeatable: unrepeatable(repeatable), meanKl, positions: kl.length },
    partings: measures.filter(({ divergence }) => divergence && !divergence.nearTie).length,
    sampling: sampling.length,
    taskProbability: task?.probability,
    identical: measures.every((one) => !one.divergence && one.largestLogprobDifference === 0) && kl.length > 0,
  });
  const cause = answersCause(verdict, { repeatable, sampling, measures });
  const scoring = scoringOf(answers);
  const tops = measures.flatMap(({ topKShare }) => topKShare);
  const largest = measures
    .map(({ largestLogprobDifference: value }, prompt) => ({ value, prompt, position: 0 }))
    .reduce((most, one) => (one.value > most.value ? one : most));
  return {
    ...{ v: 2, verdict, cause, reasons: reasonsOf(verdict, cause, failuresOf(checks)) },
    ...{ a: named(a, answers, "a"), b: named(b, answers, "b"), computedBy: computedBy(a, b), repeatable },
    ...{ positions: kl.length, meanKl, largestKl: Math.max(0, ...kl) },
    topOneAgreement: sum(measures.map((one) => one.topOneAgreements)) / kl.length,
    topFiveShare: sum(tops) / tops.length,
    klOf: kl.length === 0 ? "nothing" : "likeliest tokens",
    ...{ largestLogitDifference: largest, scoring },
    ...{ configurationDifferences: [], weights: null, modules: null, firstDivergence: null, routerTies: 0, task },
    prompts: answers.map(({ a: answer, measures: one }) => ({
      ...{ promptTokens: answer.prompt.length, truncated: false, answerTokens: answer.tokens.length },
      meanKl: one.kl.length === 0 ? Number.NaN : sum(one.kl) / one.kl.length,
      greedyDivergence: one.divergence ?? null,
    })),
    checks,
  };
}

function scoringOf(answers: readonly AnsweredPrompt[]): ComparedScoring {
  const scored = answers.filter(({ scoredBy }) => scoredBy !== null);
  const by = scored[0]?.scoredBy ?? null;
  return {
    ...{ a: by?.a ?? null, b: by?.b ?? null, prompts: scored.length },
    otherTokens: answers.filter((one) => one.otherTokens).length,
  };
}

/** A server shows no weights: what it answered is all that names it. */
function named(side: ComparedSide, answers: readonly AnsweredPrompt[], which: "a" | "b"): ComparedSide {
  if (side.kind !== "server") return side;
  const told = answers.map((one) => ({ text: one[which].text, tokens: one[which].tokens.map(({ token }) => token) }));
  return { ...side, contentSha256: sha256(canonicalJson(told)) };
}

function answersCause(
  verdict: Verdict,
  {
    repeatable,
    sampling,
    measures,
  }: {
    repeatable: Repeatability;
    sampling: ReturnType<typeof samplingSides>;
    measures: readonly AnsweredPrompt["measures"][];
  },
): Cause | null {
  if (verdict === "same") return null;
  const nowhere = { layer: null, module: null };
  if (verdict === "within tolerance") return { reason: "type", ...nowhere, text: "answers agree up to rounding" };
  const [sampled] = sampling;
  if (sampled) {
    const where = `token ${sampled.at + 1} of prompt ${sampled.prompt + 1}`;
    const text = `side ${sampled.side} chose a token that is not its own likeliest, at ${where}: it samples`;
    return { reason: "sampling", ...nowhere, text };
  }
  const unsteady = unsteadySide(repeatable);
  if (unsteady) return unsteady;
  const prompt = measures.findIndex(({ divergence }) => divergence && !divergence.nearTie);
  const at = measures[prompt]?.divergence?.at ?? 0;
  const text =
    prompt === -1
      ? "the likeliest tokens' probabilities differ; dump traces of both to see in which layer"
      : `prompt ${prompt + 1} parts at ${at + 1}, where neither side was near a tie; dump traces of both to see in which layer`;
  return { reason: "operator", ...nowhere, text };
}
