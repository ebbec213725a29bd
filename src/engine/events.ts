/**
 * Says what happens to the supervisor: one JSON line per event, one write per line.
 * Knows: the header of worker events. Does not know: who reads them; with nobody named it says nothing.
 */
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
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

/** Appends to the file `path`, or writes to a file descriptor where it is a number. */
export function openEvents(path: string | undefined, header: { run: string; epoch: number; rank: number }): EventLog {
  const isDescriptor = path !== undefined && /^\d+$/.test(path);
  const fd = path === undefined ? undefined : isDescriptor ? Number(path) : openSync(path, "a");
  let seq = 0;
  let saidAt = performance.now();
  const say = (event: Saying): void => {
    saidAt = performance.now();
    seq++;
    if (fd === undefined) return;
    const line = Buffer.from(
      `${JSON.stringify({ v: 1, ...header, seq, monotonicSeconds: monotonicSeconds(), ...event })}\n`,
    );
    // A pipe may take a part; a file takes the line at once.
    for (let done = 0; done < line.length; ) done += writeSync(fd, line, done);
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
