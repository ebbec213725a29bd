/**
 * Reads a `config.json` of the Llama, Mistral, Qwen, Mixtral and DeepSeek-V2 families as what an ONNX graph of it computes.
 * Knows: keys, their defaults, which say nothing about the numbers; refuses whatever it has no meaning for. Does not know: graphs, weights.
 * Source: huggingface/transformers configuration_{llama,mistral,qwen2,qwen3,mixtral,qwen2_moe,qwen3_moe}.py and
 * deepseek-ai/DeepSeek-V2 configuration_deepseek.py.
 */
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { LatentKeys, latentOf } from "./latent-config.ts";
import { frequenciesOf, type Rope, RopeScaling } from "./rope.ts";

export const decoderFamilies = [
  ...(["llama", "mistral", "qwen2", "qwen3", "mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v2"] as const),
];
export type DecoderFamily = (typeof decoderFamilies)[number];

/** How a router turns scores into weights; all take the softmax over all experts first. */
export interface ExpertRouting {
  readonly experts: number;
  readonly chosen: number;
  readonly width: number;
  /** The chosen weights are divided by their sum. */
  readonly normalises: boolean;
  readonly factor: number;
  /** Only experts of the best `kept` of `groups` are chosen; a group is as good as its best expert. */
  readonly groups: number;
  readonly kept: number;
  /** Width of the feed-forward that every token goes through; 0 for none. */
  readonly shared: number;
  /** Its output is multiplied with a sigmoid of its own (Qwen2-MoE). */
  readonly sharedGate: boolean;
}

export interface DecoderConfig {
  readonly family: DecoderFamily;
  readonly vocab: number;
  readonly hidden: number;
  readonly ffn: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly epsilon: number;
  readonly positionsMax: number;
  readonly tied: boolean;
  /** Of queries, keys and values; and of the output projection. */
  readonly bias: { readonly qkv: boolean; readonly output: boolean };
  readonly queryKeyNorm: boolean;
  /** A token sees this many tokens at most, itself too; undefined sees all. */
  readonly window: number | undefined;
  readonly rope: Rope;
  readonly routing: ExpertRouting | undefined;
  /** True where the layer has experts. */
  readonly isExpertLayer: (layer: number) => boolean;
  /** DeepSeek-V2's latent attention, in the words of V3's configuration. */
  readonly latent: DeepseekConfig | undefined;
}

/** Keys that published configurations carry and that change no logit. */
const silent = new Set([
  ...["architectures", "auto_map", "use_cache", "transformers_version", "torch_dtype", "dtype", "initializer_range"],
  ...["bos_token_id", "eos_token_id", "pad_token_id", "pretraining_tp", "attention_dropout", "router_aux_loss_coef"],
  ...["output_router_logits", "router_jitter_noise", "_name_or_path", "name_or_path", "aux_loss_alpha", "seq_aux"],
  ...["max_window_layers", "ep_size", "norm_type", "unsloth_version", "quantization_config", "transformers.js_config"],
]);

const size = z.int().positive().max(1_000_000);
const count = z.int().nonnegative().max(1_000_000);
const Config = z.strictObject({
  model_type: z.enum(decoderFamilies),
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: z.int().positive().max(512),
  num_attention_heads: z.int().positive().max(1024),
  num_key_value_heads: z.int().positive().max(1024).nullish(),
  head_dim: size.nullish(),
  hidden_act: z.literal("silu").default("silu"),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: RopeScaling.nullish(),
  rope_parameters: z.looseObject({ rope_theta: z.number().positive() }).nullish(),
  max_position_embeddings: size,
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.literal(false).optional(),
  sliding_window: size.nullish(),
  use_sliding_window: z.literal(false).optional(),
  layer_types: z.array(z.literal("full_attention")).optional(),
  partial_rotary_factor: z.literal(1).optional(),
  num_local_experts: count.optional(),
  num_experts: count.optional(),
  num_experts_per_tok: z.int().positive().nullish(),
  moe_intermediate_size: size.nullish(),
  shared_expert_intermediate_size: count.optional(),
  decoder_sparse_step: z.int().positive().optional(),
  mlp_only_layers: z.array(count).max(512).nullish(),
  norm_topk_prob: z.boolean().optional(),
  ...LatentKeys,
});
export type ParsedConfig = z.infer<typeof Config>;

export function isDecoderFamily(modelType: string): boolean {
  return decoderFamilies.some((family) => family === modelType);
}

/** BadInput names the file and every key that the graphs have no meaning for. */
export function readDecoderConfig(json: unknown, where: string): DecoderConfig {
  const given = json !== null && typeof json === "object" && !Array.isArray(json) ? json : {};
  const known = Object.fromEntries(Object.entries(given).filter(([key]) => !silent.has(key)));
  const parsed = Config.safeParse(known);
  if (!parsed.success) {
    throw new BadInput(
      ...parsed.error.issues
        .slice(0, 5)
        .map(
          ({ path, message }) =>
            `${where}: ${path.join(".") || "configuration"}: ${message}; no ONNX graph is made of this, port it --to bf16`,
        ),
    );
  }
  const config = parsed.data;
  const family = config.model_type;
  const heads = config.num_attention_heads;
  const kvHeads = config.num_key_value_heads ?? heads;
  const latent = family === "deepseek_v2" ? latentOf(config, where) : undefined;
  const headDim = latent ? 2 : (config.head_dim ?? config.hidden_size / heads);
  if (!latent && (heads % kvHeads !== 0 || !Number.isInteger(headDim) || headDim % 2 !== 0)) {
    throw new BadInput(
      `${where}: ${heads} heads, ${kvHeads} of keys, of ${headDim} values each; heads must be a multiple, values even: mend it`,
    );
  }
  const qwen2 = family === "qwen2" || family === "qwen2_moe";
  const routing = routingOf(config, where);
  const only = config.mlp_only_layers ?? [];
  const every = config.decoder_sparse_step ?? 1;
  const dense = config.first_k_dense_replace ?? 0;
  return {
    ...{ family, heads, kvHeads, headDim, latent, routing },
    ...{ vocab: config.vocab_size, hidden: config.hidden_size, ffn: config.intermediate_size },
    ...{ layers: config.num_hidden_layers, epsilon: config.rms_norm_eps, tied: config.tie_word_embeddings },
    positionsMax: config.max_position_embeddings,
    bias: { qkv: qwen2 || config.attention_bias === true, output: !qwen2 && config.attention_bias === true },
    queryKeyNorm: family === "qwen3" || family === "qwen3_moe",
    window: family === "mistral" || family === "mixtral" ? (config.sliding_window ?? undefined) : undefined,
    rope: latent ? { frequencies: [], magnitude: 1 } : frequenciesOf(config, headDim, where),
    isExpertLayer: (layer) =>
      routing !== undefined && layer >= dense && !only.includes(layer) && (layer + 1) % every === 0,
  };
}

function routingOf(config: ParsedConfig, where: string): ExpertRouting | undefined {
  const { model_type: family } = config;
  const experts = { mixtral: config.num_local_experts, deepseek_v2: config.n_routed_experts }[family as string];
  const total = experts ?? config.num_experts ?? 0;
  const mixed = ["mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v2"].includes(family);
  if (!mixed || total === 0) {
    if (total === 0 && family !== "mixtral" && !family.endsWith("_moe")) return undefined;
    throw new BadInput(`${where}: ${family} with ${total} experts; no ONNX graph is made of this, port it --to bf16`);
  }
  const chosen = config.num_experts_per_tok ?? 0;
  const width = family === "mixtral" ? config.intermediate_size : (config.moe_intermediate_size ?? 0);
  const limited = config.topk_method === "group_limited_greedy";
  const groups = limited ? (config.n_group ?? 1) : 1;
  const kept = limited ? (config.topk_group ?? 1) : 1;
  if (chosen < 1 || width < 1 || total % groups !== 0 || kept > groups || chosen > (total / groups) * kept) {
    throw new BadInput(`${where}: ${chosen} of ${total} experts, ${kept} of ${groups} groups, width ${width}; mend it`);
  }
  const normalises = family === "mixtral" || config.norm_topk_prob === true;
  return {
    ...{ experts: total, chosen, width, groups, kept, normalises },
    // DeepSeek-V2 multiplies with its factor only what it does not normalise (modeling_deepseek.py, class MoEGate).
    factor: normalises ? 1 : (config.routed_scaling_factor ?? 1),
    shared:
      family === "qwen2_moe"
        ? (config.shared_expert_intermediate_size ?? 0)
        : family === "deepseek_v2"
          ? (config.n_shared_experts ?? 0) * width
          : 0,
    sharedGate: family === "qwen2_moe",
  };
}
