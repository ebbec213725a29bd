/**
 * What a conversion reads: a model's configuration, where each of its tensors lies, and the files beside them.
 * Knows: the shape of that. Does not know: how it was found (hugging-face-source) or what becomes of it (recipes).
 */
import type { TensorInfo } from "../../checkpoint/dtype.ts";
import { BadInput } from "../../spec/bad-input.ts";
import type { Member } from "./strict-json.ts";

export interface SourceTensor extends TensorInfo {
  /** File name inside the source's folder. */
  readonly file: string;
  /** Byte in the file at which the tensor begins. */
  readonly at: number;
  readonly bytes: number;
}

/** A square of weights that shares one scale. */
export interface ScaleBlock {
  readonly rows: number;
  readonly columns: number;
}

export interface SourceShard {
  readonly file: string;
  readonly bytes: number;
  /** With the size, tells whether the file was touched since. */
  readonly modifiedMs: number;
}

export interface SideFile {
  readonly name: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** Who wrote the source: somebody else, or the embedded engine in a run. */
export type SourceOrigin =
  | { readonly kind: "hugging-face" }
  | { readonly kind: "checkpoint"; readonly run: string; readonly epoch: number; readonly step: number };

export interface ModelSource {
  readonly origin: SourceOrigin;
  /** As it was given, for messages. */
  readonly given: string;
  /** Absolute and without links. */
  readonly path: string;
  readonly modelType: string;
  readonly layers: number;
  /** Members of `config.json`, each as it is written there. */
  readonly config: readonly Member[];
  /** The blocks of FP8 weights; undefined where there are none. */
  readonly block: ScaleBlock | undefined;
  /** In the order of the shards, and inside them of the bytes. */
  readonly tensors: readonly SourceTensor[];
  readonly shards: readonly SourceShard[];
  /** Tokenizer, generation settings, templates, licence: copied as they are. */
  readonly sideFiles: readonly SideFile[];
  /** Small files that the source has not as files, by name. */
  readonly made: ReadonlyMap<string, Uint8Array>;
}

/** A refusal of a source's tensor: one line naming file and tensor. */
export function badTensor(
  where: string,
  { file, name }: Pick<SourceTensor, "file" | "name">,
  what: string,
  mend = "download or convert it again",
): BadInput {
  return new BadInput(`${where}/${file}: tensor ${JSON.stringify(name.slice(0, 200))}: ${what}; ${mend}`);
}
