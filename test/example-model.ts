/** A small DeepSeek-V3 with seeded weights large enough that its answers are decided ones, published as a checkpoint. */
import { ManifestBody } from "../src/checkpoint/manifest.ts";
import { publishCheckpoint } from "../src/checkpoint/publish.ts";
import { deepseekV3 } from "../src/engine/model/deepseek.ts";
import { DeepseekConfig } from "../src/spec/deepseek-config.ts";
import { random } from "../src/spec/random.ts";
import { exampleBody, exampleFiles } from "./example-checkpoint.ts";

/** One dense layer, one with experts, one for multi-token prediction. */
export const exampleConfig: DeepseekConfig = DeepseekConfig.parse({
  vocab_size: 260,
  hidden_size: 48,
  intermediate_size: 96,
  moe_intermediate_size: 32,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  q_lora_rank: 24,
  kv_lora_rank: 16,
  qk_nope_head_dim: 8,
  qk_rope_head_dim: 8,
  v_head_dim: 8,
  n_routed_experts: 4,
  n_shared_experts: 1,
  num_experts_per_tok: 2,
  n_group: 2,
  topk_group: 1,
  first_k_dense_replace: 1,
  num_nextn_predict_layers: 1,
  routed_scaling_factor: 1.5,
  max_position_embeddings: 256,
});

/** Publishes the model as the checkpoint of `step` and gives its path. `change` may alter a parameter's values. */
export function publishExampleModel(
  folder: string,
  { seed = 1, step = 7, config = exampleConfig }: { seed?: number; step?: number; config?: DeepseekConfig } = {},
): string {
  const parameters = deepseekV3(config).parameters.map(({ name, shape, init, update }) => {
    const source = random(seed, name);
    const elements = shape.reduce((product, size) => product * size, 1);
    // Variance-preserving weights instead of the small ones that training starts from: signals survive the layers.
    const std = name.includes("embed_tokens") ? 1 : 1.5 / Math.sqrt(shape.at(-1) ?? 1);
    const draw = (): number => {
      if (init.kind === "ones") return 1 + 0.2 * source.normal();
      return init.kind === "zeros" ? 0.05 * source.normal() : std * source.normal();
    };
    return { name, shape, moments: update !== "routing-bias", values: Float32Array.from({ length: elements }, draw) };
  });
  const weights = new Map(parameters.map(({ name, values }) => [name, values]));
  const moments = new Map(
    parameters.filter((one) => one.moments).map(({ name, values }) => [name, new Float32Array(values.length)]),
  );
  const state = { weights, firstMoments: moments, secondMoments: moments };
  return publishCheckpoint({
    folder,
    manifest: ManifestBody.parse({ ...exampleBody(step), model: config }),
    files: exampleFiles(state, parameters),
    durable: false,
  }).path;
}
