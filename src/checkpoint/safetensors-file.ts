/**
 * Reads tensors out of a safetensors file without holding more of it than was asked for.
 * Knows: files and the checked header. Does not know: what the tensors mean.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { dtypeBytes, type Tensor } from "./dtype.ts";
import { headerLength, MalformedSafetensors, parseHeader, type TensorEntry } from "./safetensors-header.ts";

export interface SafetensorsFile {
  readonly path: string;
  /** Bytes in front of the tensors; their offsets count from here. */
  readonly start: number;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** A tensor's bytes, copied; RangeError when there is none of that name. */
  read(name: string): Tensor;
  /** A tensor's bytes in pieces of at most `chunkBytes`; each piece is overwritten by the next. */
  chunks(name: string, chunkBytes?: number): Iterable<Uint8Array>;
  close(): void;
}

/** Opens and checks a file; MalformedSafetensors when its header does not hold, else the file system's error. */
export function openSafetensors(path: string): SafetensorsFile {
  const fd = openSync(path, "r");
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new MalformedSafetensors("is no regular file");
    const first = new Uint8Array(8);
    const length = headerLength(first.subarray(0, readFully(fd, first, 0)), stat.size);
    const json = new Uint8Array(length);
    if (readFully(fd, json, 8) < length) throw new MalformedSafetensors("file is cut short inside its header");
    const start = 8 + length;
    const header = parseHeader(json, stat.size - start);
    const tensors = new Map(header.tensors.map((entry) => [entry.name, entry]));
    const entryOf = (name: string): TensorEntry => {
      const entry = tensors.get(name);
      if (!entry) throw new RangeError(`${path}: no tensor ${name}`);
      return entry;
    };
    return {
      path,
      start,
      tensors,
      metadata: header.metadata,
      read(name) {
        const { dtype, shape, begin, end } = entryOf(name);
        const bytes = new Uint8Array(end - begin);
        if (readFully(fd, bytes, start + begin) < bytes.length) throw new MalformedSafetensors("is cut short", name);
        return { name, dtype, shape, bytes };
      },
      *chunks(name, chunkBytes = 1 << 22) {
        const { begin, end } = entryOf(name);
        const buffer = new Uint8Array(Math.min(chunkBytes, end - begin));
        for (let at = begin; at < end; at += buffer.length) {
          const piece = buffer.subarray(0, Math.min(buffer.length, end - at));
          if (readFully(fd, piece, start + at) < piece.length) throw new MalformedSafetensors("is cut short", name);
          yield piece;
        }
      },
      close: () => closeSync(fd),
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/**
 * The tensors of a whole file in memory, as views into `file` where each lies on its element size, copied where not.
 * MalformedSafetensors as in `openSafetensors`.
 */
export function decodeSafetensors(file: Uint8Array): ReadonlyMap<string, Tensor> {
  const start = 8 + headerLength(file.subarray(0, 8), file.length);
  const { tensors } = parseHeader(file.subarray(8, start), file.length - start);
  return new Map(
    tensors.map(({ name, dtype, shape, begin, end }) => {
      const view = file.subarray(start + begin, start + end);
      const bytes = view.byteOffset % dtypeBytes[dtype] === 0 ? view : view.slice();
      return [name, { name, dtype, shape, bytes }];
    }),
  );
}

/** Reads until `into` is full or the file ends; gives the bytes read. */
export function readFully(fd: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.length) {
    const count = readSync(fd, into, done, into.length - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
