/** Real and hostile config.json texts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BadInput } from "./bad-input.ts";
import { configBytesMax, parseConfig } from "./hugging-face-config.ts";
import { parameterCounts } from "./parameter-counts.ts";

const v3 = {
  architectures: ["DeepseekV3ForCausalLM"],
  model_type: "deepseek_v3",
  attention_bias: false,
  first_k_dense_replace: 3,
  hidden_act: "silu",
  hidden_size: 7168,
  intermediate_size: 18432,
  kv_lora_rank: 512,
  moe_intermediate_size: 2048,
  moe_layer_freq: 1,
  n_group: 8,
  n_routed_experts: 256,
  n_shared_experts: 1,
  num_attention_heads: 128,
  num_experts_per_tok: 8,
  num_hidden_layers: 61,
  num_key_value_heads: 128,
  num_nextn_predict_layers: 1,
  q_lora_rank: 1536,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  tie_word_embeddings: false,
  topk_group: 4,
  v_head_dim: 128,
  vocab_size: 129280,
};
const llama = {
  model_type: "llama",
  hidden_size: 4096,
  intermediate_size: 14336,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  num_hidden_layers: 32,
  vocab_size: 128256,
  rope_scaling: null,
};
const qwenMoe = {
  model_type: "qwen2_moe",
  hidden_size: 3584,
  intermediate_size: 18944,
  moe_intermediate_size: 2560,
  shared_expert_intermediate_size: 20480,
  num_experts: 64,
  num_experts_per_tok: 8,
  decoder_sparse_step: 1,
  num_attention_heads: 28,
  num_key_value_heads: 4,
  num_hidden_layers: 28,
  vocab_size: 151936,
  sliding_window: 65536,
  use_sliding_window: false,
};
const mixtral = { ...llama, model_type: "mixtral", vocab_size: 32000, num_local_experts: 8, num_experts_per_tok: 2 };

describe("real configurations", () => {
  test.each([
    ["deepseek_v3", v3, 671_026_419_200],
    ["llama", llama, 8_030_261_248],
    ["qwen2_moe", qwenMoe, 57_408_558_592],
    ["mixtral", mixtral, 46_702_792_704],
  ])("%s", (_, config, total) => {
    expect(parameterCounts(parseConfig(JSON.stringify(config), "config.json")).total).toBe(total);
  });
});

describe("refusals are one line each", () => {
  test.each([
    ["not JSON", "{", /not JSON/],
    ["empty", "", /not JSON/],
    ["deep", "[".repeat(100_000), /nested deeper/],
    ["huge", " ".repeat(configBytesMax + 1), /over/],
    ["a list", "[]", /top level/],
    ["a vision model", JSON.stringify({ ...llama, model_type: "lama" }), /did you mean llama/],
    ["zero width", JSON.stringify({ ...llama, hidden_size: 0 }), /hidden_size/],
    ["heads that do not divide", JSON.stringify({ ...llama, num_key_value_heads: 5 }), /no multiple/],
    ["missing latent width", JSON.stringify({ ...v3, v_head_dim: null }), /v_head_dim/],
    ["more active experts than experts", JSON.stringify({ ...mixtral, num_experts_per_tok: 9 }), /num_experts_per_tok/],
    ["absurd layers", JSON.stringify({ ...llama, num_hidden_layers: 1e12 }), /num_hidden_layers/],
  ])("%s", (_, text, pattern) => {
    try {
      parseConfig(text, "config.json");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(BadInput);
      if (!(error instanceof BadInput)) return;
      for (const line of error.problems) {
        expect(line).not.toContain("\n");
        expect(line.length).toBeLessThan(400);
      }
      expect(error.message).toMatch(pattern);
    }
  });
  test("any text is an architecture or BadInput, never another error", () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.record({ model_type: fc.constant("llama"), hidden_size: fc.anything() }).map((v) => JSON.stringify(v)),
        ),
        (text) => {
          try {
            parseConfig(text ?? "", "x");
          } catch (error) {
            expect(error).toBeInstanceOf(BadInput);
          }
        },
      ),
      { seed: 7, numRuns: 300 },
    ));
});
