/**
 * The weights of a model that lies in one safetensors file or in many, read as if they were one; W8A8 weights come out as float32.
 * Knows: the two indexes (Hugging Face's and ModelSlim's), and that a signed byte times its row's scale is the weight. Does not know:
 * which tensors a model needs. Source of the format: Ascend/msmodelslim @3de0a3c4 docs/zh/user_guide/quantization_formats/ascendv1.md.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { float32View, type Tensor, type TensorInfo } from "../checkpoint/dtype.ts";
import { openSafetensors, type SafetensorsFile } from "../checkpoint/safetensors-file.ts";
import { MalformedSafetensors } from "../checkpoint/safetensors-header.ts";
import { BadInput } from "../spec/bad-input.ts";
import { descriptionName, indexNames } from "./convert/description.ts";

export interface ModelWeights {
  /** What messages call it. */
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** A tensor's bytes, copied; RangeError when there is none of that name. */
  read(name: string): Tensor;
  /** The same bytes in pieces; each piece is overwritten by the next. */
  chunks(name: string): Iterable<Uint8Array>;
  close(): void;
}

export const exportedWeights = "model.safetensors";
const Index = z.looseObject({
  weight_map: z.record(z.string(), z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors$/)),
});

/** True where the folder holds what `port --to w8a8-dynamic` writes. */
export const isQuantized = (folder: string): boolean => existsSync(join(folder, descriptionName));

/** Opens the weights of an exported folder; BadInput where a file is missing, is no safetensors file or lacks what the index says. */
export function openExportedWeights(folder: string): ModelWeights {
  if (isQuantized(folder)) return dequantized(openIndexed(folder, indexNames["w8a8-dynamic"]));
  if (existsSync(join(folder, exportedWeights))) return openWeightFile(join(folder, exportedWeights));
  if (existsSync(join(folder, indexNames.bf16))) return openIndexed(folder, indexNames.bf16);
  return openWeightFile(join(folder, exportedWeights));
}

export function openWeightFile(file: string): SafetensorsFile {
  try {
    return openSafetensors(file);
  } catch (error) {
    if (error instanceof MalformedSafetensors) throw new BadInput(`${file}: ${error.message}; export or copy it again`);
    if (error instanceof Error && "code" in error) {
      throw new BadInput(`${file}: cannot be read (${String(error.code)}); give a directory with all its files`);
    }
    throw error;
  }
}

function openIndexed(folder: string, name: string): ModelWeights {
  const places = readIndex(join(folder, name));
  const open = new Map<string, SafetensorsFile>();
  const close = (): void => {
    for (const file of open.values()) file.close();
  };
  try {
    for (const file of new Set(places.values())) open.set(file, openWeightFile(join(folder, file)));
    const tensors = new Map<string, TensorInfo>();
    const fileOf = new Map<string, SafetensorsFile>();
    for (const [tensor, shard] of places) {
      const file = open.get(shard);
      const info = file?.tensors.get(tensor);
      if (!file || !info)
        throw new BadInput(`${join(folder, shard)}: tensor ${tensor} is missing; export or copy it again`);
      tensors.set(tensor, info);
      fileOf.set(tensor, file);
    }
    const holder = (tensor: string): SafetensorsFile => {
      const file = fileOf.get(tensor);
      if (!file) throw new RangeError(`${folder}: no tensor ${tensor}`);
      return file;
    };
    return {
      path: folder,
      tensors,
      read: (tensor) => holder(tensor).read(tensor),
      chunks: (tensor) => holder(tensor).chunks(tensor),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

function readIndex(path: string): ReadonlyMap<string, string> {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new BadInput(`${path}: cannot be read as JSON (${why}); export it again`);
  }
  const parsed = Index.safeParse(json);
  if (!parsed.success)
    throw new BadInput(`${path}: weight_map is missing or names no shard beside it; export it again`);
  return new Map(Object.entries(parsed.data.weight_map));
}

/**
 * The same weights with every signed-byte tensor as the float32 that it stands for. This is the weights' half of W8A8: activations
 * are not quantised by who computes with them, which on the target they are, for each token.
 */
function dequantized(stored: ModelWeights): ModelWeights {
  const hidden = new Set<string>();
  const tensors = new Map<string, TensorInfo>();
  for (const { name, dtype, shape } of stored.tensors.values()) {
    if (dtype !== "I8") continue;
    const scale = stored.tensors.get(`${name}_scale`);
    if (shape.length !== 2 || scale?.dtype !== "F32" || scale.shape.join() !== [shape[0], 1].join()) {
      stored.close();
      throw new BadInput(`${stored.path}: tensor ${name}: has no float32 scale for each row; port it again`);
    }
    tensors.set(name, { name, dtype: "F32", shape });
    hidden.add(`${name}_scale`).add(`${name}_offset`);
  }
  for (const [name, info] of stored.tensors) if (!tensors.has(name) && !hidden.has(name)) tensors.set(name, info);
  const read = (name: string): Tensor => {
    const tensor = stored.read(name);
    if (tensor.dtype !== "I8") return tensor;
    const scales = float32View(stored.read(`${name}_scale`));
    const codes = new Int8Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.length);
    const columns = tensor.shape[1] ?? 0;
    const values = new Float32Array(codes.length);
    for (const [row, scale] of scales.entries()) {
      for (let at = row * columns; at < (row + 1) * columns; at++) values[at] = (codes[at] ?? 0) * scale;
    }
    return { name, dtype: "F32", shape: tensor.shape, bytes: new Uint8Array(values.buffer) };
  };
  return {
    ...{ path: stored.path, tensors, read, close: stored.close },
    *chunks(name) {
      yield read(name).bytes;
    },
  };
}
