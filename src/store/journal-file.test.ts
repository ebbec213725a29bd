/** The journal in a file: cut at every byte it recovers to whole events; damage in the middle is named by line; a full disk leaves nothing half. */
import {
  appendFileSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import type { EventDraft } from "../journal/event.ts";
import { initialState } from "../journal/state.ts";
import { openJournalWriter, readJournal } from "./journal-file.ts";
import { IllegalEvent, type Log, openLog } from "./log.ts";

const root = mkdtempSync(join(tmpdir(), "dualgauge-journal-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const created: EventDraft = {
  type: "run-created",
  data: {
    ...{ name: "r", identity: "i", steps: 3, order: ["a"], injections: [] },
    pools: [{ name: "a", platform: "ascend", emulated: true, workers: 1, spares: 0 }],
    ...{ memoryFolder: "/m", memoryBacked: true, folder: "/f" },
  },
};
const started: EventDraft = {
  type: "supervisor-started",
  data: { process: { pid: 1, startTicks: 1 }, host: "höst", version: "0" },
};
const blinded: EventDraft = { type: "blinded", data: { view: "agent", why: "EIO" } };

let number = 0;
function newJournal(): { path: string; log: Log; close: () => void } {
  const path = join(root, `${number++}.jsonl`);
  const writer = openJournalWriter(path, 0);
  let time = 100;
  return {
    path,
    log: openLog({ run: "r", state: initialState, now: () => time++, write: writer.write }),
    close: writer.close,
  };
}

describe("a journal file", () => {
  test("what was written is what is read, and the state is the same", () => {
    const { path, log } = newJournal();
    log.append([created, started]);
    log.append([blinded]);
    const read = readJournal(path);
    expect(read.events.map(({ type, seq }) => [type, seq])).toEqual([
      ["run-created", 1],
      ["supervisor-started", 2],
      ["blinded", 3],
    ]);
    expect(read.state).toEqual(log.state());
    expect(read.tornBytes).toBe(0);
  });

  test("cut anywhere, it holds the whole events before the cut and goes on from there", () => {
    const { path, log } = newJournal();
    log.append([created]);
    log.append([started, blinded]);
    const bytes = readFileSync(path);
    const ends = [...bytes].flatMap((byte, index) => (byte === 10 ? [index + 1] : []));
    const cuts = Array.from({ length: bytes.length + 1 }, (_, cut) => cut);
    // Every byte around the ends of lines, every eleventh elsewhere: an fsync each time takes its while.
    for (const cut of cuts.filter((cut) => cut % 11 === 0 || ends.some((end) => Math.abs(end - cut) <= 2))) {
      const torn = join(root, "torn.jsonl");
      writeFileSync(torn, bytes.subarray(0, cut));
      const { events, state, wholeBytes, tornBytes } = readJournal(torn);
      expect(events.length).toBe(ends.filter((end) => end <= cut).length);
      expect(tornBytes).toBe(cut - wholeBytes);
      const writer = openJournalWriter(torn, wholeBytes);
      const again = openLog({ run: "r", state, now: () => 500, write: writer.write });
      again.append(events.length === 0 ? [created] : [{ type: "sighted", data: { view: "agent" } }]);
      writer.close();
      expect(readJournal(torn).state).toEqual(again.state());
    }
  });

  test("zeros that a power cut left at the end are cut", () => {
    const { path, log } = newJournal();
    log.append([created, started]);
    appendFileSync(path, `${"\0".repeat(100)}\n`);
    expect(readJournal(path)).toMatchObject({ tornBytes: 101, state: log.state() });
  });

  test("damage before the last line is refused by line", () => {
    const { path, log } = newJournal();
    log.append([created, started, blinded]);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace('"supervisor-started"', '"supervisor-sxxxted"'));
    expect(() => readJournal(path)).toThrow(/:2: unknown event type supervisor-sxxxted; restore the file/);
    writeFileSync(path, text.replace('"seq":2', '"seq":7'));
    expect(() => readJournal(path)).toThrow(/:2: supervisor-started: seq 7 after 1/);
  });

  test("an illegal event is not written, and nothing of its batch is", () => {
    const { path, log } = newJournal();
    log.append([created]);
    expect(() =>
      log.append([
        started,
        { type: "completed", data: { step: 3, loss: 1, weightsSha256: null, source: { rank: 0, seq: 1 } } },
      ]),
    ).toThrow(IllegalEvent);
    expect(readJournal(path).events).toHaveLength(1);
    expect(log.state().seq).toBe(1);
  });

  test("a full disk is an error of that append alone", () => {
    const full = openSync("/dev/full", "w");
    let isFull = false;
    const path = join(root, "full.jsonl");
    const writer = openJournalWriter(path, 0);
    const write = (lines: string, durable: boolean): void => {
      if (isFull) writeSync(full, lines);
      writer.write(lines, durable);
    };
    const log = openLog({ run: "r", state: initialState, now: () => 1, write });
    log.append([created]);
    isFull = true;
    expect(() => log.append([started])).toThrow(/ENOSPC/);
    isFull = false;
    log.append([started]);
    expect(readJournal(path).state).toEqual(log.state());
  });

  test("a batch is one write, durable only when it holds an intent", () => {
    const writes: boolean[] = [];
    const log = openLog({ run: "r", state: initialState, now: () => 1, write: (_, durable) => writes.push(durable) });
    log.append([created, started]);
    log.append([blinded]);
    expect(writes).toEqual([true, false]);
  });

  test("what another process cut off meanwhile does not make holes", () => {
    const { path, log } = newJournal();
    log.append([created, started]);
    const { wholeBytes } = readJournal(path);
    appendFileSync(path, '{"seq":3,"at":');
    const writer = openJournalWriter(path, wholeBytes);
    writer.close();
    expect(readJournal(path).tornBytes).toBe(0);
    truncateSync(path, wholeBytes - 5);
    expect(readJournal(path).events).toHaveLength(1);
  });
});
