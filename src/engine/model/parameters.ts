/**
 * The parameters of a DeepSeek-V3 model: Hugging Face names, shapes, how each starts and how each changes.
 * Knows: the configuration and the published checkpoint's tensor names. Does not know: graphs, memory.
 * Source of names and shapes: deepseek-ai/DeepSeek-V3 checkpoint index and README_WEIGHTS.md (read 2026-11-23).
 */
import { type DeepseekConfig, isExpertLayer } from "../../spec/deepseek-config.ts";
import type { ParameterSpec } from "../program.ts";

/** All parameters, sorted by name. */
export function parametersOf(config: DeepseekConfig): ParameterSpec[] {
  const { hidden_size: hidden, vocab_size: vocabulary, num_hidden_layers: layers } = config;
  const linear = linearSpec(config);
  const specs = [
    linear("model.embed_tokens", vocabulary, hidden),
    linear("lm_head", vocabulary, hidden),
    norm("model.norm", hidden),
  ];
  for (let layer = 0; layer < layers; layer++) specs.push(...layerParameters(config, layer));
  if (config.num_nextn_predict_layers > 0) {
    // The extra layer's embedding and head are the main model's (README_WEIGHTS: "shared"), so they are not listed twice.
    const prefix = `model.layers.${layers}`;
    specs.push(...layerParameters(config, layers));
    specs.push(
      norm(`${prefix}.enorm`, hidden),
      norm(`${prefix}.hnorm`, hidden),
      norm(`${prefix}.shared_head.norm`, hidden),
    );
    specs.push(linear(`${prefix}.eh_proj`, hidden, 2 * hidden));
  }
  return specs.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function layerParameters(config: DeepseekConfig, layer: number): ParameterSpec[] {
  const prefix = `model.layers.${layer}`;
  return [
    norm(`${prefix}.input_layernorm`, config.hidden_size),
    norm(`${prefix}.post_attention_layernorm`, config.hidden_size),
    ...attentionParameters(config, `${prefix}.self_attn`),
    ...feedForwardParameters(config, layer, `${prefix}.mlp`),
  ];
}

function attentionParameters(config: DeepseekConfig, prefix: string): ParameterSpec[] {
  const { hidden_size: hidden, num_attention_heads: heads, kv_lora_rank: latent, q_lora_rank: queryRank } = config;
  const linear = linearSpec(config);
  const queryWidth = heads * (config.qk_nope_head_dim + config.qk_rope_head_dim);
  const query =
    queryRank === null
      ? [linear(`${prefix}.q_proj`, queryWidth, hidden)]
      : [
          linear(`${prefix}.q_a_proj`, queryRank, hidden),
          norm(`${prefix}.q_a_layernorm`, queryRank),
          linear(`${prefix}.q_b_proj`, queryWidth, queryRank),
        ];
  return [
    ...query,
    linear(`${prefix}.kv_a_proj_with_mqa`, latent + config.qk_rope_head_dim, hidden),
    norm(`${prefix}.kv_a_layernorm`, latent),
    linear(`${prefix}.kv_b_proj`, heads * (config.qk_nope_head_dim + config.v_head_dim), latent),
    linear(`${prefix}.o_proj`, hidden, heads * config.v_head_dim),
  ];
}

function feedForwardParameters(config: DeepseekConfig, layer: number, prefix: string): ParameterSpec[] {
  const { hidden_size: hidden } = config;
  if (!isExpertLayer(config, layer)) return swiGlu(config, prefix, config.intermediate_size);
  const experts = config.n_routed_experts ?? 0;
  const width = config.moe_intermediate_size ?? 0;
  const shared = config.n_shared_experts * width;
  return [
    linearSpec(config)(`${prefix}.gate`, experts, hidden),
    {
      name: `${prefix}.gate.e_score_correction_bias`,
      shape: [experts],
      init: { kind: "zeros" },
      update: "routing-bias",
    },
    ...Array.from({ length: experts }, (_, expert) => swiGlu(config, `${prefix}.experts.${expert}`, width)).flat(),
    ...(shared > 0 ? swiGlu(config, `${prefix}.shared_experts`, shared) : []),
  ];
}

function swiGlu(config: DeepseekConfig, prefix: string, width: number): ParameterSpec[] {
  const linear = linearSpec(config);
  return [
    linear(`${prefix}.gate_proj`, width, config.hidden_size),
    linear(`${prefix}.up_proj`, width, config.hidden_size),
    linear(`${prefix}.down_proj`, config.hidden_size, width),
  ];
}

function linearSpec(config: DeepseekConfig) {
  return (name: string, out: number, into: number): ParameterSpec => ({
    name: `${name}.weight`,
    shape: [out, into],
    init: { kind: "normal", std: config.initializer_range },
    update: "gradient",
  });
}

function norm(name: string, size: number): ParameterSpec {
  return { name: `${name}.weight`, shape: [size], init: { kind: "ones" }, update: "gradient-no-decay" };
}
