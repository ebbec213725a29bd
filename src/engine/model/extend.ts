/**
 * The `extend` program of program.ts: sequences that are partly read go on by some tokens each, one or many.
 * Knows: the mask between a cache and what is new, which rows get logits. Does not know: who holds caches, how tokens are chosen.
 */
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import * as f from "../operators/functions.ts";
import { rotaryTables, vectorLanes } from "./attention.ts";
import { decodeBlock, norm } from "./block.ts";
import { embed, head, type ModelGraph } from "./model-graph.ts";

/**
 * Rows that a call must have a multiple of, so that no row depends on its batch mates, to the bit. The runtime multiplies a single
 * row by another kernel than several, and its sigmoid differs between whole vectors and what they leave over.
 */
export function rowMultiple({
  intermediate_size,
  n_routed_experts,
  moe_intermediate_size,
  n_shared_experts,
}: DeepseekConfig): number {
  const shared = (moe_intermediate_size ?? 0) * (n_shared_experts ?? 0);
  return wholeVectors([intermediate_size, n_routed_experts ?? 0, shared]);
}

const slotMultiple = ({ moe_intermediate_size }: DeepseekConfig): number => wholeVectors([moe_intermediate_size ?? 0]);

/** The least power of two, 2 at least, that makes a multiple of the vector of every width. */
function wholeVectors(widths: readonly number[]): number {
  let multiple = 2;
  while (widths.some((width) => (multiple * width) % vectorLanes !== 0)) multiple *= 2;
  return multiple;
}

/** All sizes are dynamic: batch, new tokens per sequence, cache rows and logits wanted. */
export function buildExtend(model: ModelGraph): void {
  const { graph, config } = model;
  const heads = config.num_attention_heads;
  const [batch, length, past, rows, keys] = ["batch", "length", "past", "batch*length", "past+length"];
  const tokens = graph.input("tokens", "int64", [batch, length]);
  const position = graph.input("position", "int64", [batch]);
  const wanted = graph.input("wanted", "int64", ["wanted"]);
  const caches = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    graph.input(`cache/${layer}`, "float32", [batch, past, config.kv_lora_rank + config.qk_rope_head_dim]),
  );
  const shape = f.shapeOf(tokens);
  graph.defineDimension(batch, f.slice(shape, 0, 0, 1));
  graph.defineDimension(length, f.slice(shape, 0, 1, 2));
  graph.defineDimension(past, f.slice(f.shapeOf(caches[0]!), 0, 1, 2));
  graph.defineDimension(keys, f.add(graph.dimension(past), graph.dimension(length)));

  const added = f.range(graph.dimension(length), length);
  const start = f.reshape(position, [batch, 1]);
  const rotary = rotaryTables(config, f.reshape(f.add(start, f.reshape(added, [1, length])), [rows]));
  // A new token sees the filled cache rows, the new tokens before it, and itself.
  const held = f.less(f.reshape(f.range(graph.dimension(past), past), [1, past]), start);
  const future = f.greater(f.reshape(added, [1, length]), f.reshape(added, [length, 1]));
  const [zero, never] = [f.scalar(graph, 0), f.scalar(graph, Number.NEGATIVE_INFINITY)];
  const overCache = f.reshape(f.where(held, zero, never), [batch, 1, past]);
  const overNew = f.reshape(f.where(future, never, zero), [1, length, length]);
  const seen = f.concat([f.expand(overCache, [batch, length, past]), f.expand(overNew, [batch, length, length])], 2);
  const perHead = f.expand(f.reshape(seen, [batch, length, 1, keys]), [batch, length, heads, keys]);
  const mask = f.reshape(perHead, [batch, `${heads}*${length}`, keys]);
  const context = {
    ...model,
    batch,
    length,
    rows,
    rotary,
    mask,
    expertCapacity: undefined,
    slotMultiple: slotMultiple(config),
  };
  let x = embed(model, tokens, rows);
  caches.forEach((cache, layer) => {
    const { output, newCache } = decodeBlock(context, layer, x, cache);
    x = output;
    graph.output(`newCache/${layer}`, newCache);
  });
  graph.output("logits", head(model, norm(context, "model.norm", f.gather(x, wanted))));
}
