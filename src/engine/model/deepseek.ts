/**
 * The DeepSeek-V3 model at any size, as the five graphs that training and serving need.
 * Knows: how blocks make a model, the contract of program.ts. Does not know: sessions, optimizers, how parameters are stored.
 * Follows DeepSeek's own inference/model.py where it and other implementations differ (deepseek-ai/DeepSeek-V3 @9b4e9788).
 */
import { uncoveredOperators } from "../../catalog/onnx-operators.ts";
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import type { Dimension, Graph, Tensor } from "../graph.ts";
import { encode, operatorSet } from "../onnx.ts";
import * as f from "../operators/functions.ts";
import type { ModelPrograms, ParameterSpec, Program, TensorSpec } from "../program.ts";
import { rotaryTables, type SequenceContext } from "./attention.ts";
import { decodeBlock, norm, readSequence } from "./block.ts";
import { buildExtend } from "./extend.ts";
import { buildGrad } from "./loss.ts";
import { embed, head, type ModelGraph, newModelGraph, sequenceContext } from "./model-graph.ts";
import { parametersOf } from "./parameters.ts";

/** The model's programs; graphs are built when asked for. */
export function deepseekV3(config: DeepseekConfig): ModelPrograms {
  const parameters = parametersOf(config);
  const programOf = (build: (model: ModelGraph) => void, name: string): Program => {
    const model = newModelGraph(config, parameters);
    build(model);
    return toProgram(model.graph, parameters, name);
  };
  return {
    parameters,
    grad: (shape) => programOf((model) => buildGrad(model, shape), "grad"),
    logprob: (fixed) => programOf((model) => buildLogprob(model, fixed), "logprob"),
    prefill: (fixed) => programOf((model) => buildPrefill(model, fixed), "prefill"),
    decode: (fixed) => programOf((model) => buildDecode(model, fixed), "decode"),
    extend: () => programOf(buildExtend, "extend"),
  };
}

/** The context of a graph that reads int64 `tokens` [batch, length] of fixed or dynamic sizes. */
export function readingContext(model: ModelGraph, tokens: Tensor): SequenceContext {
  const [batch, length] = tokens.shape as readonly [Dimension, Dimension];
  const fixed = typeof batch === "number" && typeof length === "number";
  if (!fixed) {
    const shape = f.shapeOf(tokens);
    model.graph.defineDimension("batch", f.slice(shape, 0, 0, 1));
    model.graph.defineDimension("length", f.slice(shape, 0, 1, 2));
  }
  return sequenceContext(model, { batch, length, expertCapacity: fixed ? batch * length : undefined });
}

function buildLogprob(model: ModelGraph, fixed?: { batch: number; length: number }): void {
  const { graph, config } = model;
  const [batch, length] = [fixed?.batch ?? "batch", fixed?.length ?? "length"];
  const tokens = graph.input("tokens", "int64", [batch, fixed ? fixed.length + 1 : "length+1"]);
  const inputs = f.slice(tokens, 1, 0, -1, length);
  const targets = f.slice(tokens, 1, 1, 2 ** 31, length);
  const context = readingContext(model, inputs);
  const { hidden } = readSequence(context, embed(model, inputs, context.rows), new Map());
  const logits = head(model, hidden);
  const picked = f.gatherElements(f.logSoftmax(logits), f.reshape(targets, [context.rows, 1]), 1);
  graph.output("logprob", f.reshape(picked, [batch, length]));
  graph.output("logits", f.reshape(logits, [batch, length, config.vocab_size]));
}

function buildPrefill(model: ModelGraph, fixed?: { batch: number; length: number }): void {
  const { graph, config } = model;
  const [batch, length] = [fixed?.batch ?? "batch", fixed?.length ?? "length"];
  const tokens = graph.input("tokens", "int64", [batch, length]);
  const lastPosition = graph.input("lastPosition", "int64", [batch]);
  const context = readingContext(model, tokens);
  const { hidden, caches } = readSequence(context, embed(model, tokens, context.rows), new Map());
  const index = fixed ? f.integers(graph, [...Array(fixed.batch).keys()]) : f.range(graph.dimension("batch"), "batch");
  const lastRow = f.add(f.mul(index, f.reshape(graph.dimension(length), [])), lastPosition);
  graph.output("logits", head(model, f.gather(hidden, lastRow)));
  const width = config.kv_lora_rank + config.qk_rope_head_dim;
  caches.forEach((cache, layer) => {
    graph.output(`cache/${layer}`, f.reshape(cache, [batch, length, width]));
  });
}

function buildDecode(model: ModelGraph, fixed?: { batch: number; past: number }): void {
  const { graph, config } = model;
  const [batch, past] = [fixed?.batch ?? "batch", fixed?.past ?? "past"];
  const tokens = graph.input("tokens", "int64", [batch, 1]);
  const position = graph.input("position", "int64", [batch]);
  const width = config.kv_lora_rank + config.qk_rope_head_dim;
  const caches = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    graph.input(`cache/${layer}`, "float32", [batch, past, width]),
  );
  if (!fixed) {
    graph.defineDimension("batch", f.shapeOf(position));
    graph.defineDimension("past", f.slice(f.shapeOf(caches[0]!), 0, 1, 2));
  }
  const rotary = rotaryTables(config, position);
  const mask = decodeMask(graph, position, past);
  const context = { ...model, batch, length: 1, rows: batch, rotary, mask, expertCapacity: fixed?.batch };
  let x = embed(model, tokens, batch);
  caches.forEach((cache, layer) => {
    const { output, newCache } = decodeBlock(context, layer, x, cache);
    x = output;
    graph.output(`newCache/${layer}`, newCache);
  });
  graph.output("logits", head(model, norm(context, "model.norm", x)));
}

/** [batch, 1, past + 1]: 0 for cache rows before each sequence's position and for the new token, −∞ for the rest. */
function decodeMask(graph: Graph, position: Tensor, past: Dimension): Tensor {
  const [batch] = position.shape as readonly [Dimension];
  const index =
    typeof past === "number" ? f.integers(graph, [...Array(past).keys()]) : f.range(graph.dimension(past), past);
  const filled = f.less(f.reshape(index, [1, 1, past]), f.reshape(position, [batch, 1, 1]));
  const mask = f.where(filled, f.scalar(graph, 0), f.scalar(graph, Number.NEGATIVE_INFINITY));
  return f.concat([mask, f.expand(f.scalar(graph, 0), [batch, 1, 1])], 2);
}

/** The graph as a program whose parameters are its inputs; Error where an operator would not run everywhere. */
export function toProgram(graph: Graph, specs: readonly Pick<ParameterSpec, "name">[], name: string): Program {
  const encoded = encode(graph, name);
  const uncovered = uncoveredOperators(encoded.operators, operatorSet);
  if (uncovered.length > 0) throw new Error(`the ${name} graph would not run everywhere: ${uncovered.join("; ")}`);
  const isParameter = new Set(specs.map((spec) => spec.name));
  const specOf = (tensor: Tensor, tensorName: string): TensorSpec => {
    if (tensor.dtype === "bool") throw new Error(`${tensorName} crosses the graph's border as bool`);
    const shape = tensor.shape.map((dimension) => (typeof dimension === "number" ? dimension : -1));
    return { name: tensorName, dtype: tensor.dtype, shape };
  };
  return {
    onnx: encoded.onnx,
    parameters: graph.inputs.map((input) => input.name!).filter((input) => isParameter.has(input)),
    inputs: graph.inputs.filter((input) => !isParameter.has(input.name!)).map((input) => specOf(input, input.name!)),
    outputs: graph.outputs.map((output) => specOf(output.tensor, output.name)),
    operators: encoded.operators,
  };
}
