/**
 * The router of a mixture-of-experts layer: which experts each token goes to, and with what weights.
 * Knows: sigmoid scores, bias-corrected and group-limited selection (DeepSeek-V3 report §2.1.2, inference/model.py class Gate).
 * Does not know: what an expert computes.
 */
import type { Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";
import type { SequenceContext } from "./attention.ts";
import { linear } from "./layers.ts";

export interface Routing {
  /** int64 [rows, chosen]: experts, best first. */
  readonly experts: Tensor;
  /** [rows, chosen]: what each expert's output is multiplied with. */
  readonly weights: Tensor;
}

/** Routes x [rows, hidden]. The bias decides who is chosen and never enters the weights; no gradient reaches it. */
export function route(context: SequenceContext, prefix: string, x: Tensor): Routing {
  const { config, parameter, rows } = context;
  const scores = f.sigmoid(linear(x, parameter(`${prefix}.gate.weight`)));
  const corrected = f.add(scores, parameter(`${prefix}.gate.e_score_correction_bias`));
  const [, experts] = f.topK(limitGroups(context, corrected), config.num_experts_per_tok);
  if (context.tap) {
    context.tap(`${prefix}.gate`, corrected);
    context.tap(`${prefix}.gate.chosen`, f.cast(experts, "float32"));
  }
  const picked = f.gatherElements(scores, experts, 1);
  // 1e-20 (as in transformers) changes no sum above 1e-12; it keeps a token whose scores all underflow from becoming NaN.
  const normal = config.norm_topk_prob ? f.div(picked, f.add(f.reduceSum(picked, [1]), 1e-20)) : picked;
  const weights = config.routed_scaling_factor === 1 ? normal : f.mul(normal, config.routed_scaling_factor);
  return { experts, weights: f.reshape(weights, [rows, config.num_experts_per_tok]) };
}

/**
 * Scores [rows, experts] with −∞ outside each row's best groups; a group's score is the sum of its two best.
 * DeepSeek's code fills with −∞, transformers with 0, which lets a masked expert win where all corrected scores are negative.
 */
function limitGroups({ config, rows }: SequenceContext, scores: Tensor): Tensor {
  const { n_group: groups, topk_group: kept } = config;
  if (groups === 1 || kept === groups) return scores;
  const experts = Number(scores.shape[1]);
  const grouped = f.reshape(scores, [rows, groups, experts / groups]);
  const groupScores = f.reduceSum(f.topK(grouped, 2)[0], [2], false);
  const [keptScores, keptGroups] = f.topK(groupScores, kept);
  const mask = f.scatterElements(
    f.fullLike(groupScores, Number.NEGATIVE_INFINITY),
    keptGroups,
    f.fullLike(keptScores, 0),
    1,
  );
  return f.reshape(f.add(grouped, f.reshape(mask, [rows, groups, 1])), [rows, experts]);
}
