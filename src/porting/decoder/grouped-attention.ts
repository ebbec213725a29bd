/**
 * Attention with fewer key heads than query heads, whose rotary embedding turns a head's first half against its second.
 * Knows: projections with and without bias, norms of queries and keys, masks, the cache. Does not know: layers around it.
 * Query heads that share a key head are seen as more rows of one head, so that no product repeats keys.
 * Source: huggingface/transformers modeling_{llama,mistral,qwen2,qwen3}.py.
 */
import type { Dimension, Graph, Tensor } from "../../engine/graph.ts";
import { attend } from "../../engine/model/attention.ts";
import { linear, rmsNorm } from "../../engine/model/layers.ts";
import * as f from "../../engine/operators/functions.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import type { DecoderSite } from "./decoder-graphs.ts";

/** Cosines and sines, which [batch, length, heads, headDim / 2] can be multiplied with. */
export type Turns = readonly [cos: Tensor, sin: Tensor];

/** Of int64 `positions` [count], seen as `shape` with the pairs behind. */
export function turnsOf({ rope, headDim }: DecoderConfig, positions: Tensor, shape: readonly Dimension[]): Turns {
  const { graph } = positions;
  const pairs = headDim / 2;
  const column = f.reshape(f.cast(positions, "float32"), [positions.shape[0]!, 1]);
  const angles = f.mul(column, graph.constant("float32", [1, pairs], rope.frequencies));
  const table = (t: Tensor): Tensor => {
    const scaled = rope.magnitude === 1 ? t : f.mul(t, rope.magnitude);
    return f.reshape(scaled, [...shape, pairs]);
  };
  return [table(f.cos(angles)), table(f.sin(angles))];
}

/** Over whole sequences: x [rows, hidden] → output [rows, hidden] and the cache [rows, keys | values]. */
export function readGrouped(
  site: DecoderSite,
  prefix: string,
  x: Tensor,
  { turns, mask }: { turns: Turns; mask: Tensor },
): { output: Tensor; cache: Tensor } {
  const { batch, length, rows, config } = site;
  const { kvHeads, headDim } = config;
  const group = config.heads / kvHeads;
  const { query, key, value } = project(site, prefix, x, turns);
  const byHead = (t: Tensor): Tensor => f.transpose(f.reshape(t, [batch, length, kvHeads, headDim]), [0, 2, 1, 3]);
  const grouped = f.transpose(f.reshape(query, [batch, length, kvHeads, group, headDim]), [0, 2, 3, 1, 4]);
  const queries = f.reshape(grouped, [batch, kvHeads, times(group, length), headDim]);
  const attended = attend(queries, byHead(key), byHead(value), mask, headDim ** -0.5);
  const split = f.transpose(f.reshape(attended, [batch, kvHeads, group, length, headDim]), [0, 3, 1, 2, 4]);
  const flat = (t: Tensor): Tensor => f.reshape(t, [rows, kvHeads * headDim]);
  return { output: projectOut(site, prefix, split), cache: f.concat([flat(key), flat(value)], 1) };
}

/** Of one new token a sequence over its cache [batch, past, keys | values]; `mask` is [batch, 1, past + 1]. */
export function decodeGrouped(
  site: DecoderSite,
  prefix: string,
  x: Tensor,
  { turns, mask, cache }: { turns: Turns; mask: Tensor; cache: Tensor },
): { output: Tensor; newCache: Tensor } {
  const { batch, config } = site;
  const { kvHeads, headDim } = config;
  const width = kvHeads * headDim;
  const { query, key, value } = project(site, prefix, x, turns);
  const newCache = f.concat([f.reshape(key, [batch, 1, width]), f.reshape(value, [batch, 1, width])], 2);
  const all = f.concat([cache, newCache], 1);
  const seen = all.shape[1]!;
  const [keys, values] = f.split(all, [width, width], 2) as readonly [Tensor, Tensor];
  const byHead = (t: Tensor, order: readonly number[]): Tensor =>
    f.transpose(f.reshape(t, [batch, seen, kvHeads, headDim]), order);
  const queries = f.reshape(query, [batch, kvHeads, config.heads / kvHeads, headDim]);
  const scores = f.mul(f.matMul(queries, byHead(keys, [0, 2, 3, 1])), headDim ** -0.5);
  const weights = f.softmax(f.add(scores, f.reshape(mask, [batch, 1, 1, seen])));
  return { output: projectOut(site, prefix, f.matMul(weights, byHead(values, [0, 2, 1, 3]))), newCache };
}

/** Turned queries and keys [batch, length, heads, headDim], and values [rows, width]. */
function project(
  site: DecoderSite,
  prefix: string,
  x: Tensor,
  [cos, sin]: Turns,
): { query: Tensor; key: Tensor; value: Tensor } {
  const { config, parameter, batch, length, rows } = site;
  const { heads, kvHeads, headDim, hidden } = config;
  const map = (name: string, count: number): Tensor => {
    const made = linear(x, parameter(`${prefix}.${name}.weight`, [count * headDim, hidden]));
    return config.bias.qkv ? f.add(made, parameter(`${prefix}.${name}.bias`, [count * headDim])) : made;
  };
  const normed = (t: Tensor, name: string, count: number): Tensor =>
    config.queryKeyNorm
      ? rmsNorm(
          f.reshape(t, [times(count, rows), headDim]),
          parameter(`${prefix}.${name}.weight`, [headDim]),
          config.epsilon,
        )
      : t;
  const turned = (t: Tensor, count: number): Tensor => {
    const [a, b] = f.split(f.reshape(t, [batch, length, count, headDim]), [headDim / 2, headDim / 2], 3);
    return f.concat([f.sub(f.mul(a!, cos), f.mul(b!, sin)), f.add(f.mul(b!, cos), f.mul(a!, sin))], 3);
  };
  return {
    query: turned(normed(map("q_proj", heads), "q_norm", heads), heads),
    key: turned(normed(map("k_proj", kvHeads), "k_norm", kvHeads), kvHeads),
    value: map("v_proj", kvHeads),
  };
}

/** The output projection of what all heads attended to. */
function projectOut({ config, parameter, rows }: DecoderSite, prefix: string, attended: Tensor): Tensor {
  const width = config.heads * config.headDim;
  const made = linear(f.reshape(attended, [rows, width]), parameter(`${prefix}.o_proj.weight`, [config.hidden, width]));
  return config.bias.output ? f.add(made, parameter(`${prefix}.o_proj.bias`, [config.hidden])) : made;
}

/** [group · length, length]: 0 where a query may see a key, −∞ where the key lies in its future or behind its window. */
export function readMask(graph: Graph, length: Dimension, group: number, window: number | undefined): Tensor {
  const [zero, never] = [f.scalar(graph, 0), f.scalar(graph, Number.NEGATIVE_INFINITY)];
  const fixed = typeof length === "number";
  const keys = fixed ? f.integers(graph, [...Array(length).keys()]) : f.range(graph.dimension(length), length);
  const column = f.reshape(keys, [1, length]);
  const row = fixed
    ? graph.constant(
        "int64",
        [group * length, 1],
        Array.from({ length: group * length }, (_, at) => at % length),
      )
    : f.reshape(f.expand(f.reshape(keys, [1, length]), [group, length]), [times(group, length), 1]);
  const causal = f.where(f.greater(column, row), never, zero);
  if (window === undefined) return causal;
  return f.where(f.greater(row, f.add(column, window - 1)), never, causal);
}

/** [batch, 1, past + 1]: 0 for the filled rows of a cache that lie inside the window and for the new token, −∞ for the rest. */
export function decodeMask(graph: Graph, position: Tensor, past: Dimension, window: number | undefined): Tensor {
  const [batch] = position.shape as readonly [Dimension];
  const [zero, never] = [f.scalar(graph, 0), f.scalar(graph, Number.NEGATIVE_INFINITY)];
  const rows =
    typeof past === "number" ? f.integers(graph, [...Array(past).keys()]) : f.range(graph.dimension(past), past);
  const [column, here] = [f.reshape(rows, [1, 1, past]), f.reshape(position, [batch, 1, 1])];
  const filled = f.where(f.less(column, here), zero, never);
  const inside = window === undefined ? filled : f.where(f.greater(here, f.add(column, window - 1)), never, filled);
  return f.concat([inside, f.expand(zero, [batch, 1, 1])], 2);
}

function times(count: number, size: Dimension): Dimension {
  if (typeof size === "number") return count * size;
  return count === 1 ? size : `${count}*${size}`;
}
