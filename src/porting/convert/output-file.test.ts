/** A file written past the page cache holds exactly what was handed over, whatever the pieces, and a full disk is told. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { random } from "../../spec/random.ts";
import { openOutputFile } from "./output-file.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const large = 1 << 30;

test.each([
  ["nothing", 0],
  ["less than a page", 1000],
  ["a page", 4096],
  ["the staging buffer", 8 << 20],
  ["pages and a rest", (20 << 20) + 17],
])("%s, in pieces of all sizes, directly and not", (_, bytes) => {
  const draw = random(bytes, "pieces");
  const content = Uint8Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 12)) & 0xff);
  for (const expected of [0, large]) {
    const path = join(folder, "file");
    const file = openOutputFile(path, { bytes: expected });
    for (let at = 0; at < bytes; ) {
      const piece = content.slice(at, at + 1 + draw.below(3 << 20));
      file.write(piece);
      at += piece.length;
      // The caller reuses its memory.
      piece.fill(0xee);
    }
    file.flush();
    file.close();
    expect(Buffer.compare(readFileSync(path), content)).toBe(0);
  }
});

test("a second, shorter file of the same name leaves nothing of the first", () => {
  const path = join(folder, "again");
  for (const bytes of [9 << 20, 5]) {
    const file = openOutputFile(path, { bytes: large });
    file.write(new Uint8Array(bytes).fill(7));
    file.flush();
    file.close();
    expect(readFileSync(path)).toHaveLength(bytes);
  }
});
