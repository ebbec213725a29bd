/**
 * Writes one shard of a conversion, or reads it back, and gives its hash.
 * Knows: files, hashing, flushing. Does not know: threads, what the tensors are.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, statSync, writeSync } from "node:fs";
import type { FileEntry } from "../../checkpoint/integrity.ts";
import { encodeOrderedHeader } from "../../checkpoint/safetensors-header.ts";
import { safetensorsMetadata } from "../../checkpoint/safetensors-write.ts";
import { openInputFile } from "./input-file.ts";
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

/** Files from this size on are hashed past the page cache, into which they were not written either. */
const directFrom = 16 << 20;
const pieceBytes = 4 << 20;

/** One for each thread, which hashes one file at a time. A WebAssembly memory begins on a page; an ArrayBuffer need not. */
let buffer: Uint8Array | undefined;

/** Size and hash of a file as it lies there; `copy`, where given, gets its bytes and is flushed. */
export function hashFile(path: string, name: string, onBytes?: (bytes: number) => void, copy?: string): FileEntry {
  const hash = createHash("sha256");
  buffer ??= new Uint8Array(new WebAssembly.Memory({ initial: (pieceBytes >> 16) + 1 }).buffer);
  const { size } = statSync(path);
  let bytes = 0;
  const file = openInputFile(path, { direct: size >= directFrom });
  const into = copy === undefined ? undefined : openSync(copy, "w", 0o644);
  try {
    while (bytes < size) {
      const count = Math.min(pieceBytes, size - bytes);
      const at = file.read(buffer, bytes, count);
      if (at === undefined) throw new RangeError(`${path}: ends before byte ${size}; it changed while it was read`);
      const piece = buffer.subarray(at, at + count);
      hash.update(piece);
      if (into !== undefined) for (let done = 0; done < count; ) done += writeSync(into, piece, done);
      bytes += count;
      onBytes?.(count);
    }
    if (into !== undefined) fsyncSync(into);
  } finally {
    file.close();
    if (into !== undefined) closeSync(into);
  }
  return { name, bytes, sha256: hash.digest("hex") };
}
