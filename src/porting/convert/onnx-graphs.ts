/**
 * The ONNX graphs of a Hugging Face checkpoint that is being converted to bfloat16, bound to the shards that will be written.
 * Knows: which architectures the engine's graphs are of, where each tensor will lie. Does not know: how shards are made.
 */
import { join } from "node:path";
import { encodeOrderedHeader } from "../../checkpoint/safetensors-header.ts";
import { safetensorsMetadata } from "../../checkpoint/safetensors-write.ts";
import { deepseekV3 } from "../../engine/model/deepseek.ts";
import { operatorSet } from "../../engine/onnx.ts";
import { BadInput } from "../../spec/bad-input.ts";
import type { Platform } from "../../spec/vocabulary.ts";
import { checkCoverage } from "../coverage.ts";
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

/**
 * `prefill.onnx` and `decode.onnx` by name. BadInput for an architecture that the engine has no graphs of, for a tensor that such a model
 * needs and `shards` lack, and for an operator that the platform has not.
 */
export function graphFiles(
  { given, config }: ModelSource,
  shards: readonly OutputShard[],
  { platform, capacityTokens }: GraphRequest,
): ReadonlyMap<string, Uint8Array> {
  const kept = config.filter(({ key }) => key !== "quantization_config");
  const json: unknown = JSON.parse(`{${kept.map(({ key, text }) => `${JSON.stringify(key)}:${text}`).join()}}`);
  const where = join(given, "config.json");
  const model = fromModelConfig(json, where);
  if (capacityTokens !== undefined && capacityTokens > model.max_position_embeddings) {
    throw new BadInput(
      `--capacity ${capacityTokens}: the model reads at most ${model.max_position_embeddings} tokens; give fewer`,
    );
  }
  const programs = deepseekV3(model);
  const weights = new Map<string, ExternalTensor>();
  for (const { name: file, tensors } of shards) {
    const { bytes: header, header: layout } = encodeOrderedHeader(tensors, safetensorsMetadata);
    for (const tensor of tensorsOfFile(file, header.length, layout.tensors)) weights.set(tensor.name, tensor);
  }
  for (const { name, shape } of programs.parameters) {
    const stored = weights.get(name);
    // The extra layer is in no serving graph; a checkpoint without it serves as well.
    if (!stored && name.startsWith(`model.layers.${model.num_hidden_layers}.`)) continue;
    if (stored?.shape.join() === shape.join()) continue;
    const found = stored ? `is [${stored.shape}]` : "is missing";
    throw new BadInput(`${given}: tensor ${name} ${found}, ${where} needs [${shape}]; put those of one model together`);
  }
  const graphs = servingGraphs(programs, capacityTokens);
  const operators = operatorsOf(Object.values(graphs), true);
  checkCoverage({ operators, operatorSet, precision: "bf16", platform, unsupportedOps: [] });
  return new Map(Object.entries(graphs).map(([name, program]) => [name, bindWeights(program, weights)]));
}
