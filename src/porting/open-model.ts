/**
 * Opens a trained model wherever it lies: a checkpoint, the newest verified one of a run, or an exported directory.
 * Knows: those three layouts and what makes them whole. Does not know: what the model is wanted for.
 */
import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
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
import { fromModelConfig } from "./model-config.ts";
import { isQuantized, type ModelWeights, openExportedWeights, openWeightFile } from "./model-weights.ts";

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
   * How the weights are stored: as the numbers that they are, or as signed bytes and a scale a row (ModelSlim's W8A8_DYNAMIC), which
   * float32Of reads as the numbers that they stand for. Whoever computes with those emulates the target's weights, not its activations.
   * Source of the format: Ascend/msmodelslim @3de0a3c4 docs/zh/user_guide/quantization_formats/ascendv1.md.
   */
  readonly stored: "float" | "w8a8-dynamic";
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

/** A parameter's values as float32; bfloat16 is widened exactly, signed bytes are multiplied with their row's scale. BadInput for any other stored format. */
export function float32Of({ weights }: OpenedModel, name: string): Float32Array {
  const tensor = weights.read(name);
  if (tensor.dtype !== "I8") return toFloat32(tensor, weights.path);
  const scale = toFloat32(weights.read(scaleOf(name)), weights.path);
  const columns = tensor.bytes.length / Math.max(1, scale.length);
  const codes = new Int8Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.length);
  return Float32Array.from(codes, (code, at) => code * scale[Math.floor(at / columns)]!);
}

/** ModelSlim keeps a signed-byte weight's scale, one for each output row, beside it. */
const scaleOf = (name: string): string => name.replace(/weight$/, "weight_scale");

export function toFloat32(tensor: Tensor, where: string): Float32Array {
  if (tensor.dtype === "F32") return float32View(tensor);
  if (tensor.dtype !== "BF16")
    throw new BadInput(`${where}: ${tensor.name} is ${tensor.dtype}; give weights in F32 or BF16`);
  return fromBfloat16(new Uint16Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.length / 2));
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
    stored: "float",
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
  const config = fromModelConfig(json, configPath);
  const tokenizer = join(path, "tokenizer.json");
  const stored = isQuantized(path) ? "w8a8-dynamic" : "float";
  return open(openExportedWeights(path), { kind: "export", stored, path, config, tokenizer, manifest: undefined });
}

function open(
  weights: ModelWeights,
  model: Pick<OpenedModel, "kind" | "stored" | "path" | "config" | "tokenizer" | "manifest">,
): OpenedModel {
  const file = weights.path;
  try {
    const parameters = deepseekV3(model.config).parameters.map(({ name, shape }) => {
      const stored = weights.tensors.get(name);
      if (!stored) throw new BadInput(`${file}: tensor ${name} is missing; export or train it again`);
      const scale = weights.tensors.get(scaleOf(name));
      if (stored.dtype === "I8" && scale?.shape.join() !== `${shape[0]},1`) {
        throw new BadInput(
          `${file}: tensor ${scaleOf(name)} is ${scale ? `[${scale.shape}]` : "missing"}, not [${shape[0]},1]; port it again`,
        );
      }
      if (stored.shape.join() !== shape.join()) {
        throw new BadInput(
          `${file}: tensor ${name} is [${stored.shape}], the configuration needs [${shape}]; they are of two models`,
        );
      }
      return stored;
    });
    const scales = parameters
      .filter(({ dtype }) => dtype === "I8")
      .flatMap(({ name }) => weights.tensors.get(scaleOf(name)) ?? []);
    return { ...model, weights, parameters, scales, close: () => weights.close() };
  } catch (error) {
    weights.close();
    throw error;
  }
}
