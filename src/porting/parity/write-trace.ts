/**
 * Writes what a side made of given texts as a trace, one text in memory at a time.
 * Knows: the file's layout (trace-file) and that it is there whole or not at all. Does not know: how the side computes.
 */
import { closeSync, existsSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import type { TensorInfo } from "../../checkpoint/dtype.ts";
import { encodeOrderedHeader } from "../../checkpoint/safetensors-header.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { executionOrder, type Reading } from "./reading.ts";
import { type TraceDocument, traceKey } from "./trace-file.ts";

const copyBytes = 1 << 20;

/** Writes `file` and gives its size in bytes; BadInput where it is there already or is no .safetensors. */
export async function writeTrace(
  file: string,
  readings: AsyncIterable<Reading>,
  document: () => TraceDocument,
): Promise<number> {
  checkTraceName(file);
  const [spool, partial] = [`${file}.${process.pid}.data`, `${file}.${process.pid}.partial`];
  try {
    const data = openSync(spool, "wx+");
    try {
      const infos = await spoolAll(data, readings);
      const { bytes: header } = encodeOrderedHeader(infos, { [traceKey]: JSON.stringify(document()) });
      const into = openSync(partial, "wx");
      try {
        writeAll(into, header);
        const size = header.length + copyAll(data, into);
        fsyncSync(into);
        renameSync(partial, file);
        return size;
      } finally {
        closeSync(into);
      }
    } finally {
      closeSync(data);
    }
  } finally {
    rmSync(spool, { force: true });
    rmSync(partial, { force: true });
  }
}

export function checkTraceName(file: string): void {
  if (!file.endsWith(".safetensors"))
    throw new BadInput(`--dump ${file}: a trace is a .safetensors file; end its name so`);
  if (existsSync(file)) throw new BadInput(`--dump ${file}: is there already; remove it or give another name`);
}

async function spoolAll(fd: number, readings: AsyncIterable<Reading>): Promise<TensorInfo[]> {
  const infos: TensorInfo[] = [];
  let index = 0;
  for await (const { tokens, tensors } of readings) {
    const prefix = `prompt.${index++}.`;
    infos.push({ name: `${prefix}tokens`, dtype: "I32", shape: [tokens.length] });
    writeAll(fd, bytesOf(Int32Array.from(tokens)));
    for (const name of executionOrder(tensors.keys())) {
      const { rows, width, pieces } = tensors.get(name)!;
      infos.push({ name: prefix + name, dtype: "F32", shape: [rows, width] });
      for await (const piece of pieces(Math.max(1, Math.floor(copyBytes / 4 / Math.max(1, width))))) {
        writeAll(fd, bytesOf(piece));
      }
    }
  }
  return infos;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
}

function copyAll(from: number, to: number): number {
  const buffer = new Uint8Array(copyBytes);
  let at = 0;
  for (;;) {
    const got = readSync(from, buffer, 0, buffer.length, at);
    if (got === 0) return at;
    writeAll(to, buffer.subarray(0, got));
    at += got;
  }
}
