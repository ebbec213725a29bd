/**
 * The expert layers of Mixtral, Qwen-MoE and DeepSeek-V2: softmax routing, routed and shared experts.
 * Knows: how each family chooses, weighs and names its experts. Does not know: how tokens get to experts (engine/model/experts.ts).
 * Source: huggingface/transformers modeling_{mixtral,qwen2_moe,qwen3_moe}.py; deepseek-ai/DeepSeek-V2 modeling_deepseek.py class MoEGate.
 */
import type { Tensor } from "../../engine/graph.ts";
import { expertsOf, type Projection } from "../../engine/model/experts.ts";
import { linear } from "../../engine/model/layers.ts";
import type { Routing } from "../../engine/model/routing.ts";
import * as f from "../../engine/operators/functions.ts";
import type { ExpertRouting } from "./decoder-config.ts";
import { type DecoderSite, feedForward } from "./decoder-graphs.ts";

/** Mixtral's names of the three projections. */
const mixtralNames: Readonly<Record<Projection, string>> = { gate_proj: "w1", up_proj: "w3", down_proj: "w2" };

/** x [rows, hidden] → what all its experts make of it [rows, hidden]. */
export function expertFeedForward(site: DecoderSite, layer: number, x: Tensor): Tensor {
  const { config, parameter, graph, rows, expertCapacity } = site;
  const { routing, hidden, family } = config;
  if (!routing) throw new Error(`layer ${layer} has no experts`);
  const prefix = `model.layers.${layer}.${family === "mixtral" ? "block_sparse_moe" : "mlp"}`;
  const weight = (expert: number, projection: Projection): Tensor => {
    const name = family === "mixtral" ? mixtralNames[projection] : projection;
    const shape = projection === "down_proj" ? [hidden, routing.width] : [routing.width, hidden];
    return parameter(`${prefix}.experts.${expert}.${name}.weight`, shape);
  };
  const shape = {
    ...{ hidden_size: hidden, moe_intermediate_size: routing.width },
    ...{ n_routed_experts: routing.experts, num_experts_per_tok: routing.chosen },
  };
  const scores = linear(x, parameter(`${prefix}.gate.weight`, [routing.experts, hidden]));
  const context = { graph, rows, expertCapacity, config: shape };
  const { output } = expertsOf(context, layer, x, { routing: chooseExperts(site, scores, routing), weight });
  if (routing.shared === 0) return output;
  const name = family === "qwen2_moe" ? "shared_expert" : "shared_experts";
  const shared = feedForward(site, `${prefix}.${name}`, routing.shared, x);
  if (!routing.sharedGate) return f.add(output, shared);
  const gate = f.sigmoid(linear(x, parameter(`${prefix}.shared_expert_gate.weight`, [1, hidden])));
  return f.add(output, f.mul(shared, gate));
}

/** Of the router's outputs [rows, experts]. */
function chooseExperts({ rows }: DecoderSite, logits: Tensor, routing: ExpertRouting): Routing {
  const scores = f.softmax(logits);
  const [picked, experts] = f.topK(limitGroups({ rows }, scores, routing), routing.chosen);
  const normal = routing.normalises ? f.div(picked, f.reduceSum(picked, [1])) : picked;
  const weights = routing.factor === 1 ? normal : f.mul(normal, routing.factor);
  return { experts, weights: f.reshape(weights, [rows, routing.chosen]) };
}

/** Scores with −∞ outside the best groups. */
function limitGroups({ rows }: Pick<DecoderSite, "rows">, scores: Tensor, routing: ExpertRouting): Tensor {
  const { groups, kept, experts } = routing;
  if (groups === 1 || kept === groups) return scores;
  const grouped = f.reshape(scores, [rows, groups, experts / groups]);
  const best = f.reduceMax(grouped, [2], false);
  const [keptScores, keptGroups] = f.topK(best, kept);
  const mask = f.scatterElements(f.fullLike(best, Number.NEGATIVE_INFINITY), keptGroups, f.fullLike(keptScores, 0), 1);
  return f.reshape(f.add(grouped, f.reshape(mask, [rows, groups, 1])), [rows, experts]);
}
