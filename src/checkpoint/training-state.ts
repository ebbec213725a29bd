/**
 * What a checkpoint of the embedded engine holds: weights and AdamW's moments, and in which file each tensor lies.
 * Knows: tensor names and the two files' layout. Does not know: memory of the trainer, threads.
 */
import { float32View, type Tensor, type TensorInfo } from "./dtype.ts";
import { encodeHeader } from "./safetensors-header.ts";
import { safetensorsMetadata } from "./safetensors-write.ts";

/** A parameter as the checkpoint sees it; `moments` is false for what no gradient updates (the routing bias). */
export interface StateParameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly moments: boolean;
}

/** Float32 values by parameter name; the moments lack the parameters without them. */
export interface TrainingState {
  readonly weights: ReadonlyMap<string, Float32Array>;
  /** AdamW's first moment (m). */
  readonly firstMoments: ReadonlyMap<string, Float32Array>;
  /** AdamW's second moment (v). */
  readonly secondMoments: ReadonlyMap<string, Float32Array>;
}

export const weightsFile = "weights.safetensors";
export const optimizerFile = "optimizer.safetensors";
const firstPrefix = "m/";
const secondPrefix = "v/";

/** Where the bytes of one file lie in a staging slot, and the header in front of them. */
export interface StagedFile {
  readonly name: string;
  readonly header: Uint8Array;
  readonly begin: number;
  readonly end: number;
}

export interface StagedTensor {
  readonly part: keyof TrainingState;
  readonly parameter: string;
  /** Byte offset in the slot. */
  readonly begin: number;
  readonly elements: number;
}

export interface StateLayout {
  readonly files: readonly StagedFile[];
  readonly tensors: readonly StagedTensor[];
  /** Bytes of one staging slot. */
  readonly bytes: number;
}

/** The layout of both files, the same at every step of a run. */
export function layoutState(parameters: readonly StateParameter[]): StateLayout {
  const f32 = (name: string, shape: readonly number[]): TensorInfo => ({ name, dtype: "F32", shape });
  const trained = parameters.filter((parameter) => parameter.moments);
  const contents = [
    { name: weightsFile, infos: parameters.map(({ name, shape }) => f32(name, shape)) },
    {
      name: optimizerFile,
      infos: trained.flatMap(({ name, shape }) => [f32(firstPrefix + name, shape), f32(secondPrefix + name, shape)]),
    },
  ];
  const files: StagedFile[] = [];
  const tensors: StagedTensor[] = [];
  let begin = 0;
  for (const { name, infos } of contents) {
    const { bytes: header, header: placed } = encodeHeader(infos, safetensorsMetadata);
    for (const entry of placed.tensors) {
      tensors.push({
        ...(name === weightsFile ? { part: "weights", parameter: entry.name } : partOf(entry.name)),
        begin: begin + entry.begin,
        elements: (entry.end - entry.begin) / 4,
      });
    }
    const end = begin + (placed.tensors.at(-1)?.end ?? 0);
    files.push({ name, header, begin, end });
    // Each file starts on a cache line of its own.
    begin = Math.ceil(end / 64) * 64;
  }
  return { files, tensors, bytes: begin };
}

/** The state behind the tensors of both files, as views. RangeError when a tensor is not F32 or of no known part. */
export function stateOf(weights: Iterable<Tensor>, optimizer: Iterable<Tensor>): TrainingState {
  const firstMoments = new Map<string, Float32Array>();
  const secondMoments = new Map<string, Float32Array>();
  for (const tensor of optimizer) {
    const { part, parameter } = partOf(tensor.name);
    (part === "firstMoments" ? firstMoments : secondMoments).set(parameter, float32View(tensor));
  }
  return {
    weights: new Map([...weights].map((tensor) => [tensor.name, float32View(tensor)])),
    firstMoments,
    secondMoments,
  };
}

function partOf(name: string): { part: "firstMoments" | "secondMoments"; parameter: string } {
  const parameter = name.slice(firstPrefix.length);
  if (name.startsWith(firstPrefix)) return { part: "firstMoments", parameter };
  if (name.startsWith(secondPrefix)) return { part: "secondMoments", parameter };
  throw new RangeError(`${name}: optimizer tensors are named ${firstPrefix}… or ${secondPrefix}…`);
}
