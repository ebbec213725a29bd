/** Following a file: lines come once and whole, however they are cut; a line without end is given up, not kept. */
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { lastLines, tail } from "./tail.ts";

const root = mkdtempSync(join(tmpdir(), "dualgauge-tail-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("lines cut anywhere are read once and whole", () => {
  let number = 0;
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 40 })), fc.array(fc.nat(200)), (strings, cuts) => {
      const lines = strings.map((text) => text.replaceAll("\n", "·"));
      const path = join(root, `${number++}`);
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const follower = tail(path, { maxReadBytes: 64 });
      const read = follower.read();
      writeFileSync(path, "");
      let from = 0;
      for (const cut of [...cuts, bytes.length]) {
        appendFileSync(path, bytes.subarray(from, Math.min(bytes.length, from + cut)));
        from = Math.min(bytes.length, from + cut);
        read.push(...follower.read());
      }
      for (let more = follower.read(); more.length > 0; more = follower.read()) read.push(...more);
      // A read is bounded, so lines longer than one read need several.
      for (let i = 0; i < 200; i++) read.push(...follower.read());
      follower.close();
      expect(read).toEqual(lines);
    }),
    { numRuns: 60 },
  );
});

test("an endless line is left out and the next one is read", () => {
  const path = join(root, "endless");
  const follower = tail(path, { maxLineBytes: 100 });
  writeFileSync(path, "x".repeat(1000));
  expect(follower.read()).toEqual([]);
  appendFileSync(path, `${"x".repeat(1000)}\nnext\n`);
  expect(follower.read()).toEqual(["next"]);
  follower.close();
});

test("the last lines of a long file, without a half one", () => {
  const path = join(root, "long");
  writeFileSync(path, Array.from({ length: 1000 }, (_, index) => `line ${index}\n`).join(""));
  expect(lastLines(path, 30)).toEqual(["line 997", "line 998", "line 999"]);
  expect(lastLines(join(root, "none"))).toEqual([]);
});
