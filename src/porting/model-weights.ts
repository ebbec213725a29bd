/**
 * The weights of a model that lies in one safetensors file or in many, read as if they were one.
 * Knows: the two indexes (Hugging Face's and ModelSlim's). Does not know: which tensors a model needs, what stored bytes stand for.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { Tensor, TensorInfo } from "../checkpoint/dtype.ts";
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
  chunks(name: string, chunkBytes?: number): Iterable<Uint8Array>;
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
  if (isQuantized(folder)) return openIndexed(folder, indexNames["w8a8-dynamic"]);
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
      chunks: (tensor, chunkBytes) => holder(tensor).chunks(tensor, chunkBytes),
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
