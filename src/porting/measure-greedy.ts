/**
 * Where two models' greedy answers part, and whether they had to choose between nearly equal tokens there.
 * Knows: logits of both over one side's answer. Does not know: how answers are computed.
 */
import { nearTie } from "../catalog/parity-thresholds.ts";
import { rankOf, topToken } from "./measure-logits.ts";

export interface GreedyDivergence {
  /** Index in the answer, from 0, of the first token that the two choose differently. */
  readonly at: number;
  readonly tokens: { readonly a: number; readonly b: number };
  /** The larger of the two sides' differences in nats between its own choice and the other's. */
  readonly gapNats: number;
  /** The worse of the two ranks that a side gives to the other's choice. */
  readonly rank: number;
  readonly nearTie: boolean;
}

/**
 * `a` and `b` are logits [prompt + answer, vocabulary] over the prompt and a's greedy answer. Up to the first difference b was given what
 * it would have said itself, so its own greedy answer parts exactly there. Undefined when the whole answer is the same.
 */
export function greedyDivergence(
  { a, b, vocabulary }: { a: Float32Array; b: Float32Array; vocabulary: number },
  { promptTokens, answer }: { promptTokens: number; answer: readonly number[] },
): GreedyDivergence | undefined {
  for (const [at, chosenA] of answer.entries()) {
    const begin = (promptTokens - 1 + at) * vocabulary;
    const rowB = b.subarray(begin, begin + vocabulary);
    const chosenB = topToken(rowB);
    if (chosenB === chosenA) continue;
    const rowA = a.subarray(begin, begin + vocabulary);
    const gapNats = Math.max(rowA[chosenA]! - rowA[chosenB]!, rowB[chosenB]! - rowB[chosenA]!);
    const rank = Math.max(rankOf(rowA, chosenB), rankOf(rowB, chosenA));
    const { closeNats, gapNats: gap, rank: second } = nearTie;
    const isNear = gapNats <= closeNats.limit || (gapNats <= gap.limit && rank <= second.limit);
    return { at, tokens: { a: chosenA, b: chosenB }, gapNats, rank, nearTie: isNear };
  }
  return undefined;
}
