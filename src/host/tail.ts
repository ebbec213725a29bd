/**
 * Follows a file of lines that another process appends to.
 * Knows: offsets, partial last lines, a limit per line and per read. Does not know: what a line means.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { systemErrorCode } from "./files.ts";

export interface Tail {
  /** Complete lines since the last call, without their ends; [] while the file does not exist. System errors are thrown. */
  read(): string[];
  close(): void;
}

/** Lines longer than `maxLineBytes` are left out; at most `maxReadBytes` are read per call, the rest by the next. */
export function tail(path: string, { maxLineBytes = 1 << 20, maxReadBytes = 1 << 22 } = {}): Tail {
  let file: number | undefined;
  let offset = 0;
  let partial: Buffer[] = [];
  let partialBytes = 0;
  let overlong = false;
  const buffer = Buffer.allocUnsafe(Math.min(maxReadBytes, 1 << 16));

  const open = (): number | undefined => {
    if (file !== undefined) return file;
    try {
      file = openSync(path, "r");
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT") throw error;
    }
    return file;
  };

  const feed = (piece: Buffer, lines: string[]): void => {
    let from = 0;
    for (let end = piece.indexOf(10); end !== -1; end = piece.indexOf(10, from)) {
      if (!overlong) lines.push(Buffer.concat([...partial, piece.subarray(from, end)]).toString("utf8"));
      partial = [];
      partialBytes = 0;
      overlong = false;
      from = end + 1;
    }
    partialBytes += piece.length - from;
    if (partialBytes > maxLineBytes) {
      overlong = true;
      partial = [];
    }
    if (from < piece.length && !overlong) partial.push(Buffer.from(piece.subarray(from)));
  };

  return {
    read() {
      const opened = open();
      if (opened === undefined) return [];
      const size = fstatSync(opened).size;
      const lines: string[] = [];
      const until = Math.min(size, offset + maxReadBytes);
      while (offset < until) {
        const count = readSync(opened, buffer, 0, Math.min(buffer.length, until - offset), offset);
        if (count === 0) break;
        offset += count;
        feed(buffer.subarray(0, count), lines);
      }
      return lines;
    },
    close() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

/** The last complete lines of a file, at most `maxBytes` of it; [] when it does not exist. */
export function lastLines(path: string, maxBytes = 1 << 14): string[] {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return [];
    throw error;
  }
  try {
    const size = fstatSync(file).size;
    const buffer = Buffer.alloc(Math.min(size, maxBytes));
    const count = readSync(file, buffer, 0, buffer.length, size - buffer.length);
    const lines = buffer.subarray(0, count).toString("utf8").split("\n");
    return (size > maxBytes ? lines.slice(1) : lines).filter((line) => line !== "");
  } finally {
    closeSync(file);
  }
}
