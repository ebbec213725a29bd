/**
 * Multi-head latent attention (DeepSeek-V2, https://arxiv.org/abs/2405.04434 §2.1; DeepSeek-V3 inference/model.py, class MLA).
 * Knows: projections, rotary embedding, the compressed cache, the absorbed form for decoding. Does not know: layers around it.
 *
 * Rotary embedding turns the pairs (2i, 2i+1) of a head, as in DeepSeek's own code. The pairs are taken apart in the weights'
 * rows, not in the activations: queries and the cached key then hold all first members before all second ones, which
 * changes no product of a query with a key.
 */
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import type { Dimension, Graph, Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";
import { linear, rmsNorm } from "./layers.ts";
import { rotaryFrequencies, rotaryMagnitude, softmaxScale } from "./rotary-scaling.ts";

/** What attention needs of the sequence it works on: `rows` is batch × length, row-major. */
export interface SequenceContext {
  readonly graph: Graph;
  readonly config: DeepseekConfig;
  readonly parameter: (name: string) => Tensor;
  readonly batch: Dimension;
  readonly length: Dimension;
  readonly rows: Dimension;
  readonly rotary: Rotary;
  /** Added to the scores: [length, length] when a sequence is read; otherwise as decodeAttention says. */
  readonly mask: Tensor;
  /** Slots per expert; undefined takes as many as the fullest expert needs. */
  readonly expertCapacity: number | undefined;
  /** Slots per expert are rounded up to a multiple of this; absent where nobody minds that a row depends on its batch. */
  readonly slotMultiple?: number;
  /** Told of each [rows, width] on the way, by the module's name; absent where nobody looks. */
  readonly tap?: ((name: string, tensor: Tensor) => void) | undefined;
}

/** Cosines and sines for all heads of a query ([positions, heads · pairs]) and for the one shared key ([positions, pairs]). */
export interface Rotary {
  readonly query: readonly [cos: Tensor, sin: Tensor];
  readonly key: readonly [cos: Tensor, sin: Tensor];
}

/** float32 numbers in the widest vector of the processors in use (AVX-512). */
export const vectorLanes = 16;

/** Rotary tables of int64 `positions` [count]. */
export function rotaryTables(config: DeepseekConfig, positions: Tensor): Rotary {
  const { graph } = positions;
  const [count] = positions.shape as readonly [Dimension];
  const column = f.reshape(f.cast(positions, "float32"), [count, 1]);
  const frequencies = rotaryFrequencies(config);
  const magnitude = rotaryMagnitude(config);
  const scaled = (table: Tensor): Tensor => (magnitude === 1 ? table : f.mul(table, magnitude));
  const tables = (copies: number): readonly [Tensor, Tensor] => {
    const tiled = Array.from({ length: copies }, () => frequencies).flat();
    // Whole vectors in every row: the runtime's cosine differs between its vectors and what they leave over.
    const filler = Array<number>(-tiled.length & (vectorLanes - 1)).fill(0);
    const wide = [...tiled, ...filler];
    const angles = f.mul(column, graph.constant("float32", [1, wide.length], wide));
    const table = (t: Tensor): Tensor => (filler.length === 0 ? t : f.slice(t, 1, 0, tiled.length, tiled.length));
    return [scaled(table(f.cos(angles))), scaled(table(f.sin(angles)))];
  };
  return { query: tables(config.num_attention_heads), key: tables(1) };
}

/** [length, length]: 0 where a query may see a key, −∞ where the key lies in its future. */
export function causalMask(graph: Graph, length: Dimension): Tensor {
  if (typeof length === "number") {
    const mask = Array.from({ length: length * length }, (_, at) =>
      at % length > Math.floor(at / length) ? Number.NEGATIVE_INFINITY : 0,
    );
    return graph.constant("float32", [length, length], mask);
  }
  const index = f.range(graph.dimension(length), length);
  const future = f.greater(f.reshape(index, [1, length]), f.reshape(index, [length, 1]));
  return f.where(future, f.scalar(graph, Number.NEGATIVE_INFINITY), f.scalar(graph, 0));
}

/** Attention over whole sequences: x [rows, hidden] → output [rows, hidden] and the cache [rows, latent + rope]. */
export function latentAttention(
  context: SequenceContext,
  prefix: string,
  x: Tensor,
): { output: Tensor; cache: Tensor } {
  const { config, batch, length, rows } = context;
  const { num_attention_heads: heads, qk_nope_head_dim: nope, v_head_dim: valueWidth } = config;
  const byHead = (t: Tensor, width: number): Tensor =>
    f.transpose(f.reshape(t, [batch, length, heads, width]), [0, 2, 1, 3]);
  const { queryNope, queryRope } = projectQuery(context, prefix, x);
  const { latent, key } = compressKey(context, prefix, x);
  const [keyWeight, valueWeight] = splitKeyValueWeight(context, prefix);
  const query = byHead(headsConcat(context, queryNope, queryRope), nope + config.qk_rope_head_dim);
  const keyNope = byHead(linear(latent, f.reshape(keyWeight, [heads * nope, config.kv_lora_rank])), nope);
  const value = byHead(linear(latent, f.reshape(valueWeight, [heads * valueWidth, config.kv_lora_rank])), valueWidth);
  const shared = f.expand(f.reshape(key, [batch, 1, length, config.qk_rope_head_dim]), [
    batch,
    heads,
    length,
    config.qk_rope_head_dim,
  ]);
  const attended = attend(query, f.concat([keyNope, shared], 3), value, context.mask, softmaxScale(config));
  const merged = f.reshape(f.transpose(attended, [0, 2, 1, 3]), [rows, heads * valueWidth]);
  const output = linear(merged, context.parameter(`${prefix}.o_proj.weight`));
  if (context.tap) {
    context.tap(`${prefix}.q_nope`, queryNope);
    context.tap(`${prefix}.q_rope`, f.concat(queryRope, 1));
    context.tap(`${prefix}.latent`, latent);
    context.tap(`${prefix}.k_rope`, key);
    context.tap(`${prefix}.context`, merged);
    context.tap(prefix, output);
  }
  return { output, cache: f.concat([latent, key], 1) };
}

/**
 * Attention of `length` new tokens per sequence over the compressed cache, without unpacking it: the key projection is absorbed
 * into the query and the value projection applied after the sum. x [rows, hidden], cache [batch, past, latent + rope], and the
 * context's mask [batch, 1 or heads · length, past + length] (token-major).
 */
export function decodeAttention(
  context: SequenceContext,
  prefix: string,
  x: Tensor,
  cache: Tensor,
): { output: Tensor; newCache: Tensor } {
  const { config, batch, length, rows } = context;
  const { num_attention_heads: heads, qk_nope_head_dim: nope, kv_lora_rank: rank, v_head_dim: valueWidth } = config;
  const rope = config.qk_rope_head_dim;
  const { queryNope, queryRope } = projectQuery(context, prefix, x);
  const { latent, key } = compressKey(context, prefix, x);
  const [keyWeight, valueWeight] = splitKeyValueWeight(context, prefix);
  const headFirst = (t: Tensor, width: number): Tensor => f.transpose(f.reshape(t, [rows, heads, width]), [1, 0, 2]);
  const absorbed = f.transpose(f.matMul(headFirst(queryNope, nope), keyWeight), [1, 0, 2]);
  const rotated = f.concat(
    queryRope.map((half) => f.reshape(half, [rows, heads, rope / 2])),
    2,
  );
  const query = bySequence(f.concat([absorbed, rotated], 2), context, rank + rope);
  const newCache = f.reshape(f.concat([latent, key], 1), [batch, length, rank + rope]);
  const keys = f.concat([cache, newCache], 1);
  const scores = f.mul(f.matMul(query, f.transposeMatrix(keys)), softmaxScale(config));
  const weights = f.softmax(f.add(scores, context.mask));
  const summed = byRow(f.slice(f.matMul(weights, keys), 2, 0, rank), context, rank);
  const perHead = f.matMul(f.transpose(summed, [1, 0, 2]), f.transposeMatrix(valueWeight));
  const merged = f.reshape(f.transpose(perHead, [1, 0, 2]), [rows, heads * valueWidth]);
  return { output: linear(merged, context.parameter(`${prefix}.o_proj.weight`)), newCache };
}

/** [rows, heads, width] as [batch, length · heads, width], which one token per sequence is already. */
function bySequence(x: Tensor, { batch, length, config }: SequenceContext, width: number): Tensor {
  return length === 1 ? x : f.reshape(x, [batch, `${config.num_attention_heads}*${length}`, width]);
}

function byRow(x: Tensor, { rows, length, config }: SequenceContext, width: number): Tensor {
  return length === 1 ? x : f.reshape(x, [rows, config.num_attention_heads, width]);
}

/** The query's unrotated part [rows, heads · nope] and the two rotated halves, each [rows, heads · rope/2]. */
function projectQuery(
  context: SequenceContext,
  prefix: string,
  x: Tensor,
): { queryNope: Tensor; queryRope: readonly Tensor[] } {
  const { config, parameter } = context;
  const { num_attention_heads: heads, qk_nope_head_dim: nope, qk_rope_head_dim: rope } = config;
  const low = config.q_lora_rank !== null;
  const source = low
    ? rmsNorm(
        linear(x, parameter(`${prefix}.q_a_proj.weight`)),
        parameter(`${prefix}.q_a_layernorm.weight`),
        config.rms_norm_eps,
      )
    : x;
  const weight = parameter(`${prefix}.${low ? "q_b_proj" : "q_proj"}.weight`);
  const into = Number(weight.shape[1]);
  const [nopeWeight, ropeWeight] = f.split(f.reshape(weight, [heads, nope + rope, into]), [nope, rope], 1);
  const halves = pairHalves(ropeWeight!, heads * (rope / 2), into).map((half) => linear(source, half));
  return {
    queryNope: linear(source, f.reshape(nopeWeight!, [heads * nope, into])),
    queryRope: rotate(context, halves[0]!, halves[1]!, context.rotary.query),
  };
}

/** The normalised latent [rows, rank] and the rotated shared key [rows, rope]. */
function compressKey(context: SequenceContext, prefix: string, x: Tensor): { latent: Tensor; key: Tensor } {
  const { config, parameter } = context;
  const { kv_lora_rank: rank, qk_rope_head_dim: rope, hidden_size: hidden } = config;
  const [latentWeight, keyWeight] = f.split(parameter(`${prefix}.kv_a_proj_with_mqa.weight`), [rank, rope], 0);
  const latent = rmsNorm(linear(x, latentWeight!), parameter(`${prefix}.kv_a_layernorm.weight`), config.rms_norm_eps);
  const halves = pairHalves(keyWeight!, rope / 2, hidden).map((half) => linear(x, half));
  return { latent, key: f.concat(rotate(context, halves[0]!, halves[1]!, context.rotary.key), 1) };
}

/** kv_b_proj as [heads, nope, rank] and [heads, value, rank]. */
function splitKeyValueWeight(context: SequenceContext, prefix: string): readonly [Tensor, Tensor] {
  const { num_attention_heads: heads, qk_nope_head_dim: nope, v_head_dim: value, kv_lora_rank: rank } = context.config;
  const weight = context.parameter(`${prefix}.kv_b_proj.weight`);
  const [key, values] = f.split(f.reshape(weight, [heads, nope + value, rank]), [nope, value], 1);
  return [key!, values!];
}

/** Rows 0, 2, 4, … and rows 1, 3, 5, … of a weight, each [rows / 2, into]. */
function pairHalves(weight: Tensor, half: number, into: number): readonly Tensor[] {
  return f.split(f.reshape(weight, [half, 2, into]), [1, 1], 1).map((part) => f.reshape(part, [half, into]));
}

/** (a + bi)·e^(iθ) for the pairs' first members `a` and second members `b`, both [rows, width]. */
function rotate(
  context: SequenceContext,
  a: Tensor,
  b: Tensor,
  [cos, sin]: readonly [Tensor, Tensor],
): readonly Tensor[] {
  const { rows, batch, length } = context;
  const width = a.shape[1]!;
  // A table of one line per row fits as it is. One of `length` lines repeats over the batch: seen as [batch, length, width],
  // that is one long run for the runtime instead of many short ones.
  const seen = cos.shape[0] === rows ? [rows, width] : [batch, length, width];
  const [x, y] = [a, b].map((t) => f.reshape(t, seen)) as [Tensor, Tensor];
  const turned = [f.sub(f.mul(x, cos), f.mul(y, sin)), f.add(f.mul(x, sin), f.mul(y, cos))];
  return turned.map((t) => f.reshape(t, [rows, width]));
}

/** [rows, heads, nope + rope] from the unrotated part and the rotated halves. */
function headsConcat(context: SequenceContext, nope: Tensor, rope: readonly Tensor[]): Tensor {
  const heads = context.config.num_attention_heads;
  const parts = [nope, ...rope].map((t) => f.reshape(t, [context.rows, heads, Number(t.shape[1]) / heads]));
  return f.concat(parts, 2);
}

/**
 * softmax(scale · q kᵀ + mask) v for q, k [batch, heads, length, width] and v [batch, heads, length, value].
 * Backward uses Σ_j p_ij dp_ij = do_i · o_i (Dao et al. 2022, https://arxiv.org/abs/2205.14135, appendix B), which saves two
 * passes over the [length, length] scores.
 */
export function attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: number): Tensor {
  return q.graph.composite([q, k, v], () => {
    const scores = f.mul(f.matMul(q, f.transposeMatrix(k)), scale);
    const weights = f.softmax(f.add(scores, mask));
    const output = f.matMul(weights, v);
    return {
      outputs: [output],
      backward: ([dy]) => {
        if (!dy) return [undefined, undefined, undefined];
        const dweights = f.matMul(dy, f.transposeMatrix(v));
        const dscores = f.mul(weights, f.sub(dweights, f.reduceSum(f.mul(dy, output), [3])));
        return [
          f.mul(f.matMul(dscores, k), scale),
          f.mul(f.matMul(f.transposeMatrix(dscores), q), scale),
          f.matMul(f.transposeMatrix(weights), dy),
        ];
      },
    };
  })[0]!;
}
