/**
 * Journals that earlier versions recorded must be read for ever and give the same state; doctored ones must be refused by name.
 * The folder only grows: record a new one with `npm run simulate -- --seed N --record test/journals/vN-what.jsonl`.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { reduce } from "../../src/journal/reduce.ts";
import { statusDocument, trainDocument } from "../../src/journal/select.ts";
import { readJournal } from "../../src/store/journal-file.ts";

const folder = import.meta.dirname;
const journals = readdirSync(folder).filter((name) => name.endsWith(".jsonl"));
const root = mkdtempSync(join(tmpdir(), "dualgauge-journals-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.each(journals)("%s", (name) => {
  const path = join(folder, name);

  test("replays to the documents that it gave when it was recorded", async () => {
    const { state, events, tornBytes } = readJournal(path);
    expect(tornBytes).toBe(0);
    const documents = { train: trainDocument(state), status: statusDocument(state) };
    await expect(`${JSON.stringify(documents, null, 2)}\n`).toMatchFileSnapshot(name.replace(".jsonl", ".expected.json"));
    for (let cut = 0; cut <= events.length; cut += 7) {
      expect(reduce(events.slice(cut), reduce(events.slice(0, cut)))).toEqual(state);
    }
  });

  test.each([
    ["an event left out", (lines: string[]) => lines.filter((_, index) => index !== 5), /:6: .*seq 7 after 5/],
    ["two events swapped", (lines: string[]) => [...lines.slice(0, 8), lines[9], lines[8], ...lines.slice(10)], /:9: .*seq 10 after 8/],
    ["an event of a later version", (lines: string[]) => lines.map((line) => line.replace('"v":1', '"v":2')), /:1: .*unknown version 2/],
    ["another run's event", (lines: string[]) => lines.map((line, index) => (index === 4 ? line.replace('"run":"', '"run":"x') : line)), /:5: .*belongs to run x/],
  ])("with %s is refused", (_, doctor, expected) => {
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    const doctored = join(root, "doctored.jsonl");
    writeFileSync(doctored, `${doctor(lines).join("\n")}\n`);
    expect(() => readJournal(doctored)).toThrow(expected);
  });
});

test("there are journals to replay", () => {
  expect(journals.length).toBeGreaterThanOrEqual(2);
});
