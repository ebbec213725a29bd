/**
 * The prefill and decode graphs of Llama, Mistral, Qwen, Mixtral and DeepSeek-V2 models, with the same inputs and outputs as the engine's
 * own (engine/program.ts). A layer's cache of grouped attention is rotated keys | values, [batch, tokens, 2 · key heads · head width].
 * Knows: how layers make a model, Hugging Face's names. Does not know: configurations' keys, weights, files.
 */
import { type Dimension, Graph, type Tensor } from "../../engine/graph.ts";
import { decodeAttention, latentAttention, rotaryTables, type SequenceContext } from "../../engine/model/attention.ts";
import { toProgram } from "../../engine/model/deepseek.ts";
import { linear, rmsNorm, swiGlu } from "../../engine/model/layers.ts";
import { parametersOf } from "../../engine/model/parameters.ts";
import * as f from "../../engine/operators/functions.ts";
import type { ModelPrograms, Program } from "../../engine/program.ts";
import { type DecoderBuild, newBuild, type ParameterShape } from "./decoder-build.ts";
import type { DecoderConfig } from "./decoder-config.ts";
import { expertFeedForward } from "./decoder-experts.ts";
import { decodeGrouped, decodeMask, readGrouped, readMask, turnsOf } from "./grouped-attention.ts";

export type DecoderPrograms = Pick<ModelPrograms, "prefill" | "decode"> & {
  /** What the graphs read of a checkpoint. */
  readonly parameters: readonly ParameterShape[];
};

export function decoderPrograms(config: DecoderConfig): DecoderPrograms {
  const build = (
    fill: (build: DecoderBuild) => void,
    name: string,
  ): { program: Program; parameters: ParameterShape[] } => {
    const { latent } = config;
    const known = latent ? parametersOf({ ...latent, n_routed_experts: null }) : [];
    const model = newBuild(new Graph(), config, known);
    fill(model);
    return { program: toProgram(model.graph, model.parameters, name), parameters: model.parameters };
  };
  return {
    parameters: build((model) => buildPrefill(model), "prefill").parameters,
    prefill: (fixed) => build((model) => buildPrefill(model, fixed), "prefill").program,
    decode: (fixed) => build((model) => buildDecode(model, fixed), "decode").program,
  };
}

/** Values that one layer keeps of one token. */
export function cacheWidth({ latent, kvHeads, headDim }: DecoderConfig): number {
  return latent ? latent.kv_lora_rank + latent.qk_rope_head_dim : 2 * kvHeads * headDim;
}

function buildPrefill(model: DecoderBuild, fixed?: { batch: number; length: number }): void {
  const { graph, config } = model;
  const [batch, length] = [fixed?.batch ?? "batch", fixed?.length ?? "length"] as readonly [Dimension, Dimension];
  const rows = fixed ? fixed.batch * fixed.length : "batch*length";
  const tokens = graph.input("tokens", "int64", [batch, length]);
  const lastPosition = graph.input("lastPosition", "int64", [batch]);
  if (!fixed) {
    const shape = f.shapeOf(tokens);
    graph.defineDimension("batch", f.slice(shape, 0, 0, 1));
    graph.defineDimension("length", f.slice(shape, 0, 1, 2));
  }
  const positions = fixed
    ? f.integers(graph, [...Array(fixed.length).keys()])
    : f.range(graph.dimension(length), "length");
  const mask = readMask(graph, length, config.latent ? 1 : config.heads / config.kvHeads, config.window);
  const site = { ...model, batch, length, rows, expertCapacity: fixed && fixed.batch * fixed.length };
  const latent = config.latent && latentContext(site, config.latent, positions, mask);
  const turns = latent ? undefined : turnsOf(config, positions, [length, 1]);
  let x = embed(model, tokens, rows);
  for (let layer = 0; layer < config.layers; layer++) {
    const prefix = `model.layers.${layer}`;
    const normed = norm(model, `${prefix}.input_layernorm`, x);
    const attention = latent
      ? latentAttention(latent, `${prefix}.self_attn`, normed)
      : readGrouped(site, `${prefix}.self_attn`, normed, { turns: turns!, mask });
    graph.output(`cache/${layer}`, f.reshape(attention.cache, [batch, length, cacheWidth(config)]));
    x = feedForwardResidual(site, layer, f.add(x, attention.output));
  }
  const index = fixed ? f.integers(graph, [...Array(fixed.batch).keys()]) : f.range(graph.dimension("batch"), "batch");
  const lastRow = f.add(f.mul(index, f.reshape(graph.dimension(length), [])), lastPosition);
  graph.output("logits", head(model, f.gather(norm(model, "model.norm", x), lastRow)));
}

function buildDecode(model: DecoderBuild, fixed?: { batch: number; past: number }): void {
  const { graph, config } = model;
  const [batch, past] = [fixed?.batch ?? "batch", fixed?.past ?? "past"] as readonly [Dimension, Dimension];
  const tokens = graph.input("tokens", "int64", [batch, 1]);
  const position = graph.input("position", "int64", [batch]);
  const caches = Array.from({ length: config.layers }, (_, layer) =>
    graph.input(`cache/${layer}`, "float32", [batch, past, cacheWidth(config)]),
  );
  if (!fixed) {
    graph.defineDimension("batch", f.shapeOf(position));
    graph.defineDimension("past", f.slice(f.shapeOf(caches[0]!), 0, 1, 2));
    graph.defineDimension("past+1", f.add(graph.dimension("past"), 1));
  }
  const mask = decodeMask(graph, position, past, config.window);
  const site = { ...model, batch, length: 1, rows: batch, expertCapacity: fixed?.batch };
  const latent = config.latent && latentContext(site, config.latent, position, mask);
  const turns = latent ? undefined : turnsOf(config, position, [batch, 1, 1]);
  let x = embed(model, tokens, batch);
  caches.forEach((cache, layer) => {
    const prefix = `model.layers.${layer}`;
    const normed = norm(model, `${prefix}.input_layernorm`, x);
    const attention = latent
      ? decodeAttention(latent, `${prefix}.self_attn`, normed, cache)
      : decodeGrouped(site, `${prefix}.self_attn`, normed, { turns: turns!, mask, cache });
    graph.output(`newCache/${layer}`, attention.newCache);
    x = feedForwardResidual(site, layer, f.add(x, attention.output));
  });
  graph.output("logits", head(model, norm(model, "model.norm", x)));
}

/** The context in which the engine's own attention works. */
function latentContext(
  site: DecoderSite,
  config: SequenceContext["config"],
  positions: Tensor,
  mask: Tensor,
): SequenceContext {
  const { graph, parameter, batch, length, rows } = site;
  const rotary = rotaryTables(config, positions);
  return { graph, config, parameter, batch, length, rows, rotary, mask, expertCapacity: site.expertCapacity };
}

/** A model under construction at the sequences that it reads; `rows` is batch × length. */
export interface DecoderSite extends DecoderBuild {
  readonly batch: Dimension;
  readonly length: Dimension;
  readonly rows: Dimension;
  readonly expertCapacity: number | undefined;
}

function embed({ parameter, config }: DecoderBuild, tokens: Tensor, rows: Dimension): Tensor {
  return f.gather(parameter("model.embed_tokens.weight", [config.vocab, config.hidden]), f.reshape(tokens, [rows]));
}

function head({ parameter, config }: DecoderBuild, hidden: Tensor): Tensor {
  const name = config.tied ? "model.embed_tokens.weight" : "lm_head.weight";
  return linear(hidden, parameter(name, [config.vocab, config.hidden]));
}

function norm({ parameter, config }: DecoderBuild, name: string, x: Tensor): Tensor {
  return rmsNorm(x, parameter(`${name}.weight`, [config.hidden]), config.epsilon);
}

function feedForwardResidual(site: DecoderSite, layer: number, x: Tensor): Tensor {
  const { config } = site;
  const prefix = `model.layers.${layer}`;
  const normed = norm(site, `${prefix}.post_attention_layernorm`, x);
  if (config.isExpertLayer(layer)) return f.add(x, expertFeedForward(site, layer, normed));
  return f.add(x, feedForward(site, `${prefix}.mlp`, config.ffn, normed));
}

/** SwiGLU of `width`. */
export function feedForward({ parameter, config }: DecoderBuild, prefix: string, width: number, x: Tensor): Tensor {
  const gate = linear(x, parameter(`${prefix}.gate_proj.weight`, [width, config.hidden]));
  const up = linear(x, parameter(`${prefix}.up_proj.weight`, [width, config.hidden]));
  return linear(swiGlu(gate, up), parameter(`${prefix}.down_proj.weight`, [config.hidden, width]));
}
