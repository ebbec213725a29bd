/**
 * `journal.jsonl`: reads it whole, cuts a torn tail, appends with one write per batch.
 * Knows: lines, offsets, fsync. Does not know: what events mean, who writes (the lease keeps a second writer out).
 */
import { closeSync, existsSync, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileKind } from "../host/file-kind.ts";
import { syncFolder, systemErrorCode, writeFully } from "../host/files.ts";
import { parseEvent, type RunEvent } from "../journal/event.ts";
import { illegal } from "../journal/legal.ts";
import { reduce } from "../journal/reduce.ts";
import { initialState, type RunState } from "../journal/state.ts";
import { BadInput } from "../spec/bad-input.ts";
import { maxLineBytes } from "./log.ts";

export interface JournalContent {
  readonly events: readonly RunEvent[];
  readonly state: RunState;
  /** Bytes up to the end of the last whole event; what follows was torn by a crash. */
  readonly wholeBytes: number;
  readonly tornBytes: number;
}

/** Everything in the journal; BadInput names the line of an event that is damaged or illegal. A missing file is empty. */
export function readJournal(path: string): JournalContent {
  const bytes = readWhole(path);
  const events: RunEvent[] = [];
  let state = initialState;
  let from = 0;
  for (let line = 1; ; line++) {
    const end = bytes.indexOf(10, from);
    if (end === -1) break;
    const refuse = (why: string): BadInput =>
      new BadInput(`${path}:${line}: ${why}; restore the file or choose another --dir`);
    if (end - from > maxLineBytes) throw refuse(`is longer than ${maxLineBytes} bytes`);
    const event = parseLine(bytes.toString("utf8", from, end));
    if ("problem" in event) {
      // A power cut may leave zeros or half a line before the last line end; then nothing whole follows it.
      if (isLast(bytes, end)) break;
      throw refuse(event.problem);
    }
    const why = illegal(state, event.event);
    if (why !== undefined) throw refuse(`${event.event.type}: ${why}`);
    state = reduce([event.event], state);
    events.push(event.event);
    from = end + 1;
  }
  return { events, state, wholeBytes: from, tornBytes: bytes.length - from };
}

function readWhole(path: string): Buffer {
  const kind = fileKind(path);
  if (kind === "absent") return Buffer.alloc(0);
  if (kind === "folder" || kind === "strange") {
    throw new BadInput(`${path}: is no regular file; restore the file or choose another --dir`);
  }
  try {
    return readFileSync(path);
  } catch (error) {
    const code = systemErrorCode(error);
    // A disk that gives errors is what the supervisor waits for; names and rights are a person's to mend.
    if (code !== "EACCES" && code !== "EPERM" && code !== "ELOOP") throw error;
    throw new BadInput(`${path}: cannot be read (${code}); mend it or choose another --dir`);
  }
}

function parseLine(text: string): ReturnType<typeof parseEvent> {
  try {
    return parseEvent(JSON.parse(text));
  } catch {
    return { problem: "is no JSON" };
  }
}

function isLast(bytes: Buffer, end: number): boolean {
  return bytes.indexOf(10, end + 1) === -1;
}

export interface JournalWriter {
  /** Appends whole lines; on an error nothing of them stays. */
  write(lines: string, durable: boolean): void;
  close(): void;
}

/** Opens for appending after `wholeBytes`; what lies behind them is cut off. */
export function openJournalWriter(path: string, wholeBytes: number): JournalWriter {
  const isNew = !existsSync(path);
  const file = openSync(path, "a");
  let size = wholeBytes;
  if (fstatSync(file).size > wholeBytes) {
    ftruncateSync(file, wholeBytes);
    fsyncSync(file);
  }
  if (isNew) syncFolder(dirname(path));
  return {
    write(lines, durable) {
      const bytes = Buffer.from(lines);
      try {
        writeFully(file, bytes);
        if (durable) fsyncSync(file);
      } catch (error) {
        cut(file, size);
        throw error;
      }
      size += bytes.length;
    },
    close() {
      closeSync(file);
    },
  };
}

/** Takes back a half-written batch; when even that fails the next reader cuts the torn line. */
function cut(file: number, size: number): void {
  try {
    ftruncateSync(file, size);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
  }
}
