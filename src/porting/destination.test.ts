/** A destination that fails half-way, as a full disk makes it, leaves nothing and says so in one line. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BadInput } from "../spec/bad-input.ts";
import { openDestination } from "./destination.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function* failing(code: string): Generator<Uint8Array> {
  yield new Uint8Array(10);
  throw Object.assign(new Error(`${code}: write`), { code });
}

test.each([
  ["ENOSPC", "the disk is full; free space"],
  ["EFBIG", "is larger than a file may be there; give another directory"],
])("%s", async (code, why) => {
  const destination = openDestination(join(root, "out"), []);
  const error = await destination.write("model.safetensors", failing(code)).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BadInput);
  if (error instanceof BadInput) expect(error.message).toContain(why);
  destination.discard();
  expect(readdirSync(root)).toEqual([]);
});

test("an empty directory is taken, one that is filled meanwhile is not touched", async () => {
  mkdirSync(join(root, "out"));
  const first = openDestination(join(root, "out"), []);
  await first.write("a", [new Uint8Array([1])]);
  writeFileSync(join(root, "out", "mine"), "kept");
  expect(() => first.publish()).toThrow(expect.objectContaining({ code: "ENOTEMPTY" }));
  first.discard();
  expect(readdirSync(root)).toEqual(["out"]);
  expect(readFileSync(join(root, "out", "mine"), "utf8")).toBe("kept");
});

test("gives each file's size and hash, and keeps the directory once it is published", async () => {
  const destination = openDestination(join(root, "out"), []);
  const pieces = [new TextEncoder().encode("ab"), new TextEncoder().encode("c")];
  expect(await destination.write("x", pieces)).toEqual({
    name: "x",
    bytes: 3,
    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  });
  destination.publish();
  destination.discard();
  expect(readdirSync(join(root, "out"))).toEqual(["x"]);
});
