/**
 * The model that the embedded engine trains: a DeepSeek-V3 architecture by its Hugging Face `config.json` fields.
 * Knows: field names, defaults of the published V3 configuration class, which sizes must divide which. Does not know: graphs.
 * Source of names and defaults: huggingface/transformers configuration_deepseek_v3.py (read 2026-11-23).
 */
import * as z from "zod";

const size = z.int().positive().max(1_000_000);

/** YaRN, the one scaling that DeepSeek's models use; defaults are those of DeepSeek's own code. */
const RopeScaling = z
  .strictObject({
    type: z.literal("yarn").optional(),
    rope_type: z.literal("yarn").optional(),
    factor: z.number().min(1),
    original_max_position_embeddings: size,
    beta_fast: z.number().positive().default(32),
    beta_slow: z.number().positive().default(1),
    mscale: z.number().nonnegative().default(1),
    mscale_all_dim: z.number().nonnegative().default(0),
  })
  .refine(({ type, rope_type }) => type !== undefined || rope_type !== undefined, "type is missing; give yarn");

export const DeepseekConfig = z
  .strictObject({
    model_type: z.literal("deepseek_v3").default("deepseek_v3"),
    architectures: z.array(z.string()).optional(),
    vocab_size: size,
    hidden_size: size,
    /** Width of the SwiGLU of dense layers. */
    intermediate_size: size,
    /** Width of the SwiGLU of one expert; needed only with experts. */
    moe_intermediate_size: size.optional(),
    num_hidden_layers: z.int().positive().max(512),
    num_attention_heads: z.int().positive().max(1024),
    /** Latent attention always uses as many key/value heads as heads; accepted because Hugging Face writes it. */
    num_key_value_heads: z.int().positive().optional(),
    /** Rank of the query's low-rank projection; null projects the query directly. */
    q_lora_rank: size.nullable().default(null),
    kv_lora_rank: size,
    qk_nope_head_dim: size,
    qk_rope_head_dim: size,
    v_head_dim: size,
    /** Routed experts per layer; null or 0 makes every layer dense. */
    n_routed_experts: z.int().nonnegative().max(4096).nullable().default(null),
    n_shared_experts: z.int().nonnegative().max(64).default(0),
    num_experts_per_tok: z.int().positive().default(1),
    n_group: z.int().positive().default(1),
    topk_group: z.int().positive().default(1),
    norm_topk_prob: z.boolean().default(true),
    routed_scaling_factor: z.number().positive().default(1),
    scoring_func: z.literal("sigmoid").default("sigmoid"),
    topk_method: z.literal("noaux_tc").default("noaux_tc"),
    moe_layer_freq: z.literal(1).default(1),
    /** Layers below this index are dense. */
    first_k_dense_replace: z.int().nonnegative().default(0),
    /** Multi-token-prediction layers after the last one (0 or 1). */
    num_nextn_predict_layers: z.int().min(0).max(1).default(0),
    hidden_act: z.literal("silu").default("silu"),
    rms_norm_eps: z.number().positive().default(1e-6),
    rope_theta: z.number().positive().default(10_000),
    rope_scaling: RopeScaling.nullable().default(null),
    max_position_embeddings: size.default(2048),
    initializer_range: z.number().positive().default(0.02),
    tie_word_embeddings: z.literal(false).default(false),
    attention_bias: z.literal(false).default(false),
    attention_dropout: z.literal(0).default(0),
    bos_token_id: z.int().nonnegative().optional(),
    eos_token_id: z.int().nonnegative().optional(),
    torch_dtype: z.string().optional(),
  })
  .superRefine((config, context) => {
    const refuse = (key: string, message: string): void => context.addIssue({ code: "custom", path: [key], message });
    if (config.qk_rope_head_dim % 2 !== 0) {
      refuse(
        "qk_rope_head_dim",
        `${config.qk_rope_head_dim} is odd, but rotary pairs need an even size; use ${config.qk_rope_head_dim + 1}`,
      );
    }
    const experts = config.n_routed_experts ?? 0;
    if (experts === 0) return;
    if (config.moe_intermediate_size === undefined) {
      refuse("moe_intermediate_size", `missing, but n_routed_experts is ${experts}; give the width of one expert`);
    }
    if (experts % config.n_group !== 0) {
      refuse("n_group", `${config.n_group} does not divide n_routed_experts ${experts}; choose a divisor`);
      return;
    }
    if (config.topk_group > config.n_group) {
      refuse("topk_group", `${config.topk_group} is more than n_group ${config.n_group}; lower it`);
    }
    const reachable = (experts / config.n_group) * config.topk_group;
    if (config.num_experts_per_tok > reachable) {
      refuse(
        "num_experts_per_tok",
        `${config.num_experts_per_tok} is more than the ${reachable} experts of ${config.topk_group} groups; lower it`,
      );
    }
    if (config.n_group > 1 && experts / config.n_group < 2) {
      refuse(
        "n_group",
        "a group needs at least 2 experts, because its score is the sum of its best two; use fewer groups",
      );
    }
  });
export type DeepseekConfig = z.infer<typeof DeepseekConfig>;

/** True where layer `index` (from 0) routes to experts. */
export function isExpertLayer(config: DeepseekConfig, index: number): boolean {
  return (config.n_routed_experts ?? 0) > 0 && index >= config.first_k_dense_replace;
}
