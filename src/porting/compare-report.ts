/**
 * What a comparison's report holds, and the parts of it that follow from two sides' configurations and figures.
 * Knows: the report's fields. Does not know: how anything was measured, how a report is told or sealed.
 */
import type { DeepseekConfig } from "../spec/deepseek-config.ts";
import type { WeightComparison } from "./compare-weights.ts";
import type { GreedyDivergence } from "./measure-greedy.ts";
import type { Cause } from "./parity/locate.ts";
import type { AnswerDivergence } from "./parity/measure-answers.ts";
import type { ComparedSide } from "./parity/open-side.ts";
import type { ScoredText } from "./parity/score-text.ts";
import type { Accuracy } from "./parity/task.ts";
import type { Check, Verdict } from "./verdict.ts";

export interface ComparedPrompt {
  readonly promptTokens: number;
  readonly truncated: boolean;
  readonly answerTokens: number;
  readonly meanKl: number;
  readonly greedyDivergence: GreedyDivergence | AnswerDivergence | null;
}

/** One module over all prompts together. */
export interface ComparedModule {
  readonly module: string;
  readonly layer: number | null;
  readonly cosine: number;
  readonly largestError: number;
  readonly meanError: number;
  readonly relativeError: number;
  /** Share of elements within a thousandth. */
  readonly withinThousandth: number;
  /** Tokens beyond `limit`, of those whose routing did not tip over. */
  readonly tokensBeyond: number;
  readonly tokens: number;
  readonly limit: number;
  /** The vendor's rule for one tensor, told and not judged by: a residual stream's outliers break it by rounding alone. */
  readonly passesVendorRule: boolean;
}

export interface ComparedTask {
  readonly a: Accuracy;
  readonly b: Accuracy;
  readonly onlyA: number;
  readonly onlyB: number;
  /** Exact, two-sided (McNemar). */
  readonly probability: number;
  readonly scoredBy: "likelihood of the choices, or the greedy answer" | "greedy answer";
}

/** How two sides of which one is a server were held against each other on one text: the prompt and A's answer. */
export interface ComparedScoring {
  /** What gave the probabilities; null where a side offers none for a text that it did not write. */
  readonly a: ScoredText["by"] | null;
  readonly b: ScoredText["by"] | null;
  /** Prompts that were scored so; the others are compared on what each side answered, up to where the answers part. */
  readonly prompts: number;
  /** Prompts that the two sides cut into other tokens; their probabilities are not compared. */
  readonly otherTokens: number;
}

export interface Repeatability {
  readonly a: boolean;
  readonly b: boolean;
}

/** The command's JSON document, before it is sealed. */
export interface CompareReport {
  readonly v: 2;
  readonly verdict: Verdict;
  /** Where the two begin to differ and what it looks like; null when they do not. */
  readonly cause: Cause | null;
  /** Why, when the verdict is `different`, the cause first. */
  readonly reasons: readonly string[];
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  readonly computedBy: string;
  readonly repeatable: Repeatability;
  readonly positions: number;
  readonly topOneAgreement: number;
  /** Mean share of A's five likeliest tokens that are among B's. */
  readonly topFiveShare: number;
  /** Nats per token. */
  readonly meanKl: number;
  readonly largestKl: number;
  /** Where only the likeliest tokens are known, `meanKl` is a lower bound of the divergence. */
  readonly klOf: "all tokens" | "likeliest tokens" | "nothing";
  /** Null where no side is a server. */
  readonly scoring: ComparedScoring | null;
  readonly largestLogitDifference: { readonly value: number; readonly prompt: number; readonly position: number };
  readonly configurationDifferences: readonly string[];
  /** Null where a side does not show its weights. */
  readonly weights: WeightComparison | null;
  /** In the order in which the model runs; null where a side does not show its modules. */
  readonly modules: readonly ComparedModule[] | null;
  readonly firstDivergence: string | null;
  /** Tokens whose routing tipped over between experts that score equally up to rounding. */
  readonly routerTies: number;
  readonly task: ComparedTask | null;
  readonly prompts: readonly ComparedPrompt[];
  readonly checks: readonly Check[];
}

/** Keys that say how a model is stored or spelt, not what it computes. */
const storageKeys = new Set(["torch_dtype", "architectures", "num_key_value_heads"]);
/** A checkpoint leaves these to its tokenizer; where both sides say them, a difference ends answers elsewhere. */
const optionalKeys = new Set(["bos_token_id", "eos_token_id"]);

export function configurationDifferences(a: DeepseekConfig | undefined, b: DeepseekConfig | undefined): string[] {
  if (!a || !b) return [];
  const [inA, inB] = [new Map(Object.entries(a)), new Map(Object.entries(b))];
  const dense = (a.n_routed_experts ?? 0) === 0 && (b.n_routed_experts ?? 0) === 0;
  return [...new Set([...inA.keys(), ...inB.keys()])]
    .filter((key) => !storageKeys.has(key) && !(dense && ["first_k_dense_replace", "n_routed_experts"].includes(key)))
    .filter((key) => !optionalKeys.has(key) || (inA.get(key) !== undefined && inB.get(key) !== undefined))
    .filter((key) => JSON.stringify(inA.get(key)) !== JSON.stringify(inB.get(key)))
    .map((key) => `configuration: ${key} is ${JSON.stringify(inA.get(key))} and ${JSON.stringify(inB.get(key))}`);
}

export function configurationCause([first]: readonly string[]): Cause | undefined {
  if (first === undefined) return undefined;
  const rotary = /: (rope_theta|rope_scaling|qk_rope_head_dim) /.test(first);
  return { reason: rotary ? "rotary convention" : "configuration", layer: null, module: "config.json", text: first };
}

export function failuresOf(checks: readonly Check[]): string[] {
  return checks.filter(({ passed }) => !passed).map(({ name, value, limit }) => `${name}: ${value}, limit ${limit}`);
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
