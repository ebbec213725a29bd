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
 * `a` and `b` are logits [promptTokens + answerTokens, vocabulary] over a prompt and a's greedy answer. Up to the first difference b was
 * given what it would have said itself, so its own greedy answer parts exactly there. Undefined when the whole answer is the same.
 */
export function greedyDivergence(
  { a, b, vocabulary }: { a: Float32Array; b: Float32Array; vocabulary: number },
  { promptTokens, answerTokens }: { promptTokens: number; answerTokens: number },
): GreedyDivergence | undefined {
  for (let at = 0; at < answerTokens; at++) {
    const begin = (promptTokens - 1 + at) * vocabulary;
    const parted = partingAt(a.subarray(begin, begin + vocabulary), b.subarray(begin, begin + vocabulary), at);
    if (parted) return parted;
  }
  return undefined;
}

/** What two rows of logits choose differently at token `at` of an answer; undefined where they choose the same. */
export function partingAt(rowA: Float32Array, rowB: Float32Array, at: number): GreedyDivergence | undefined {
  const [chosenA, chosenB] = [topToken(rowA), topToken(rowB)];
  if (chosenA === chosenB) return undefined;
  const gapNats = Math.max(rowA[chosenA]! - rowA[chosenB]!, rowB[chosenB]! - rowB[chosenA]!);
  const rank = Math.max(rankOf(rowA, chosenB), rankOf(rowB, chosenA));
  const { closeNats, gapNats: gap, rank: second } = nearTie;
  const isNear = gapNats <= closeNats.limit || (gapNats <= gap.limit && rank <= second.limit);
  return { at, tokens: { a: chosenA, b: chosenB }, gapNats, rank, nearTie: isNear };
}
