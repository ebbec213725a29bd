/**
 * Writes one shard of a conversion, or reads it back, and gives its hash.
 * Knows: files, hashing, flushing. Does not know: threads, what the tensors are.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import type { FileEntry } from "../../checkpoint/integrity.ts";
import { readFully } from "../../checkpoint/safetensors-file.ts";
import { encodeOrderedHeader } from "../../checkpoint/safetensors-header.ts";
import { safetensorsMetadata } from "../../checkpoint/safetensors-write.ts";
import { openOutputFile } from "./output-file.ts";
import type { OutputTensor } from "./recipes.ts";
import { bytesOf } from "./shard-layout.ts";
import type { TensorPieces } from "./tensor-pieces.ts";

export interface ShardToWrite {
  readonly name: string;
  readonly tensors: readonly OutputTensor[];
  /** Where it is written; undefined hashes it and drops it. */
  readonly path: string | undefined;
}

/** Writes, flushes and hashes; `onBytes` is told of every piece. The file system's errors and those of `pieces` come through. */
export function writeShard(shard: ShardToWrite, pieces: TensorPieces, onBytes: (bytes: number) => void): FileEntry {
  const hash = createHash("sha256");
  const header = encodeOrderedHeader(shard.tensors, safetensorsMetadata).bytes;
  const whole = shard.tensors.reduce((sum, tensor) => sum + bytesOf(tensor), header.length);
  const file = shard.path === undefined ? undefined : openOutputFile(shard.path, { bytes: whole });
  let bytes = 0;
  const put = (piece: Uint8Array): void => {
    hash.update(piece);
    file?.write(piece);
    bytes += piece.length;
    onBytes(piece.length);
  };
  try {
    put(header);
    for (const tensor of shard.tensors) {
      const before = bytes;
      for (const piece of pieces.of(tensor)) put(piece);
      if (bytes - before !== bytesOf(tensor)) throw new RangeError(`${tensor.name}: ${bytes - before} bytes were made`);
    }
    file?.flush();
  } finally {
    file?.close();
  }
  return { name: shard.name, bytes, sha256: hash.digest("hex") };
}

/** Size and hash of a file as it lies there; `copy`, where given, gets its bytes and is flushed. */
export function hashFile(path: string, name: string, onBytes?: (bytes: number) => void, copy?: string): FileEntry {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(1 << 22);
  let bytes = 0;
  const fd = openSync(path, "r");
  const into = copy === undefined ? undefined : openSync(copy, "w", 0o644);
  try {
    for (let count = buffer.length; count === buffer.length; ) {
      count = readFully(fd, buffer, bytes);
      const piece = buffer.subarray(0, count);
      hash.update(piece);
      if (into !== undefined) for (let done = 0; done < count; ) done += writeSync(into, piece, done);
      bytes += count;
      onBytes?.(count);
    }
    if (into !== undefined) fsyncSync(into);
  } finally {
    closeSync(fd);
    if (into !== undefined) closeSync(into);
  }
  return { name, bytes, sha256: hash.digest("hex") };
}
