/**
 * The keys that DeepSeek-V2's configuration adds, and its attention in the words of V3's, which the engine's graphs read.
 * Knows: both configurations. Does not know: graphs.
 * Source: deepseek-ai/DeepSeek-V2 configuration_deepseek.py and modeling_deepseek.py.
 */
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";
import { DeepseekConfig } from "../../spec/deepseek-config.ts";
import type { ParsedConfig } from "./decoder-config.ts";

const count = z.int().nonnegative().max(1_000_000);

export const LatentKeys = {
  q_lora_rank: count.nullish(),
  kv_lora_rank: count.optional(),
  qk_nope_head_dim: count.optional(),
  qk_rope_head_dim: count.optional(),
  v_head_dim: count.optional(),
  n_routed_experts: count.nullish(),
  n_shared_experts: count.nullish(),
  n_group: count.nullish(),
  topk_group: count.nullish(),
  topk_method: z.enum(["greedy", "group_limited_greedy"]).optional(),
  scoring_func: z.literal("softmax").optional(),
  moe_layer_freq: z.literal(1).optional(),
  first_k_dense_replace: count.optional(),
  routed_scaling_factor: z.number().positive().optional(),
} as const;

/** BadInput where a key of latent attention is missing or is not what the engine's graphs compute. */
export function latentOf(config: ParsedConfig, where: string): DeepseekConfig {
  const parsed = DeepseekConfig.safeParse({
    ...{ vocab_size: config.vocab_size, hidden_size: config.hidden_size, intermediate_size: config.intermediate_size },
    ...{ num_hidden_layers: config.num_hidden_layers, num_attention_heads: config.num_attention_heads },
    ...{ q_lora_rank: config.q_lora_rank || null, kv_lora_rank: config.kv_lora_rank },
    ...{ qk_nope_head_dim: config.qk_nope_head_dim, qk_rope_head_dim: config.qk_rope_head_dim },
    ...{ v_head_dim: config.v_head_dim, rms_norm_eps: config.rms_norm_eps, rope_theta: config.rope_theta ?? 10_000 },
    ...{ rope_scaling: config.rope_scaling ?? null, max_position_embeddings: config.max_position_embeddings },
    ...{ attention_bias: config.attention_bias ?? false, tie_word_embeddings: config.tie_word_embeddings },
  });
  if (parsed.success) return parsed.data;
  throw new BadInput(
    ...parsed.error.issues.map(
      ({ path, message }) =>
        `${where}: ${path.join(".")}: ${message}; no ONNX graph is made of this, port it --to bf16`,
    ),
  );
}
