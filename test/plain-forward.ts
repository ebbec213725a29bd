/**
 * DeepSeek-V3's forward pass written out over plain arrays in double precision, after DeepSeek's inference/model.py; for tests.
 * Knows: the architecture. Does not know: the engine's graphs, whose results are held against it.
 */
import { rotaryFrequencies, softmaxScale } from "../src/engine/model/rotary-scaling.ts";
import { type DeepseekConfig, isExpertLayer } from "../src/spec/deepseek-config.ts";

type Vector = readonly number[];
export type WeightsByName = (name: string) => Float32Array;

/** Logits [tokens][vocabulary] of one text. */
export function plainForward(config: DeepseekConfig, weights: WeightsByName, tokens: readonly number[]): Vector[] {
  const width = config.hidden_size;
  const embedding = weights("model.embed_tokens.weight");
  let x: Vector[] = tokens.map((token) => [...embedding.subarray(token * width, (token + 1) * width)]);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    const normed = x.map((row) => norm(row, weights(`${at}.input_layernorm.weight`), config.rms_norm_eps));
    const attended = attention(config, weights, `${at}.self_attn`, normed);
    x = x.map((row, t) => sum(row, attended[t]!));
    x = x.map((row) => {
      const input = norm(row, weights(`${at}.post_attention_layernorm.weight`), config.rms_norm_eps);
      return sum(
        row,
        isExpertLayer(config, layer) ? experts(config, weights, `${at}.mlp`, input) : mlp(weights, `${at}.mlp`, input),
      );
    });
  }
  return x.map((row) =>
    linear(weights("lm_head.weight"), norm(row, weights("model.norm.weight"), config.rms_norm_eps)),
  );
}

const sum = (a: Vector, b: Vector): Vector => a.map((value, i) => value + b[i]!);
const dot = (a: Vector, b: Vector): number => a.reduce((total, value, i) => total + value * b[i]!, 0);

function norm(x: Vector, weight: Float32Array, epsilon: number): Vector {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + epsilon);
  return x.map((value, i) => value * scale * weight[i]!);
}

function linear(weight: Float32Array, x: Vector): Vector {
  return Array.from({ length: weight.length / x.length }, (_, row) =>
    x.reduce((total, value, i) => total + value * weight[row * x.length + i]!, 0),
  );
}

function softmax(scores: Vector): Vector {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

function attention(config: DeepseekConfig, weights: WeightsByName, at: string, x: readonly Vector[]): Vector[] {
  const { num_attention_heads: heads, qk_nope_head_dim: nope, qk_rope_head_dim: rope, v_head_dim: value } = config;
  const { kv_lora_rank: rank, rms_norm_eps: epsilon } = config;
  const frequencies = rotaryFrequencies(config);
  /** Turns the pairs (2i, 2i + 1). */
  const turn = (part: Vector, position: number): Vector =>
    part.map((_, i) => {
      const [a, b] = [part[i - (i % 2)]!, part[i - (i % 2) + 1]!];
      const angle = position * frequencies[(i - (i % 2)) / 2]!;
      return i % 2 === 0 ? a * Math.cos(angle) - b * Math.sin(angle) : a * Math.sin(angle) + b * Math.cos(angle);
    });
  const read = x.map((row, position) => {
    const low = norm(linear(weights(`${at}.q_a_proj.weight`), row), weights(`${at}.q_a_layernorm.weight`), epsilon);
    const query = linear(weights(`${at}.q_b_proj.weight`), low);
    const compressed = linear(weights(`${at}.kv_a_proj_with_mqa.weight`), row);
    const latent = norm(compressed.slice(0, rank), weights(`${at}.kv_a_layernorm.weight`), epsilon);
    const shared = turn(compressed.slice(rank), position);
    const unpacked = linear(weights(`${at}.kv_b_proj.weight`), latent);
    return Array.from({ length: heads }, (_, head) => {
      const q = query.slice(head * (nope + rope), (head + 1) * (nope + rope));
      const kv = unpacked.slice(head * (nope + value), (head + 1) * (nope + value));
      return {
        query: [...q.slice(0, nope), ...turn(q.slice(nope), position)],
        key: [...kv.slice(0, nope), ...shared],
        value: kv.slice(nope),
      };
    });
  });
  return read.map((byHead, t) => {
    const merged = byHead.flatMap(({ query }, head) => {
      const seen = read.slice(0, t + 1).map((row) => row[head]!);
      const shares = softmax(seen.map(({ key }) => dot(query, key) * softmaxScale(config)));
      return Array.from({ length: value }, (_, i) =>
        dot(
          shares,
          seen.map((one) => one.value[i]!),
        ),
      );
    });
    return linear(weights(`${at}.o_proj.weight`), merged);
  });
}

function mlp(weights: WeightsByName, at: string, x: Vector): Vector {
  const [gate, up] = ["gate_proj", "up_proj"].map((name) => linear(weights(`${at}.${name}.weight`), x));
  return linear(
    weights(`${at}.down_proj.weight`),
    gate!.map((value, i) => (value / (1 + Math.exp(-value))) * up![i]!),
  );
}

function experts(config: DeepseekConfig, weights: WeightsByName, at: string, x: Vector): Vector {
  const scores = linear(weights(`${at}.gate.weight`), x).map((score) => 1 / (1 + Math.exp(-score)));
  const bias = weights(`${at}.gate.e_score_correction_bias`);
  const corrected = scores.map((score, expert) => score + bias[expert]!);
  const inGroup = scores.length / config.n_group;
  const groupScores = Array.from({ length: config.n_group }, (_, group) => {
    const [first = 0, second = 0] = corrected.slice(group * inGroup, (group + 1) * inGroup).sort((a, b) => b - a);
    return first + second;
  });
  const groups = best(groupScores, config.topk_group);
  const masked = corrected.map((score, e) =>
    groups.includes(Math.floor(e / inGroup)) ? score : Number.NEGATIVE_INFINITY,
  );
  const chosen = best(masked, config.num_experts_per_tok);
  const total = config.norm_topk_prob ? chosen.reduce((sumOf, expert) => sumOf + scores[expert]!, 0) : 1;
  let output: Vector = config.n_shared_experts > 0 ? mlp(weights, `${at}.shared_experts`, x) : x.map(() => 0);
  for (const expert of chosen) {
    const weight = (scores[expert]! / total) * config.routed_scaling_factor;
    output = sum(
      output,
      mlp(weights, `${at}.experts.${expert}`, x).map((value) => value * weight),
    );
  }
  return output;
}

const best = (scores: Vector, count: number): number[] =>
  scores
    .map((_, i) => i)
    .sort((a, b) => scores[b]! - scores[a]! || a - b)
    .slice(0, count);
