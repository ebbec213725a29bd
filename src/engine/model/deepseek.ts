/**
 * The DeepSeek-V3 model at any size, as the four graphs that training and serving need.
 * Knows: how blocks make a model, the contract of program.ts. Does not know: sessions, optimizers, how parameters are stored.
 * Follows DeepSeek's own inference/model.py where it and other implementations differ (deepseek-ai/DeepSeek-V3 @9b4e9788).
 */
import { type DeepseekConfig, isExpertLayer } from "../../spec/deepseek-config.ts";
import { gradients } from "../gradients.ts";
import { type Dimension, Graph, type Tensor } from "../graph.ts";
import { encode } from "../onnx.ts";
import * as f from "../operators/functions.ts";
import type { ModelPrograms, ParameterSpec, Program, TensorSpec } from "../program.ts";
import { causalMask, decodeAttention, latentAttention, rotaryTables, type SequenceContext } from "./attention.ts";
import { crossEntropy, linear, rmsNorm, swiGlu } from "./layers.ts";
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
    logprob: () => programOf(buildLogprob, "logprob"),
    prefill: () => programOf(buildPrefill, "prefill"),
    decode: () => programOf(buildDecode, "decode"),
  };
}

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

function toProgram(graph: Graph, specs: readonly ParameterSpec[], name: string): Program {
  const encoded = encode(graph, name);
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

export function buildGrad(
  model: ModelGraph,
  { microBatch, seqLength, mtpLossWeight }: { microBatch: number; seqLength: number; mtpLossWeight: number },
): { loss: Tensor; wanted: readonly Tensor[]; grads: readonly Tensor[] } {
  const { graph } = model;
  const tokens = graph.input("tokens", "int64", [microBatch, seqLength + 1]);
  const rows = microBatch * seqLength;
  const inputs = f.slice(tokens, 1, 0, seqLength);
  const targets = f.reshape(f.slice(tokens, 1, 1, seqLength + 1), [rows]);
  const context = sequenceContext(model, { batch: microBatch, length: seqLength, rows });
  const { hidden } = readSequence(context, f.reshape(inputs, [rows]));
  const nextTokenLoss = crossEntropy(head(model, hidden), targets);
  const loss = nextTokenLoss;
  void mtpLossWeight;
  const trained = model.specs.filter((spec) => spec.update !== "routing-bias");
  const wanted = trained.map((spec) => model.parameter(spec.name));
  const grads = gradients(graph, loss, wanted);
  graph.output("loss", loss);
  graph.output("nextTokenLoss", nextTokenLoss);
  trained.forEach((spec, i) => {
    graph.output(`grad/${spec.name}`, grads[i]!);
  });
  return { loss, wanted, grads };
}

function buildLogprob(model: ModelGraph): void {
  const { graph, config } = model;
  const tokens = graph.input("tokens", "int64", ["batch", "length+1"]);
  const inputs = f.slice(tokens, 1, 0, -1, "length");
  const targets = f.slice(tokens, 1, 1, 2 ** 31, "length");
  const context = dynamicContext(model, inputs);
  const { hidden } = readSequence(context, f.reshape(inputs, [context.rows]));
  const logits = head(model, hidden);
  const picked = f.gatherElements(f.logSoftmax(logits), f.reshape(targets, [context.rows, 1]), 1);
  graph.output("logprob", f.reshape(picked, ["batch", "length"]));
  graph.output("logits", f.reshape(logits, ["batch", "length", config.vocab_size]));
}

function buildPrefill(model: ModelGraph): void {
  const { graph, config } = model;
  const tokens = graph.input("tokens", "int64", ["batch", "length"]);
  const lastPosition = graph.input("lastPosition", "int64", ["batch"]);
  const context = dynamicContext(model, tokens);
  const { hidden, caches } = readSequence(context, f.reshape(tokens, [context.rows]));
  const batchIndex = f.range(graph.dimension("batch"), "batch");
  const lastRow = f.add(f.mul(batchIndex, f.reshape(graph.dimension("length"), [])), lastPosition);
  graph.output("logits", head(model, f.gather(hidden, lastRow)));
  const width = config.kv_lora_rank + config.qk_rope_head_dim;
  caches.forEach((cache, layer) => {
    graph.output(`cache/${layer}`, f.reshape(cache, ["batch", "length", width]));
  });
}

function buildDecode(model: ModelGraph): void {
  const { graph, config } = model;
  const tokens = graph.input("tokens", "int64", ["batch", 1]);
  const position = graph.input("position", "int64", ["batch"]);
  const width = config.kv_lora_rank + config.qk_rope_head_dim;
  const caches = Array.from({ length: config.num_hidden_layers }, (_, layer) =>
    graph.input(`cache/${layer}`, "float32", ["batch", "past", width]),
  );
  graph.defineDimension("batch", f.shapeOf(position));
  graph.defineDimension("past", f.slice(f.shapeOf(caches[0]!), 0, 1, 2));
  const context: SequenceContext = {
    ...model,
    batch: "batch",
    length: 1,
    rows: "batch",
    rotary: rotaryTables(config, position),
    mask: decodeMask(graph, position),
  };
  let x = f.gather(model.parameter("model.embed_tokens.weight"), f.reshape(tokens, ["batch"]));
  caches.forEach((cache, layer) => {
    const prefix = `model.layers.${layer}`;
    const normed = rmsNorm(x, model.parameter(`${prefix}.input_layernorm.weight`), config.rms_norm_eps);
    const { output, newCache } = decodeAttention(context, `${prefix}.self_attn`, normed, cache);
    x = feedForwardResidual(context, layer, f.add(x, output));
    graph.output(`newCache/${layer}`, newCache);
  });
  x = rmsNorm(x, model.parameter("model.norm.weight"), config.rms_norm_eps);
  graph.output("logits", head(model, x));
}

/** [batch, 1, past + 1]: 0 for cache rows before each sequence's position and for the new token, −∞ for the rest. */
function decodeMask(graph: Graph, position: Tensor): Tensor {
  const index = f.reshape(f.range(graph.dimension("past"), "past"), [1, 1, "past"]);
  const filled = f.less(index, f.reshape(position, ["batch", 1, 1]));
  const mask = f.where(filled, f.scalar(graph, 0), f.scalar(graph, Number.NEGATIVE_INFINITY));
  const own = f.expand(f.scalar(graph, 0), ["batch", 1, 1]);
  return graph.apply("Concat", [mask, own], { axis: 2 }, [{ dtype: "float32", shape: ["batch", 1, "past+1"] }])[0]!;
}

function dynamicContext(model: ModelGraph, tokens: Tensor): SequenceContext {
  const shape = f.shapeOf(tokens);
  model.graph.defineDimension("batch", f.slice(shape, 0, 0, 1));
  model.graph.defineDimension("length", f.slice(shape, 0, 1, 2));
  return sequenceContext(model, { batch: "batch", length: "length", rows: "batch*length" });
}

function sequenceContext(
  model: ModelGraph,
  sizes: { batch: Dimension; length: Dimension; rows: Dimension },
): SequenceContext {
  const { graph, config } = model;
  const { length } = sizes;
  const positions =
    typeof length === "number"
      ? f.integers(graph, [...Array(length).keys()])
      : f.range(graph.dimension(length), length);
  return { ...model, ...sizes, rotary: rotaryTables(config, positions), mask: causalMask(graph, length) };
}

/** Tokens int64 [rows] → final hidden states [rows, hidden] and each layer's cache [rows, latent + rope]. */
function readSequence(context: SequenceContext, tokens: Tensor): { hidden: Tensor; caches: readonly Tensor[] } {
  const { config, parameter } = context;
  let x = f.gather(parameter("model.embed_tokens.weight"), tokens);
  const caches: Tensor[] = [];
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const block = readBlock(context, layer, x);
    x = block.output;
    caches.push(block.cache);
  }
  return { hidden: rmsNorm(x, parameter("model.norm.weight"), config.rms_norm_eps), caches };
}

function readBlock(context: SequenceContext, layer: number, x: Tensor): { output: Tensor; cache: Tensor } {
  const { config, parameter } = context;
  const prefix = `model.layers.${layer}`;
  const normed = rmsNorm(x, parameter(`${prefix}.input_layernorm.weight`), config.rms_norm_eps);
  const { output, cache } = latentAttention(context, `${prefix}.self_attn`, normed);
  return { output: feedForwardResidual(context, layer, f.add(x, output)), cache };
}

function feedForwardResidual(context: SequenceContext, layer: number, x: Tensor): Tensor {
  const { config, parameter } = context;
  const prefix = `model.layers.${layer}`;
  const normed = rmsNorm(x, parameter(`${prefix}.post_attention_layernorm.weight`), config.rms_norm_eps);
  if (isExpertLayer(config, layer)) throw new Error("experts are not built yet");
  return f.add(x, feedForward(context, `${prefix}.mlp`, normed));
}

function feedForward({ parameter }: SequenceContext, prefix: string, x: Tensor): Tensor {
  const gate = linear(x, parameter(`${prefix}.gate_proj.weight`));
  const up = linear(x, parameter(`${prefix}.up_proj.weight`));
  return linear(swiGlu(gate, up), parameter(`${prefix}.down_proj.weight`));
}

function head(model: ModelGraph, hidden: Tensor): Tensor {
  return linear(hidden, model.parameter("lm_head.weight"));
}
