/**
 * Follows a file that a program appends to, and keeps it from growing without bound.
 * Knows: lines of any length and encoding, a flood, rotation. Does not know: what a line means.
 * The program writes to the file itself, so that nothing it says depends on whether anybody of us lives.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { systemErrorCode } from "../host/files.ts";

export interface Output {
  /** Lines since the last call; a carriage return ends a line too. */
  read(): OutputPiece;
  /** The last line, although nothing ends it. */
  rest(): string | undefined;
  close(): void;
}

export interface OutputPiece {
  readonly lines: readonly string[];
  /** Bytes that were read. */
  readonly readBytes: number;
  /** Lines that were left out because they are too long. */
  readonly overlong: number;
  /** Bytes that came faster than they could be read, and were not looked at. */
  readonly skippedBytes: number;
  /** Bytes that the disk had no room to keep when the file was rotated. */
  readonly lostBytes: number;
}

export interface OutputLimits {
  readonly maxLineBytes: number;
  /** The file is rotated when it is longer; one older file (`.1`) of at most this length is kept. */
  readonly keepBytes: number;
  /** What is unread beyond this is skipped. */
  readonly maxBacklogBytes: number;
}

const usual: OutputLimits = { maxLineBytes: 1 << 14, keepBytes: 16 << 20, maxBacklogBytes: 8 << 20 };
const lineFeed = 10;
const carriageReturn = 13;

/** Opens (and makes) `path`. System errors of reading are thrown. */
export function followOutput(path: string, limits: Partial<OutputLimits> = {}): Output {
  const { maxLineBytes, keepBytes, maxBacklogBytes } = { ...usual, ...limits };
  const file = openSync(path, "a+");
  const buffer = Buffer.allocUnsafe(1 << 18);
  let offset = 0;
  let partial: Buffer[] = [];
  let partialBytes = 0;
  let inOverlong = false;
  let isSkipping = false;

  const feed = (piece: Buffer, take: { lines: string[]; overlong: number }): void => {
    let from = 0;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at];
      if (byte !== lineFeed && byte !== carriageReturn) continue;
      add(piece.subarray(from, at));
      if (inOverlong) take.overlong++;
      else if (partialBytes > 0 && !isSkipping) take.lines.push(Buffer.concat(partial).toString("utf8"));
      forget();
      from = at + 1;
    }
    if (from < piece.length) add(piece.subarray(from));
  };
  const add = (piece: Buffer): void => {
    if (inOverlong || isSkipping) return;
    partialBytes += piece.length;
    if (partialBytes > maxLineBytes) {
      inOverlong = true;
      partial = [];
    } else partial.push(Buffer.from(piece));
  };
  const forget = (): void => {
    partial = [];
    partialBytes = 0;
    inOverlong = false;
    isSkipping = false;
  };

  const readOn = (take: { lines: string[]; overlong: number; skippedBytes: number; readBytes: number }): void => {
    for (;;) {
      const { size } = fstatSync(file);
      if (size < offset) {
        // Somebody cut it; what it holds now is new.
        offset = 0;
        forget();
      }
      if (size - offset > maxBacklogBytes) {
        const to = size - (maxBacklogBytes >> 3);
        take.skippedBytes += to - offset;
        offset = to;
        forget();
        isSkipping = true;
      }
      const count = readSync(file, buffer, 0, Math.min(buffer.length, size - offset), offset);
      if (count === 0) return;
      offset += count;
      take.readBytes += count;
      feed(buffer.subarray(0, count), take);
    }
  };

  /** Copies the end aside, then empties the file: its writers append, so they go on at its new beginning. */
  const rotate = (): number => {
    let lost = 0;
    const { size } = fstatSync(file);
    const kept = Math.min(size, keepBytes);
    try {
      copyEnd(file, `${path}.1`, { from: size - kept, bytes: kept }, buffer);
    } catch (error) {
      if (systemErrorCode(error) === undefined) throw error;
      lost = kept;
      rmSync(`${path}.1.tmp`, { force: true });
    }
    ftruncateSync(file, 0);
    offset = 0;
    return lost;
  };

  return {
    read() {
      const take = { lines: [] as string[], overlong: 0, skippedBytes: 0, readBytes: 0, lostBytes: 0 };
      readOn(take);
      if (offset > keepBytes) take.lostBytes = rotate();
      return take;
    },
    rest() {
      if (partialBytes === 0 || inOverlong || isSkipping) return undefined;
      const text = Buffer.concat(partial).toString("utf8");
      forget();
      return text;
    },
    close: () => closeSync(file),
  };
}

function copyEnd(file: number, to: string, { from, bytes }: { from: number; bytes: number }, buffer: Buffer): void {
  const copy = openSync(`${to}.tmp`, "w");
  try {
    for (let at = 0; at < bytes; ) {
      const count = readSync(file, buffer, 0, Math.min(buffer.length, bytes - at), from + at);
      if (count === 0) break;
      for (let written = 0; written < count; ) written += writeSync(copy, buffer, written, count - written);
      at += count;
    }
  } finally {
    closeSync(copy);
  }
  renameSync(`${to}.tmp`, to);
}
