/**
 * The forward pass of Llama, Mistral, Qwen, Mixtral and DeepSeek-V2 written out over plain arrays in double precision; for tests.
 * Knows: Hugging Face's config.json keys and tensor names, read here anew. Does not know: the graphs that are held against it.
 * After huggingface/transformers modeling_{llama,mistral,qwen2,qwen3,mixtral,qwen2_moe,qwen3_moe}.py, modeling_rope_utils.py and
 * deepseek-ai/DeepSeek-V2 modeling_deepseek.py.
 */
type Vector = readonly number[];
/** Gives a tensor's values; a generator of test weights may take name and shape from here. */
export type WeightsOf = (name: string, shape: readonly number[]) => Float32Array;

interface Scaling {
  readonly rope_type?: string;
  readonly type?: string;
  readonly factor: number;
  readonly original_max_position_embeddings: number;
  readonly low_freq_factor?: number;
  readonly high_freq_factor?: number;
  readonly mscale?: number;
  readonly mscale_all_dim?: number;
}

export interface PlainConfig {
  readonly model_type: string;
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim?: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  readonly rope_scaling?: Scaling;
  readonly tie_word_embeddings: boolean;
  readonly attention_bias?: boolean;
  readonly sliding_window?: number | null;
  readonly num_local_experts?: number;
  readonly num_experts?: number;
  readonly n_routed_experts?: number;
  readonly num_experts_per_tok?: number;
  readonly moe_intermediate_size?: number;
  readonly shared_expert_intermediate_size?: number;
  readonly norm_topk_prob?: boolean;
  readonly routed_scaling_factor?: number;
  readonly topk_method?: string;
  readonly n_group?: number;
  readonly topk_group?: number;
  readonly n_shared_experts?: number;
  readonly first_k_dense_replace?: number;
  readonly q_lora_rank?: number | null;
  readonly kv_lora_rank?: number;
  readonly qk_nope_head_dim?: number;
  readonly qk_rope_head_dim?: number;
  readonly v_head_dim?: number;
}

/** Logits [tokens][vocabulary] of one text. */
export function plainDecoder(c: PlainConfig, weights: WeightsOf, tokens: readonly number[]): Vector[] {
  const map = (name: string, out: number, x: Vector): Vector => {
    const w = weights(`${name}.weight`, [out, x.length]);
    return Array.from({ length: out }, (_, row) =>
      x.reduce((sum, value, i) => sum + value * w[row * x.length + i]!, 0),
    );
  };
  const norm = (name: string, x: Vector): Vector => {
    const w = weights(`${name}.weight`, [x.length]);
    const rms = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + c.rms_norm_eps);
    return x.map((value, i) => (value / rms) * w[i]!);
  };
  const plus = (a: Vector, b: Vector): Vector => a.map((value, i) => value + b[i]!);
  const mlp = (names: readonly [string, string, string], width: number, x: Vector): Vector => {
    const [gate, up] = [map(names[0], width, x), map(names[1], width, x)];
    return map(
      names[2],
      c.hidden_size,
      gate.map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!),
    );
  };
  const usual = (at: string): readonly [string, string, string] => [
    `${at}.gate_proj`,
    `${at}.up_proj`,
    `${at}.down_proj`,
  ];
  const model = { c, map, norm, plus, mlp, usual, weights };

  const embedding = weights("model.embed_tokens.weight", [c.vocab_size, c.hidden_size]);
  let x: Vector[] = tokens.map((token) => [...embedding.subarray(token * c.hidden_size, (token + 1) * c.hidden_size)]);
  for (let layer = 0; layer < c.num_hidden_layers; layer++) {
    const at = `model.layers.${layer}`;
    const normed = x.map((row) => norm(`${at}.input_layernorm`, row));
    const attended = (c.model_type === "deepseek_v2" ? latent : grouped)(model, `${at}.self_attn`, normed);
    x = x.map((row, t) => plus(row, attended[t]!));
    x = x.map((row) => plus(row, feedForward(model, layer, norm(`${at}.post_attention_layernorm`, row))));
  }
  const normed = x.map((row) => norm("model.norm", row));
  if (!c.tie_word_embeddings) return normed.map((row) => map("lm_head", c.vocab_size, row));
  return normed.map((row) => map("model.embed_tokens", c.vocab_size, row));
}

interface Model {
  readonly c: PlainConfig;
  readonly map: (name: string, out: number, x: Vector) => Vector;
  readonly norm: (name: string, x: Vector) => Vector;
  readonly plus: (a: Vector, b: Vector) => Vector;
  readonly mlp: (names: readonly [string, string, string], width: number, x: Vector) => Vector;
  readonly usual: (at: string) => readonly [string, string, string];
  readonly weights: WeightsOf;
}

function softmax(scores: Vector): Vector {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** Queries against all keys up to their own place, or those in the window. */
function attend(query: Vector, keys: readonly Vector[], values: readonly Vector[], scale: number): Vector {
  const shares = softmax(keys.map((key) => scale * key.reduce((sum, value, i) => sum + value * query[i]!, 0)));
  return values[0]!.map((_, i) => shares.reduce((sum, share, t) => sum + share * values[t]![i]!, 0));
}

function grouped({ c, map, norm, plus, weights }: Model, at: string, x: readonly Vector[]): Vector[] {
  const [heads, kvHeads] = [c.num_attention_heads, c.num_key_value_heads];
  const width = c.head_dim ?? c.hidden_size / heads;
  const qwen2 = c.model_type.startsWith("qwen2");
  const { frequencies, magnitude } = rope(c, width);
  const one = (name: string, count: number, row: Vector, position: number | undefined): Vector[] => {
    const bias = qwen2 || c.attention_bias ? [...weights(`${at}.${name}_proj.bias`, [count * width])] : undefined;
    const flat = map(`${at}.${name}_proj`, count * width, row);
    const whole = bias ? plus(flat, bias) : flat;
    return Array.from({ length: count }, (_, head) => {
      const part = whole.slice(head * width, (head + 1) * width);
      if (position === undefined) return part;
      const scaled = c.model_type.startsWith("qwen3") ? norm(`${at}.${name}_norm`, part) : part;
      // rotate_half: the second half comes first, negated.
      return scaled.map((value, i) => {
        const angle = position * frequencies[i % (width / 2)]!;
        const other = i < width / 2 ? -scaled[i + width / 2]! : scaled[i - width / 2]!;
        return magnitude * (value * Math.cos(angle) + other * Math.sin(angle));
      });
    });
  };
  const read = x.map((row, t) => {
    return { q: one("q", heads, row, t), k: one("k", kvHeads, row, t), v: one("v", kvHeads, row, undefined) };
  });
  return read.map(({ q }, t) => {
    const from = c.sliding_window && c.model_type.startsWith("mi") ? Math.max(0, t + 1 - c.sliding_window) : 0;
    const seen = read.slice(from, t + 1);
    const merged = q.flatMap((query, head) => {
      const shared = Math.floor(head / (heads / kvHeads));
      return attend(
        query,
        seen.map(({ k }) => k[shared]!),
        seen.map(({ v }) => v[shared]!),
        1 / Math.sqrt(width),
      );
    });
    const output = map(`${at}.o_proj`, c.hidden_size, merged);
    return !qwen2 && c.attention_bias ? plus(output, [...weights(`${at}.o_proj.bias`, [c.hidden_size])]) : output;
  });
}

function rope(c: PlainConfig, width: number): { frequencies: Vector; magnitude: number } {
  const plain = Array.from({ length: width / 2 }, (_, i) => 1 / c.rope_theta ** ((2 * i) / width));
  const scaling = c.rope_scaling;
  if (!scaling) return { frequencies: plain, magnitude: 1 };
  const { factor, original_max_position_embeddings: original } = scaling;
  const kind = scaling.rope_type ?? scaling.type;
  if (kind === "linear") return { frequencies: plain.map((one) => one / factor), magnitude: 1 };
  if (kind === "llama3") {
    const [low, high] = [scaling.low_freq_factor!, scaling.high_freq_factor!];
    const frequencies = plain.map((one) => {
      const wavelength = (2 * Math.PI) / one;
      if (wavelength > original / low) return one / factor;
      if (wavelength < original / high) return one;
      const smooth = (original / wavelength - low) / (high - low);
      return ((1 - smooth) * one) / factor + smooth * one;
    });
    return { frequencies, magnitude: 1 };
  }
  // YaRN with beta_fast 32 and beta_slow 1.
  const edge = (turns: number): number =>
    (width * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(c.rope_theta));
  const [low, high] = [Math.max(Math.floor(edge(32)), 0), Math.min(Math.ceil(edge(1)), width - 1)];
  const frequencies = plain.map((one, i) => {
    const extrapolated = 1 - Math.min(1, Math.max(0, (i - low) / Math.max(high - low, 0.001)));
    return (one / factor) * (1 - extrapolated) + one * extrapolated;
  });
  return { frequencies, magnitude: scaling.mscale === undefined ? 0.1 * Math.log(factor) + 1 : 1 };
}

function latent({ c, map, norm }: Model, at: string, x: readonly Vector[]): Vector[] {
  const heads = c.num_attention_heads;
  const [nope, turned, value, rank] = [c.qk_nope_head_dim!, c.qk_rope_head_dim!, c.v_head_dim!, c.kv_lora_rank!];
  const { frequencies } = rope(c, turned);
  // Pairs (2i, 2i + 1) are turned, in DeepSeek's own order.
  const turn = (part: Vector, t: number): Vector =>
    part.map((own, i) => {
      const angle = t * frequencies[i >> 1]!;
      const other = i % 2 === 0 ? -part[i + 1]! : part[i - 1]!;
      return own * Math.cos(angle) + other * Math.sin(angle);
    });
  const m = c.rope_scaling ? 0.1 * c.rope_scaling.mscale_all_dim! * Math.log(c.rope_scaling.factor) + 1 : 1;
  const scale = (m * m) / Math.sqrt(nope + turned);
  const read = x.map((row, t) => {
    const source = c.q_lora_rank ? norm(`${at}.q_a_layernorm`, map(`${at}.q_a_proj`, c.q_lora_rank, row)) : row;
    const q = map(`${at}.${c.q_lora_rank ? "q_b_proj" : "q_proj"}`, heads * (nope + turned), source);
    const compressed = map(`${at}.kv_a_proj_with_mqa`, rank + turned, row);
    const kv = map(`${at}.kv_b_proj`, heads * (nope + value), norm(`${at}.kv_a_layernorm`, compressed.slice(0, rank)));
    const shared = turn(compressed.slice(rank), t);
    return Array.from({ length: heads }, (_, head) => {
      const own = q.slice(head * (nope + turned), (head + 1) * (nope + turned));
      const both = kv.slice(head * (nope + value), (head + 1) * (nope + value));
      const key = [...both.slice(0, nope), ...shared];
      return { query: [...own.slice(0, nope), ...turn(own.slice(nope), t)], key, value: both.slice(nope) };
    });
  });
  return read.map((byHead, t) => {
    const merged = byHead.flatMap(({ query }, head) => {
      const seen = read.slice(0, t + 1).map((row) => row[head]!);
      return attend(
        query,
        seen.map(({ key }) => key),
        seen.map((one) => one.value),
        scale,
      );
    });
    return map(`${at}.o_proj`, c.hidden_size, merged);
  });
}

function feedForward({ c, map, mlp, usual, plus }: Model, layer: number, x: Vector): Vector {
  const at = `model.layers.${layer}`;
  const experts = c.num_local_experts ?? c.num_experts ?? c.n_routed_experts ?? 0;
  if (experts === 0 || layer < (c.first_k_dense_replace ?? 0)) return mlp(usual(`${at}.mlp`), c.intermediate_size, x);
  const mixtral = c.model_type === "mixtral";
  const block = mixtral ? `${at}.block_sparse_moe` : `${at}.mlp`;
  const scores = softmax(map(`${block}.gate`, experts, x));
  let open = scores.map((_, expert) => expert);
  if (c.topk_method === "group_limited_greedy") {
    const size = experts / c.n_group!;
    const best = Array.from({ length: c.n_group! }, (_, g) => Math.max(...scores.slice(g * size, (g + 1) * size)));
    const kept = order(best).slice(0, c.topk_group);
    open = open.filter((expert) => kept.includes(Math.floor(expert / size)));
  }
  const chosen = [...open].sort((a, b) => scores[b]! - scores[a]!).slice(0, c.num_experts_per_tok);
  const total = mixtral || c.norm_topk_prob ? chosen.reduce((sum, expert) => sum + scores[expert]!, 0) : 1;
  const factor = mixtral || c.norm_topk_prob ? 1 : (c.routed_scaling_factor ?? 1);
  const width = mixtral ? c.intermediate_size : c.moe_intermediate_size!;
  let output: Vector = x.map(() => 0);
  // Every expert is computed, so that a generator of weights sees them all.
  for (let expert = 0; expert < experts; expert++) {
    const name = `${block}.experts.${expert}`;
    const made = mlp(mixtral ? [`${name}.w1`, `${name}.w3`, `${name}.w2`] : usual(name), width, x);
    if (!chosen.includes(expert)) continue;
    output = plus(
      output,
      made.map((value) => (value * scores[expert]! * factor) / total),
    );
  }
  if (c.model_type === "deepseek_v2" && c.n_shared_experts) {
    return plus(output, mlp(usual(`${block}.shared_experts`), c.n_shared_experts * width, x));
  }
  if (c.model_type !== "qwen2_moe") return output;
  const shared = mlp(usual(`${block}.shared_expert`), c.shared_expert_intermediate_size!, x);
  const gate = 1 / (1 + Math.exp(-map(`${block}.shared_expert_gate`, 1, x)[0]!));
  return plus(
    output,
    shared.map((value) => value * gate),
  );
}

const order = (scores: Vector): number[] => scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
