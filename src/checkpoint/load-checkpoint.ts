/**
 * Loads a checkpoint: every byte is verified in the same pass that reads it.
 * Knows: the files of a checkpoint. Does not know: the trainer's memory.
 */
import { CorruptCheckpoint } from "./corrupt-checkpoint.ts";
import type { Tensor } from "./dtype.ts";
import type { Manifest } from "./manifest.ts";
import { decodeSafetensors } from "./safetensors-file.ts";
import { MalformedSafetensors } from "./safetensors-header.ts";
import { optimizerFile, stateOf, type TrainingState, weightsFile } from "./training-state.ts";
import { verifyCheckpoint } from "./verify-checkpoint.ts";

export interface LoadedCheckpoint {
  readonly path: string;
  readonly manifest: Manifest;
  /** By Hugging Face name. */
  readonly weights: ReadonlyMap<string, Tensor>;
  readonly state: TrainingState;
}

/** Throws CorruptCheckpoint {path, file, why} when it does not verify. */
export async function loadCheckpoint(path: string): Promise<LoadedCheckpoint> {
  const contents = new Map<string, { bytes: Uint8Array; filled: number }>();
  const manifest = await verifyCheckpoint(path, (file, piece) => {
    const content = contents.get(file.name) ?? { bytes: new Uint8Array(file.bytes), filled: 0 };
    content.bytes.set(piece, content.filled);
    content.filled += piece.length;
    contents.set(file.name, content);
  });
  const tensorsOf = (file: string): ReadonlyMap<string, Tensor> => {
    const content = contents.get(file);
    if (!content) throw new CorruptCheckpoint({ path, file, why: "is not listed in the manifest" });
    try {
      return decodeSafetensors(content.bytes);
    } catch (error) {
      if (error instanceof MalformedSafetensors) throw new CorruptCheckpoint({ path, file, why: error.message });
      throw error;
    }
  };
  const weights = tensorsOf(weightsFile);
  const optimizer = tensorsOf(optimizerFile);
  try {
    return { path, manifest, weights, state: stateOf(weights.values(), optimizer.values()) };
  } catch (error) {
    if (error instanceof RangeError) throw new CorruptCheckpoint({ path, file: optimizerFile, why: error.message });
    throw error;
  }
}
