/**
 * Rotary frequencies and the softmax scale of a model, with YaRN where its configuration asks for it.
 * Knows: YaRN as DeepSeek uses it (Peng et al. 2023, https://arxiv.org/abs/2309.00071, §3; deepseek-ai/DeepSeek-V3 @9b4e9788
 * inference/model.py, precompute_freqs_cis and class MLA). Does not know: graphs.
 * Like transformers, and unlike that file, it scales whatever the length of the text is: one model, one set of numbers.
 */
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";

/** Radians per position for each of the `qk_rope_head_dim / 2` pairs. */
export function rotaryFrequencies({
  qk_rope_head_dim: width,
  rope_theta: base,
  rope_scaling,
}: Pick<DeepseekConfig, "qk_rope_head_dim" | "rope_theta" | "rope_scaling">): number[] {
  const plain = Array.from({ length: width / 2 }, (_, pair) => base ** ((-2 * pair) / width));
  if (!rope_scaling) return plain;
  const { factor, original_max_position_embeddings: context, beta_fast, beta_slow } = rope_scaling;
  // The pair that turns `rotations` times over the original context.
  const pairOf = (rotations: number): number =>
    (width * Math.log(context / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const low = Math.max(Math.floor(pairOf(beta_fast)), 0);
  const high = Math.min(Math.ceil(pairOf(beta_slow)), width - 1);
  return plain.map((frequency, pair) => {
    const ramp = Math.min(1, Math.max(0, (pair - low) / (high === low ? 0.001 : high - low)));
    return (frequency / factor) * ramp + frequency * (1 - ramp);
  });
}

/** What cosines and sines are multiplied with; 1 where the two temperatures are equal, as in DeepSeek-V3. */
export function rotaryMagnitude({ rope_scaling: yarn }: DeepseekConfig): number {
  return yarn ? temperature(yarn.factor, yarn.mscale) / temperature(yarn.factor, yarn.mscale_all_dim) : 1;
}

/** What scores are multiplied with before the softmax. */
export function softmaxScale({ qk_nope_head_dim, qk_rope_head_dim, rope_scaling: yarn }: DeepseekConfig): number {
  const scale = (qk_nope_head_dim + qk_rope_head_dim) ** -0.5;
  return yarn ? scale * temperature(yarn.factor, yarn.mscale_all_dim) ** 2 : scale;
}

const temperature = (factor: number, weight: number): number => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
