/**
 * Opens a trained model wherever it lies: a checkpoint, the newest verified one of a run, an exported or a published directory.
 * Knows: those layouts and what makes them whole. Does not know: what the model is wanted for.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import * as z from "zod";
import { fromBfloat16 } from "../checkpoint/bfloat16.ts";
import { CorruptCheckpoint } from "../checkpoint/corrupt-checkpoint.ts";
import { float32View, type Tensor, type TensorInfo } from "../checkpoint/dtype.ts";
import { manifestName } from "../checkpoint/integrity.ts";
import type { Manifest } from "../checkpoint/manifest.ts";
import { weightsFile } from "../checkpoint/training-state.ts";
import { newestVerified, verifyCheckpoint } from "../checkpoint/verify-checkpoint.ts";
import { streamedWeightsSha256 } from "../checkpoint/weights-digest.ts";
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { DeepseekConfig } from "../spec/deepseek-config.ts";
import { descriptionName } from "./convert/description.ts";
import type { ScaleBlock } from "./convert/model-source.ts";
import { fromFloat16 } from "./convert/plain-conversion.ts";
import { blockOf } from "./convert/quantization-config.ts";
import { fromModelConfig } from "./model-config.ts";
import { isQuantized, type ModelWeights, openExportedWeights, openWeightFile } from "./model-weights.ts";
import { checkScaleShape, fromBlocks, fromSignedBytes, offsetOf, scaleOf, typesOf } from "./stored-weights.ts";

export interface OpenedModel {
  readonly kind: "checkpoint" | "export";
  /** The folder with the weights, absolute. */
  readonly path: string;
  readonly config: DeepseekConfig;
  /** `byte`, or the path of a `tokenizer.json`; what the engine's openTokenizer takes. */
  readonly tokenizer: string;
  /** The checkpoint's manifest; an export has none. */
  readonly manifest: Manifest | undefined;
  readonly weights: ModelWeights;
  /**
   * How the weights are stored: as the numbers that they are, as signed bytes and a scale a row (ModelSlim), or as FP8 codes and a scale
   * a block (DeepSeek's). float32Of reads them as the numbers that they stand for: whoever computes with those emulates the target's
   * weights, not its activations.
   */
  readonly stored: "float" | "w8a8-dynamic" | "fp8-block";
  /** Rows and columns that share a scale of FP8 codes. */
  readonly block: ScaleBlock | undefined;
  /** The model's parameters as they are stored, sorted by name. */
  readonly parameters: readonly TensorInfo[];
  /** What the parameters' values depend on besides: scales of quantised weights. */
  readonly scales: readonly TensorInfo[];
  close(): void;
}

/** Opens `given`; BadInput says what is missing, corrupt or not a model. Close it. */
export async function openModel(given: string): Promise<OpenedModel> {
  const path = resolve(given);
  if (!existsSync(path))
    throw new BadInput(`${given}: does not exist; give a checkpoint, a run directory or an exported directory`);
  if (!statSync(path).isDirectory()) throw new BadInput(`${given}: is a file; give the directory it lies in`);
  if (existsSync(join(path, manifestName))) return openCheckpoint(path);
  if (existsSync(join(path, "config.json"))) return openExport(path);
  if (existsSync(join(path, "checkpoints"))) {
    const { newest, rejected } = await newestVerified([{ tier: "disk", folder: join(path, "checkpoints") }]);
    if (newest) return openCheckpoint(newest.path);
    const why = rejected.map(({ step, file, why }) => `step ${step}: ${file} ${why}`).join("; ");
    throw new BadInput(`${given}: no checkpoint verifies${why && ` (${why})`}; train on, or give another directory`);
  }
  throw new BadInput(
    `${given}: holds neither manifest.json, config.json nor checkpoints/; give a checkpoint, a run or an export`,
  );
}

/** A parameter's values as float32; narrower floats are widened exactly, codes are multiplied with their scales. BadInput for any other stored format. */
export function float32Of({ weights, block }: OpenedModel, name: string): Float32Array {
  const tensor = weights.read(name);
  if (tensor.dtype !== "I8" && tensor.dtype !== "F8_E4M3") return toFloat32(tensor, weights.path);
  const scale = toFloat32(weights.read(scaleOf(tensor)), weights.path);
  if (tensor.dtype === "F8_E4M3") return fromBlocks(tensor, scale, block);
  const offset = weights.tensors.has(offsetOf(name))
    ? toFloat32(weights.read(offsetOf(name)), weights.path)
    : undefined;
  return fromSignedBytes(tensor, scale, offset);
}

export function toFloat32(tensor: Tensor, where: string): Float32Array {
  if (tensor.dtype === "F32") return float32View(tensor);
  const halves = (): Uint16Array =>
    new Uint16Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.length / 2);
  if (tensor.dtype === "F16") return Float32Array.from(halves(), fromFloat16);
  if (tensor.dtype !== "BF16") {
    throw new BadInput(
      `${where}: ${tensor.name} is ${tensor.dtype}; give F32, BF16, F16, block-wise FP8 or W8A8 weights`,
    );
  }
  return fromBfloat16(halves());
}

/** The identity of the weights as they are stored (checkpoint/weights-digest). */
export function storedWeightsSha256({ weights, parameters, scales }: OpenedModel): string {
  return streamedWeightsSha256([...parameters, ...scales], ({ name }) => weights.chunks(name));
}

async function openCheckpoint(path: string): Promise<OpenedModel> {
  const manifest = await verifyCheckpoint(path).catch((error: unknown) => {
    if (error instanceof CorruptCheckpoint) {
      throw new BadInput(`${path}: ${error.file}: ${error.why}; give an older checkpoint or the run directory`);
    }
    throw error;
  });
  const { tokenizer } = manifest;
  return open(openWeightFile(join(path, weightsFile)), {
    kind: "checkpoint",
    ...{ stored: "float", block: undefined },
    path,
    config: manifest.model,
    tokenizer: tokenizer.kind === "byte" ? "byte" : tokenizer.path,
    manifest,
  });
}

function openExport(path: string): OpenedModel {
  const configPath = join(path, "config.json");
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(configPath, "utf8"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BadInput(`${configPath}: cannot be read as JSON (${why}); export it again`);
  }
  const { given, block } = withoutQuantization(json, configPath);
  const config = fromModelConfig(given, configPath);
  const tokenizer = join(path, "tokenizer.json");
  const stored = isQuantized(path) ? "w8a8-dynamic" : block ? "fp8-block" : "float";
  const weights = openExportedWeights(path);
  return open(weights, { kind: "export", stored, block, path, config, tokenizer, manifest: undefined });
}

const Quantized = z.looseObject({
  model_type: z.unknown(),
  quantization_config: z.looseObject({ quant_method: z.unknown() }).nullish(),
});

/** The architecture alone, and the blocks of its FP8 weights. BadInput, one line, for what the engine does not compute. */
function withoutQuantization(json: unknown, where: string): { given: unknown; block: ScaleBlock | undefined } {
  const parsed = Quantized.safeParse(json);
  if (!parsed.success) return { given: json, block: undefined };
  const { quantization_config: method, ...given } = parsed.data;
  const type = given.model_type;
  if (typeof type === "string" && type !== "deepseek_v3") {
    const told = JSON.stringify(type.slice(0, 60));
    throw new BadInput(
      `${where}: model_type ${told} is none that the embedded engine computes (deepseek_v3); compare its server or its traces`,
    );
  }
  if (method && method.quant_method !== "fp8") {
    const told = JSON.stringify(method.quant_method)?.slice(0, 60);
    throw new BadInput(
      `${where}: quantization_config.quant_method ${told} is not read; give block-wise FP8, W8A8 or float weights, or compare its server`,
    );
  }
  return { given, block: blockOf({ quantization_config: method }, where) };
}

function open(
  weights: ModelWeights,
  model: Pick<OpenedModel, "kind" | "stored" | "block" | "path" | "config" | "tokenizer" | "manifest">,
): OpenedModel {
  const file = weights.path;
  try {
    const checkType = model.stored === "w8a8-dynamic" ? typesOf(join(model.path, descriptionName)) : () => undefined;
    const parameters = deepseekV3(model.config).parameters.map(({ name, shape }) => {
      const stored = weights.tensors.get(name);
      if (!stored) throw new BadInput(`${file}: tensor ${name} is missing; export or train it again`);
      checkType(stored);
      if (stored.shape.join() !== shape.join()) {
        throw new BadInput(
          `${file}: tensor ${name} is [${stored.shape}], the configuration needs [${shape}]; they are of two models`,
        );
      }
      checkScaleShape(stored, { tensors: weights.tensors, block: model.block, where: file });
      return stored;
    });
    const scales = parameters
      .filter(({ dtype }) => dtype === "I8" || dtype === "F8_E4M3")
      .flatMap((stored) => [scaleOf(stored), offsetOf(stored.name)])
      .flatMap((name) => weights.tensors.get(name) ?? []);
    return { ...model, weights, parameters, scales, close: () => weights.close() };
  } catch (error) {
    weights.close();
    throw error;
  }
}
