/**
 * A transformer block and the stack of them: attention, then a dense or an expert feed-forward, each around a residual.
 * Knows: norms, residuals, which layers have experts. Does not know: losses, graph inputs and outputs.
 */
import { isExpertLayer } from "../../spec/deepseek-config.ts";
import type { Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";
import { decodeAttention, latentAttention, type SequenceContext } from "./attention.ts";
import { routedExperts } from "./experts.ts";
import { linear, rmsNorm, swiGlu } from "./layers.ts";

/** Tokens routed to each expert, float32 [experts], by layer; what a block adds to as it is built. */
export type Loads = Map<number, Tensor>;

/** Embeddings [rows, hidden] → final normalised states [rows, hidden] and each layer's cache [rows, latent + rope]. */
export function readSequence(
  context: SequenceContext,
  embedded: Tensor,
  loads: Loads,
): { hidden: Tensor; caches: readonly Tensor[] } {
  let x = embedded;
  const caches: Tensor[] = [];
  for (let layer = 0; layer < context.config.num_hidden_layers; layer++) {
    const block = readBlock(context, layer, x, loads);
    x = block.output;
    context.tap?.(`model.layers.${layer}`, x);
    caches.push(block.cache);
  }
  const hidden = norm(context, "model.norm", x);
  context.tap?.("model.norm", hidden);
  return { hidden, caches };
}

/** One block over whole sequences. */
export function readBlock(
  context: SequenceContext,
  layer: number,
  x: Tensor,
  loads: Loads,
): { output: Tensor; cache: Tensor } {
  const prefix = `model.layers.${layer}`;
  const { output, cache } = latentAttention(
    context,
    `${prefix}.self_attn`,
    norm(context, `${prefix}.input_layernorm`, x),
  );
  return { output: feedForwardResidual(context, layer, f.add(x, output), loads), cache };
}

/** One block for the new tokens of sequences that have a cache [batch, past, latent + rope]. */
export function decodeBlock(
  context: SequenceContext,
  layer: number,
  x: Tensor,
  cache: Tensor,
): { output: Tensor; newCache: Tensor } {
  const prefix = `model.layers.${layer}`;
  const normed = norm(context, `${prefix}.input_layernorm`, x);
  const { output, newCache } = decodeAttention(context, `${prefix}.self_attn`, normed, cache);
  return { output: feedForwardResidual(context, layer, f.add(x, output), new Map()), newCache };
}

/** RMS norm with the weight `<name>.weight`. */
export function norm({ parameter, config }: SequenceContext, name: string, x: Tensor): Tensor {
  return rmsNorm(x, parameter(`${name}.weight`), config.rms_norm_eps);
}

function feedForwardResidual(context: SequenceContext, layer: number, x: Tensor, loads: Loads): Tensor {
  const { config } = context;
  const prefix = `model.layers.${layer}`;
  const normed = norm(context, `${prefix}.post_attention_layernorm`, x);
  if (!isExpertLayer(config, layer)) {
    const dense = feedForward(context, `${prefix}.mlp`, normed);
    context.tap?.(`${prefix}.mlp`, dense);
    return f.add(x, dense);
  }
  const routed = routedExperts(context, layer, normed);
  loads.set(layer, routed.load);
  context.tap?.(`${prefix}.mlp.experts`, routed.output);
  const withRouted = f.add(x, routed.output);
  // Shared experts see every token, unscaled.
  if (config.n_shared_experts === 0) return withRouted;
  const shared = feedForward(context, `${prefix}.mlp.shared_experts`, normed);
  context.tap?.(`${prefix}.mlp.shared_experts`, shared);
  return f.add(withRouted, shared);
}

function feedForward({ parameter }: SequenceContext, prefix: string, x: Tensor): Tensor {
  const gate = linear(x, parameter(`${prefix}.gate_proj.weight`));
  const up = linear(x, parameter(`${prefix}.up_proj.weight`));
  return linear(swiGlu(gate, up), parameter(`${prefix}.down_proj.weight`));
}
