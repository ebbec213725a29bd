/**
 * What an agent does for somebody's own program: follows its output, its events and its checkpoints, and writes down what they say.
 * Knows: files of an attempt, when an end is a good one. Does not know: how processes are started and stopped (agent), the run.
 */
import { closeSync, openSync } from "node:fs";
import { systemErrorCode, writeFully } from "../host/files.ts";
import type { ProgramAdapter, ProgramCheckpointFormat } from "../spec/program.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";
import { newestCheckpoint } from "./checkpoints/newest.ts";
import { followOutput, type Output } from "./output.ts";
import { type Note, translator } from "./translate.ts";

export interface WatchedRank {
  readonly rank: number;
  readonly log: string;
  readonly errors: string;
  readonly told: string;
  readonly events: string;
}

export interface WatchOrder {
  readonly run: string;
  readonly epoch: number;
  readonly adapter: ProgramAdapter;
  readonly steps: number;
  readonly step: number;
  readonly checkpoint: { readonly dir: string; readonly format: ProgramCheckpointFormat } | null;
  readonly ranks: readonly WatchedRank[];
  readonly monotonicSeconds: () => number;
  readonly onNote: (note: Note) => void;
}

export interface ProgramWatch {
  /** Reads what is new; never throws for what a program or the disk does. */
  poll(): void;
  /** Looks for a newer complete checkpoint, if it is time or `now`. */
  lookForCheckpoint(now?: boolean): Promise<void>;
  /** Whether nothing more is to be done after the steps that were seen. */
  isDone(): boolean;
  /** Whether any step was seen. */
  hasStepped(): boolean;
  /** Reads the last lines and closes all files. */
  close(): void;
}

/** Bytes of a rank's output in a minute from which on it is called a flood. */
const floodBytesPerMinute = 256 << 20;
const secondsBetweenLooks = 1;
/** Looking at checkpoints takes at most this share of the time. */
const lookShare = 0.05;
/** Events that a full disk has no room for are kept up to here. */
const unwrittenBytesMax = 4 << 20;

export function watchProgram(order: WatchOrder): ProgramWatch {
  const { steps, step: firstStep, checkpoint, monotonicSeconds, onNote } = order;
  const say = translator({ ...order, onNote });
  const ranks = order.ranks.map((files) => openRank(files, say.note));
  let newestStep = firstStep === 0 ? -1 : firstStep;
  let nextLook = 0;
  let looking: Promise<void> | undefined;

  const readRank = (rank: OpenRank): void => {
    for (const output of rank.outputs) {
      for (const line of take(output, rank)) rank.write(say.line(rank.rank, line));
    }
    if (rank.told !== undefined) for (const line of take(rank.told, rank)) rank.write(say.told(rank.rank, line));
    rank.flush();
  };
  const take = (output: NamedOutput, { rank }: OpenRank): readonly string[] => {
    const piece = guarded(
      () => output.read(),
      (code) => say.note(rank, `${output.name} cannot be read`, code),
    );
    if (piece === undefined) return [];
    if (piece.overlong > 0) say.note(rank, "line too long to read", `in its ${output.name}`, piece.overlong);
    if (piece.skippedBytes > 0)
      say.note(rank, "output faster than it can be read", `bytes left out of its ${output.name}`, piece.skippedBytes);
    if (piece.lostBytes > 0)
      say.note(rank, "no room for its older output", `bytes of its ${output.name}`, piece.lostBytes);
    if (output.flooded(piece.bytes, monotonicSeconds())) {
      say.note(
        rank,
        "log flood",
        `more than ${floodBytesPerMinute} bytes a minute in its ${output.name}; older output is dropped`,
      );
    }
    return piece.lines;
  };
  const look = async (place: NonNullable<WatchOrder["checkpoint"]>): Promise<void> => {
    const started = monotonicSeconds();
    try {
      const { newest } = await newestCheckpoint(place, { aboveStep: newestStep });
      if (newest !== undefined) {
        newestStep = newest.step;
        ranks[0]?.write([say.checkpoint(newest)]);
        ranks[0]?.flush();
      }
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      say.note(null, "checkpoint folder cannot be read", code);
    }
    const took = monotonicSeconds() - started;
    nextLook = monotonicSeconds() + Math.max(secondsBetweenLooks, took / lookShare);
  };

  return {
    poll() {
      for (const rank of ranks) readRank(rank);
    },
    async lookForCheckpoint(now = false) {
      if (checkpoint === null) return;
      if (!now && !say.saidCheckpoint && monotonicSeconds() < nextLook) return;
      if (looking !== undefined) {
        await looking;
        if (!now) return;
      }
      looking = look(checkpoint);
      await looking;
      looking = undefined;
    },
    isDone: () => steps === 0 || say.step >= steps,
    hasStepped: () => say.step > firstStep,
    close() {
      for (const rank of ranks) {
        readRank(rank);
        for (const output of rank.outputs) {
          const rest = output.rest();
          if (rest !== undefined) rank.write(say.line(rank.rank, rest));
        }
        rank.flush();
        rank.close();
      }
    },
  };
}

interface NamedOutput {
  readonly name: string;
  read(): ReturnType<Output["read"]> & { readonly bytes: number };
  rest(): string | undefined;
  /** Whether `bytes` more make a flood. */
  flooded(bytes: number, now: number): boolean;
  close(): void;
}

interface OpenRank {
  readonly rank: number;
  readonly outputs: readonly NamedOutput[];
  readonly told: NamedOutput | undefined;
  write(events: readonly WorkerEvent[]): void;
  flush(): void;
  close(): void;
}

function openRank(files: WatchedRank, note: (rank: number, what: string, detail: string) => void): OpenRank {
  const { rank } = files;
  const open = (name: string, path: string): NamedOutput | undefined =>
    guarded(
      () => named(name, followOutput(path)),
      (code) => note(rank, `${name} cannot be opened`, code),
    );
  const outputs = [open("stdout", files.log), open("stderr", files.errors)].filter((output) => output !== undefined);
  const told = open("events", files.told);
  const events = openSync(files.events, "a");
  let unwritten = "";
  return {
    rank,
    outputs,
    told,
    write(fresh) {
      for (const event of fresh) unwritten += `${JSON.stringify(event)}\n`;
    },
    flush() {
      if (unwritten === "") return;
      guarded(
        () => {
          writeFully(events, Buffer.from(unwritten));
          unwritten = "";
        },
        (code) => {
          note(rank, "events wait for the disk", code);
          // What was written half is read as no event.
          if (!unwritten.startsWith("\n")) unwritten = `\n${unwritten}`;
          if (unwritten.length > unwrittenBytesMax) unwritten = "";
        },
      );
    },
    close() {
      for (const output of [...outputs, told]) output?.close();
      closeSync(events);
    },
  };
}

function named(name: string, output: Output): NamedOutput {
  let since = 0;
  let bytes = 0;
  return {
    name,
    read() {
      const piece = output.read();
      return { ...piece, bytes: piece.readBytes + piece.skippedBytes };
    },
    rest: output.rest,
    flooded(fresh, now) {
      if (now - since > 60) {
        since = now;
        bytes = 0;
      }
      const before = bytes;
      bytes += fresh;
      return before <= floodBytesPerMinute && bytes > floodBytesPerMinute;
    },
    close: output.close,
  };
}

/** What `work` gives; undefined when the file system refused, which `refused` is told. */
function guarded<T>(work: () => T, refused: (code: string) => void): T | undefined {
  try {
    return work();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    refused(code);
    return undefined;
  }
}
