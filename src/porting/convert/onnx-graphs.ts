/**
 * The ONNX graphs of a Hugging Face checkpoint that is being converted to bfloat16, bound to the shards that will be written.
 * Knows: which architecture's graphs are made where, where each tensor will lie. Does not know: how shards are made.
 */
import { join } from "node:path";
import { encodeOrderedHeader } from "../../checkpoint/safetensors-header.ts";
import { safetensorsMetadata } from "../../checkpoint/safetensors-write.ts";
import { deepseekV3 } from "../../engine/model/deepseek.ts";
import { operatorSet } from "../../engine/onnx.ts";
import type { ModelPrograms } from "../../engine/program.ts";
import { BadInput } from "../../spec/bad-input.ts";
import type { Platform } from "../../spec/vocabulary.ts";
import { checkCoverage } from "../coverage.ts";
import { isDecoderFamily, readDecoderConfig } from "../decoder/decoder-config.ts";
import { decoderPrograms } from "../decoder/decoder-graphs.ts";
import { fromModelConfig } from "../model-config.ts";
import { bindWeights, type ExternalTensor, tensorsOfFile } from "../onnx-weights.ts";
import { operatorsOf, servingGraphs } from "../serving-graphs.ts";
import type { ModelSource } from "./model-source.ts";
import type { OutputShard } from "./shard-layout.ts";

export interface GraphRequest {
  /** Whose toolkit must have every operator. */
  readonly platform: Platform;
  /** Fixes every shape, for texts of so many tokens. */
  readonly capacityTokens?: number | undefined;
}

/** What a source's graphs are made of: which parameters they read, and with which operators. */
export interface ServingModel {
  readonly programs: Pick<ModelPrograms, "prefill" | "decode">;
  readonly parameters: readonly { readonly name: string; readonly shape: readonly number[] }[];
  /** Parameters that a checkpoint may lack, because no serving graph reads them. */
  readonly optional: (name: string) => boolean;
  readonly graphs: ReturnType<typeof servingGraphs>;
  readonly operators: readonly string[];
}

/** BadInput for an architecture of which there are no graphs, and for a capacity beyond what the model reads. */
export function servingModel({ given, config }: ModelSource, capacityTokens: number | undefined): ServingModel {
  const kept = config.filter(({ key }) => key !== "quantization_config");
  const json: unknown = JSON.parse(`{${kept.map(({ key, text }) => `${JSON.stringify(key)}:${text}`).join()}}`);
  const where = join(given, "config.json");
  const modelType = kept.find(({ key }) => key === "model_type")?.text;
  const decoder = modelType !== undefined && isDecoderFamily(JSON.parse(modelType));
  const { programs, parameters, positionsMax, extra } = decoder
    ? decoderModel(json, where)
    : deepseekModel(json, where);
  if (capacityTokens !== undefined && capacityTokens > positionsMax) {
    throw new BadInput(`--capacity ${capacityTokens}: the model reads at most ${positionsMax} tokens; give fewer`);
  }
  const graphs = servingGraphs(programs, capacityTokens);
  const optional = (name: string): boolean => extra !== undefined && name.startsWith(extra);
  return { programs, parameters, optional, graphs, operators: operatorsOf(Object.values(graphs), true) };
}

function decoderModel(json: unknown, where: string) {
  const config = readDecoderConfig(json, where);
  const programs = decoderPrograms(config);
  return { programs, parameters: programs.parameters, positionsMax: config.positionsMax, extra: undefined };
}

/** The extra prediction layer is in no serving graph; a checkpoint without it serves as well. */
function deepseekModel(json: unknown, where: string) {
  const config = fromModelConfig(json, where);
  const programs = deepseekV3(config);
  const extra = `model.layers.${config.num_hidden_layers}.`;
  return { programs, parameters: programs.parameters, positionsMax: config.max_position_embeddings, extra };
}

/**
 * `prefill.onnx` and `decode.onnx` by name. BadInput for an architecture that there are no graphs of, for a tensor that such a model
 * needs and `shards` lack, and for an operator that the platform has not.
 */
export function graphFiles(
  source: ModelSource,
  shards: readonly OutputShard[],
  { platform, capacityTokens }: GraphRequest,
): ReadonlyMap<string, Uint8Array> {
  const { parameters, optional, graphs, operators } = servingModel(source, capacityTokens);
  const { given } = source;
  const weights = new Map<string, ExternalTensor>();
  for (const { name: file, tensors } of shards) {
    const { bytes: header, header: layout } = encodeOrderedHeader(tensors, safetensorsMetadata);
    for (const tensor of tensorsOfFile(file, header.length, layout.tensors)) weights.set(tensor.name, tensor);
  }
  for (const { name, shape } of parameters) {
    const stored = weights.get(name);
    if (!stored && optional(name)) continue;
    if (stored?.shape.join() === shape.join()) continue;
    const found = stored ? `is [${stored.shape}]` : "is missing";
    throw new BadInput(
      `${given}: tensor ${name} ${found}, config.json needs [${shape}]; put those of one model together`,
    );
  }
  checkCoverage({ operators, operatorSet, precision: "bf16", platform, unsupportedOps: [] });
  return new Map(Object.entries(graphs).map(([name, program]) => [name, bindWeights(program, weights)]));
}
