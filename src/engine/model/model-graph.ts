/**
 * A model graph under construction: parameters as inputs, embedding and head, the context that blocks share.
 * Knows: parameter names as graph inputs, fixed and dynamic sizes. Does not know: what the graph computes in the end.
 */
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { type Dimension, Graph, type Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";
import type { ParameterSpec } from "../program.ts";
import { causalMask, rotaryTables, type SequenceContext } from "./attention.ts";
import { linear } from "./layers.ts";

/** A graph under construction with the model's parameters as its first inputs. */
export interface ModelGraph {
  readonly graph: Graph;
  readonly config: DeepseekConfig;
  readonly specs: readonly ParameterSpec[];
  readonly parameter: (name: string) => Tensor;
}

export function newModelGraph(config: DeepseekConfig, specs: readonly ParameterSpec[]): ModelGraph {
  const graph = new Graph();
  const tensors = new Map(specs.map(({ name, shape }) => [name, graph.input(name, "float32", shape)]));
  const parameter = (name: string): Tensor => {
    const tensor = tensors.get(name);
    if (!tensor) throw new Error(`the model has no parameter ${name}`);
    return tensor;
  };
  return { graph, config, specs, parameter };
}

/** Rows of the embedding table for int64 `tokens` of any shape, as [count, hidden]. */
export function embed(model: ModelGraph, tokens: Tensor, count: Dimension): Tensor {
  return f.gather(model.parameter("model.embed_tokens.weight"), f.reshape(tokens, [count]));
}

/** Logits [rows, vocabulary] of normalised states [rows, hidden]. */
export function head(model: ModelGraph, hidden: Tensor): Tensor {
  return linear(hidden, model.parameter("lm_head.weight"));
}

/**
 * What blocks need of `batch` sequences of `length` tokens. In a graph of fixed sizes experts get `expertCapacity` slots,
 * or one per token, which drops none; otherwise as many as the fullest needs at run time.
 */
export function sequenceContext(
  model: ModelGraph,
  { batch, length, expertCapacity }: { batch: Dimension; length: Dimension; expertCapacity: number | undefined },
): SequenceContext {
  const { graph, config } = model;
  const fixed = typeof length === "number" && typeof batch === "number";
  const positions =
    typeof length === "number"
      ? f.integers(graph, [...Array(length).keys()])
      : f.range(graph.dimension(length), length);
  const rows = fixed ? batch * length : `${batch}*${length}`;
  const rotary = rotaryTables(config, positions);
  return { ...model, batch, length, rows, rotary, mask: causalMask(graph, length), expertCapacity };
}
