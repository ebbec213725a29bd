/**
 * Says what happens to the supervisor: one JSON line per event, one write per line.
 * Knows: the header of worker events. Does not know: who reads them; with nobody named it says nothing.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { isStorageError } from "../host/files.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";

type Said<Event> = Event extends WorkerEvent
  ? Omit<Event, "v" | "run" | "epoch" | "rank" | "seq" | "monotonicSeconds">
  : never;
/** An event without its header. */
export type Saying = Said<WorkerEvent>;

export interface EventLog {
  say(event: Saying): void;
  /** On disk when it returns. */
  sayDurably(event: Saying): void;
  /** performance.now() of the last event. */
  saidAt(): number;
  close(): void;
}

export function monotonicSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

/** Bytes that may wait for space; a disk that stays full for longer than these last is more than a worker can bear. */
const waitingBytesMax = 1 << 20;

/**
 * Appends to the file `path`, or writes to a file descriptor where it is a number. While the disk is full, training goes on and
 * what was said waits; it is told with the next event that finds space.
 */
export function openEvents(path: string | undefined, header: { run: string; epoch: number; rank: number }): EventLog {
  const isDescriptor = path !== undefined && /^\d+$/.test(path);
  const fd = path === undefined ? undefined : isDescriptor ? Number(path) : openSync(path, "a");
  let seq = 0;
  let saidAt = performance.now();
  let waiting: Buffer<ArrayBufferLike> = Buffer.alloc(0);
  const flush = (file: number): void => {
    try {
      // A pipe may take a part; a file takes the line at once, or as much of it as there is space.
      while (waiting.length > 0) waiting = waiting.subarray(writeSync(file, waiting));
    } catch (error) {
      if (!isStorageError(error) || waiting.length > waitingBytesMax) throw error;
    }
  };
  const say = (event: Saying): void => {
    saidAt = performance.now();
    seq++;
    if (fd === undefined) return;
    const said = { v: 1, ...header, seq, monotonicSeconds: monotonicSeconds(), ...event };
    waiting = Buffer.concat([waiting, Buffer.from(`${JSON.stringify(said)}\n`)]);
    flush(fd);
  };
  return {
    say,
    sayDurably(event) {
      say(event);
      if (fd !== undefined && !isDescriptor) fsyncSync(fd);
    },
    saidAt: () => saidAt,
    close() {
      if (fd !== undefined && !isDescriptor) closeSync(fd);
    },
  };
}
