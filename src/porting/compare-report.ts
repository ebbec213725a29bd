/**
 * Puts together what two models' comparison says: figures, verdict, and the reasons for it.
 * Knows: measurements and the report's fields. Does not know: how they were measured.
 */
import type { WeightComparison } from "./compare-weights.ts";
import type { GreedyDivergence } from "./measure-greedy.ts";
import type { LogitMeasures } from "./measure-logits.ts";
import type { ExportFormat } from "./model-config.ts";
import { type OpenedModel, storedWeightsSha256 } from "./open-model.ts";
import { type Check, judge, type PositionMeasure, type Verdict } from "./verdict.ts";

export interface ComparedSide {
  readonly path: string;
  readonly kind: OpenedModel["kind"];
  readonly step: number | null;
  readonly weightsSha256: string;
  readonly format: ExportFormat;
}

export interface ComparedPrompt {
  readonly promptTokens: number;
  readonly truncated: boolean;
  readonly answerTokens: number;
  readonly meanKl: number;
  readonly greedyDivergence: GreedyDivergence | null;
}

/** The command's JSON document. */
export interface CompareReport {
  readonly verdict: Verdict;
  /** Why, when the verdict is `different`. */
  readonly reasons: readonly string[];
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  /** What computed both sides' answers. */
  readonly computedBy: string;
  readonly positions: number;
  readonly topOneAgreement: number;
  /** Nats per token. */
  readonly meanKl: number;
  readonly largestKl: number;
  readonly largestLogitDifference: { readonly value: number; readonly prompt: number; readonly position: number };
  readonly repeatable: { readonly a: boolean; readonly b: boolean };
  readonly configurationDifferences: readonly string[];
  readonly weights: WeightComparison;
  readonly prompts: readonly ComparedPrompt[];
  readonly checks: readonly Check[];
}

/** What was measured on one prompt. */
export interface Measurement {
  readonly prompt: ComparedPrompt;
  readonly logits: LogitMeasures;
}

export function reportOf({
  a,
  b,
  weights,
  measured,
  repeatable,
}: {
  a: OpenedModel;
  b: OpenedModel;
  weights: WeightComparison;
  measured: readonly Measurement[];
  repeatable: { a: boolean; b: boolean };
}): CompareReport {
  const logits = measured.map((one) => one.logits);
  const positions = sum(logits.map((one) => one.positions));
  const sides = { a: sideOf(a), b: sideOf(b) };
  const largest = logits
    .flatMap((one, prompt) => [...one.largestDifference].map((value, position) => ({ value, prompt, position })))
    .reduce((most, one) => (one.value > most.value ? one : most));
  const prompts = measured.map((one) => one.prompt);
  const configurationDifferences = differencesOf(a, b);
  const perPosition = measured.flatMap(positionsOf);
  const meanKl = sum(logits.map((one) => sum(one.kl))) / positions;
  const { verdict, checks } = judge({
    positions: perPosition,
    meanKl,
    format: sides.a.format === "bf16" || sides.b.format === "bf16" ? "bf16" : "fp32",
    blocks: 2 * a.config.num_hidden_layers,
    hasExperts: (a.config.n_routed_experts ?? 0) > 0,
    tensorsBeyondRounding: weights.different.length,
    configurationDifferences: configurationDifferences.length,
    unrepeatable: [repeatable.a, repeatable.b].filter((repeats) => !repeats).length,
  });
  const failed = checks
    .filter(({ passed }) => !passed)
    .map(({ name, value, limit }) => `${name}: ${value}, limit ${limit}`);
  const [worst] = weights.different;
  return {
    verdict,
    reasons: [
      ...configurationDifferences,
      ...(worst
        ? [`${worst.tensor} differs most of ${weights.different.length} tensors: relative error ${worst.relativeError}`]
        : []),
      ...failed,
    ],
    ...sides,
    computedBy: "the embedded engine on this machine's CPU, both sides in float32",
    positions,
    topOneAgreement: sum(logits.map((one) => one.topOneAgreements)) / positions,
    largestKl: logits.reduce((most, { kl }) => kl.reduce((top, value) => Math.max(top, value), most), 0),
    largestLogitDifference: largest,
    meanKl,
    repeatable,
    configurationDifferences,
    weights,
    prompts,
    checks,
  };
}

function positionsOf({ logits, prompt }: Measurement): PositionMeasure[] {
  const { at, nearTie } = prompt.greedyDivergence ?? { at: -1, nearTie: true };
  return [...logits.relativeError].map((relativeError, position) => ({
    relativeError,
    cosine: logits.cosine[position]!,
    largestDifference: logits.largestDifference[position]!,
    partsBeyondNearTie: !nearTie && position === prompt.promptTokens - 1 + at,
  }));
}

function sideOf(model: OpenedModel): ComparedSide {
  const format = model.parameters.some(({ dtype }) => dtype === "BF16") ? "bf16" : "fp32";
  const { path, kind, manifest } = model;
  return { path, kind, step: manifest?.step ?? null, weightsSha256: storedWeightsSha256(model), format };
}

/** Keys that say how a model is stored or spelt, not what it computes. */
const storageKeys = new Set(["torch_dtype", "architectures", "bos_token_id", "eos_token_id", "num_key_value_heads"]);

function differencesOf(a: OpenedModel, b: OpenedModel): string[] {
  const [inA, inB] = [new Map(Object.entries(a.config)), new Map(Object.entries(b.config))];
  const dense = (a.config.n_routed_experts ?? 0) === 0 && (b.config.n_routed_experts ?? 0) === 0;
  return [...new Set([...inA.keys(), ...inB.keys()])]
    .filter((key) => !storageKeys.has(key) && !(dense && ["first_k_dense_replace", "n_routed_experts"].includes(key)))
    .filter((key) => JSON.stringify(inA.get(key)) !== JSON.stringify(inB.get(key)))
    .map((key) => `configuration: ${key} is ${JSON.stringify(inA.get(key))} and ${JSON.stringify(inB.get(key))}`);
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
