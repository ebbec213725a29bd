/**
 * Whether two sides route a token to the same experts, and where they do not, whether rounding explains it.
 * Knows: group-limited selection over scores with their bias. Does not know: experts' outputs.
 */
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";

export type RoutingShape = Pick<DeepseekConfig, "n_group" | "topk_group" | "num_experts_per_tok">;

/** One token that the sides send to different experts. */
export interface Flip {
  readonly row: number;
  /**
   * `tie`: the scores agree up to rounding and each side chose rightly by its own. `masked`: a side chose an expert of a group that is
   * out, as happens where the group mask is 0 instead of −∞. `scores`: the scores themselves differ. `choice`: none of these.
   */
  readonly kind: "tie" | "masked" | "scores" | "choice";
}

/** Scores [rows, experts], choices [rows, chosen]; `scoresAgree` tells rows whose scores differ by no more than rounding. */
export function compareRouting(
  a: { scores: Float32Array; chosen: Float32Array },
  b: { scores: Float32Array; chosen: Float32Array },
  { rows, shape, scoresAgree }: { rows: number; shape: RoutingShape; scoresAgree: (row: number) => boolean },
): Flip[] {
  const flips: Flip[] = [];
  const experts = rows === 0 ? 0 : a.scores.length / rows;
  const count = rows === 0 ? 0 : a.chosen.length / rows;
  for (let row = 0; row < rows; row++) {
    const [chosenA, chosenB] = [a, b].map(({ chosen }) => chosen.subarray(row * count, (row + 1) * count)) as [
      Float32Array,
      Float32Array,
    ];
    if (asSet(chosenA) === asSet(chosenB)) continue;
    const sides = [
      { scores: a.scores.subarray(row * experts, (row + 1) * experts), chosen: chosenA },
      { scores: b.scores.subarray(row * experts, (row + 1) * experts), chosen: chosenB },
    ];
    flips.push({ row, kind: kindOf(sides, shape, scoresAgree(row)) });
  }
  return flips;
}

function kindOf(
  sides: readonly { scores: Float32Array; chosen: Float32Array }[],
  shape: RoutingShape,
  scoresAgree: boolean,
): Flip["kind"] {
  const right = sides.map(
    ({ scores, chosen }) => asSet(select(scores, shape, Number.NEGATIVE_INFINITY)) === asSet(chosen),
  );
  if (right.every(Boolean)) return scoresAgree ? "tie" : "scores";
  const explained = sides.every(
    ({ scores, chosen }, index) => right[index] || asSet(select(scores, shape, 0)) === asSet(chosen),
  );
  return explained ? "masked" : "choice";
}

/** The experts chosen by scores with those of groups that are out replaced by `fill`; lower index among equals. */
export function select(scores: Float32Array, shape: RoutingShape, fill: number): number[] {
  const { n_group: groups, topk_group: kept, num_experts_per_tok: chosen } = shape;
  const all = [...scores];
  const size = all.length / groups;
  const best = (values: readonly number[], count: number): number[] =>
    values
      .map((value, index) => ({ value, index }))
      .sort((x, y) => y.value - x.value || x.index - y.index)
      .slice(0, count)
      .map(({ index }) => index);
  const groupScores = Array.from({ length: groups }, (_, group) => {
    const own = all.slice(group * size, (group + 1) * size).sort((x, y) => y - x);
    return (own[0] ?? 0) + (own[1] ?? 0);
  });
  const inside = new Set(best(groupScores, kept));
  const masked = all.map((score, expert) => (inside.has(Math.floor(expert / size)) ? score : fill));
  return best(groups === 1 || kept === groups ? all : masked, chosen);
}

const asSet = (experts: Iterable<number>): string => [...experts].sort((x, y) => x - y).join();
