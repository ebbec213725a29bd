/** What is read past the page cache is what is read through it, wherever it begins and ends. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { random } from "../../spec/random.ts";
import { smallerShape, writeSyntheticCheckpoint } from "../synthetic-checkpoint.ts";
import { planConversion } from "./convert.ts";
import { openInputFile, readSlack } from "./input-file.ts";
import { openTensorPieces } from "./tensor-pieces.ts";

let root: string;
const length = (1 << 20) + 4097;
const content = new Uint8Array(length);

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  const draw = random(1, "input-file");
  for (let at = 0; at < length; at++) content[at] = draw.below(256);
  writeFileSync(join(root, "file"), content);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test.each([true, false])("direct %s: any part, and undefined behind the end", (direct) => {
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: 33 }).buffer);
  const draw = random(2, "parts");
  const file = openInputFile(join(root, "file"), { direct });
  const parts = Array.from({ length: 60 }, () => {
    const offset = draw.below(length);
    return [offset, draw.below(length - offset) + 1] as const;
  });
  for (const [offset, bytes] of [[0, length] as const, [length - 1, 1] as const, [4096, 8192] as const, ...parts]) {
    const at = file.read(memory, offset, bytes);
    if (at === undefined) throw new Error(`nothing at ${offset}`);
    expect(at + bytes).toBeLessThanOrEqual(bytes + readSlack);
    expect(Buffer.compare(memory.subarray(at, at + bytes), content.subarray(offset, offset + bytes))).toBe(0);
  }
  expect(file.read(memory, length - 10, 11)).toBeUndefined();
  expect(file.read(memory, length + 10_000, 1)).toBeUndefined();
  file.close();
});

test.each(["bf16", "w8a8-dynamic"] as const)("%s: a conversion that reads directly makes the same bytes", (format) => {
  const source = join(root, format);
  writeSyntheticCheckpoint(source, { ...smallerShape(64, { layers: 2, experts: 2 }), block: 16 });
  const { shards, source: opened } = planConversion({ source, destination: "", format });
  const made = [true, false].map((direct) => {
    const pieces = openTensorPieces({ path: opened.path, given: source, direct });
    try {
      const tensors = shards.flatMap((shard) => shard.tensors);
      return Buffer.concat(tensors.flatMap((tensor) => [...pieces.of(tensor)].map((piece) => Buffer.from(piece))));
    } finally {
      pieces.close();
    }
  });
  expect(made[0]?.length).toBeGreaterThan(1e6);
  expect(made[0]?.equals(made[1] ?? Buffer.alloc(0))).toBe(true);
});
