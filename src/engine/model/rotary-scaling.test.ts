/** YaRN gives the figures that DeepSeek-V3's published configuration has. */
import { expect, test } from "vitest";
import { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { rotaryFrequencies, rotaryMagnitude, softmaxScale } from "./rotary-scaling.ts";

const sizes = {
  ...{ vocab_size: 129280, hidden_size: 7168, intermediate_size: 18432, num_hidden_layers: 61 },
  ...{ num_attention_heads: 128, q_lora_rank: 1536, kv_lora_rank: 512, v_head_dim: 128 },
  ...{ qk_nope_head_dim: 128, qk_rope_head_dim: 64 },
};
const yarn = { type: "yarn", factor: 40, original_max_position_embeddings: 4096 };
const published = DeepseekConfig.parse({ ...sizes, rope_scaling: { ...yarn, mscale: 1, mscale_all_dim: 1 } });
const plain = DeepseekConfig.parse(sizes);

test("DeepSeek-V3: pairs up to 10 turn as before, pairs from 23 forty times slower, those between in a ramp", () => {
  const [scaled, before] = [rotaryFrequencies(published), rotaryFrequencies(plain)];
  expect(scaled).toHaveLength(32);
  expect(before[1]).toBeCloseTo(10000 ** (-1 / 32), 12);
  for (const [pair, frequency] of scaled.entries()) {
    const slowed = Math.min(1, Math.max(0, (pair - 10) / 13));
    expect(frequency / before[pair]!).toBeCloseTo(1 - slowed + slowed / 40, 12);
  }
});

test("the softmax is hotter, cosines are not", () => {
  expect(softmaxScale(published)).toBeCloseTo(0.135234, 6);
  expect(softmaxScale(plain)).toBeCloseTo(0.0721688, 7);
  expect(rotaryMagnitude(published)).toBe(1);
  const other = DeepseekConfig.parse({ ...sizes, rope_scaling: { ...yarn, mscale: 0.5, mscale_all_dim: 0 } });
  expect(rotaryMagnitude(other)).toBeCloseTo(1 + 0.05 * Math.log(40), 12);
  expect(softmaxScale(other)).toBe(softmaxScale(plain));
});

test("another scaling is refused", () => {
  for (const rope_scaling of [
    { type: "linear", factor: 2 },
    { ...yarn, type: undefined },
    { ...yarn, factor: 0.5 },
  ]) {
    expect(DeepseekConfig.safeParse({ ...sizes, rope_scaling }).success).toBe(false);
  }
});
