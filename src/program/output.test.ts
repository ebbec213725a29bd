/** Output files: lines of any length and encoding, rotation without loss, floods within bounds. */
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { followOutput } from "./output.ts";

const root = mkdtempSync(join(tmpdir(), "dualgauge-output-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let files = 0;
const fresh = (): string => join(root, `${files++}.log`);

test("lines, carriage returns, bytes that are no UTF-8, an end without a line end", () => {
  const path = fresh();
  const output = followOutput(path);
  appendFileSync(path, "one\n 10%\r 20%\r\ntw");
  expect(output.read().lines).toEqual(["one", " 10%", " 20%"]);
  appendFileSync(path, Buffer.from([0x6f, 0xff, 0xfe, 0x0a, 0x78]));
  expect(output.read().lines).toEqual(["two\ufffd\ufffd"]);
  expect(output.rest()).toBe("x");
  output.close();
});

test("a line that is too long is counted and left out, and the next is read", () => {
  const path = fresh();
  const output = followOutput(path, { maxLineBytes: 1000, maxBacklogBytes: 1 << 30 });
  for (let piece = 0; piece < 64; piece++) {
    appendFileSync(path, Buffer.alloc(1 << 20, "x"));
    output.read();
  }
  appendFileSync(path, "\nstep 1 loss 2\n");
  expect(output.read()).toMatchObject({ lines: ["step 1 loss 2"], overlong: 1 });
  output.close();
});

test("what comes faster than it is read is skipped, counted, and bounded on disk", () => {
  const path = fresh();
  const output = followOutput(path, { maxBacklogBytes: 1 << 16, keepBytes: 1 << 16 });
  const line = `${"y".repeat(99)}\n`;
  for (let round = 0; round < 10; round++) {
    appendFileSync(path, line.repeat(10_000));
    const { skippedBytes, lines } = output.read();
    expect(skippedBytes).toBeGreaterThan(900_000);
    expect(lines.every((text) => text === line.trim())).toBe(true);
    expect(statSync(path).size).toBe(0);
    expect(statSync(`${path}.1`).size).toBe(1 << 16);
  }
  output.close();
});

test("rotation loses nothing between two writes, and somebody else's cut is survived", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 40 }), (lengths) => {
      const path = fresh();
      const output = followOutput(path, { keepBytes: 500 });
      const written = lengths.map((length, index) => `${index} ${"z".repeat(length)}`);
      const read = written.flatMap((line) => {
        appendFileSync(path, `${line}\n`);
        return output.read().lines;
      });
      expect(read).toEqual(written);
      if (existsSync(`${path}.1`)) expect(readFileSync(`${path}.1`).length).toBeLessThanOrEqual(500);
      appendFileSync(path, "long enough to be longer than what follows\n");
      output.read();
      truncateSync(path);
      appendFileSync(path, "new\n");
      expect(output.read().lines).toEqual(["new"]);
      output.close();
    }),
    { seed: 3, numRuns: 40 },
  );
});
