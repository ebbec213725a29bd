/** `dualgauge port` onto disks that are too small, fill up, limit a file's size or may not be written to: one line, exit 2, no index. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { smallerShape, writeSyntheticCheckpoint } from "../../src/porting/synthetic-checkpoint.ts";

const command = resolve(import.meta.dirname, "../../bin/dualgauge.js");
const sideBytes = 1 << 20;
let root: string;
let source: string;
let whole: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  source = join(root, "source");
  whole = join(root, "whole");
  writeSyntheticCheckpoint(source, smallerShape(64, { layers: 2, experts: 4 }), { shardBytes: 3e5 });
  writeFileSync(join(source, "tokenizer.json"), Buffer.alloc(sideBytes, "t"));
  expect(run(["port", source, whole]).status).toBe(0);
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function run(args: readonly string[], how: { uid?: number; limitBlocks?: number } = {}) {
  const { uid, limitBlocks } = how;
  const limited = ["-c", `ulimit -f ${limitBlocks}; exec "$@"`, "bash", process.execPath, command, ...args];
  return limitBlocks === undefined
    ? spawnSync(process.execPath, [command, ...args], { encoding: "utf8", ...(uid !== undefined && { uid, gid: uid }) })
    : spawnSync("bash", limited, { encoding: "utf8" });
}

function expectRefused({ status, stdout, stderr }: ReturnType<typeof run>, why: RegExp, destination: string): void {
  expect([status, stdout, stderr]).toEqual([2, "", expect.stringMatching(why)]);
  expect(stderr.trim().split("\n").at(-1)).toMatch(why);
  expect(readdirSync(destination).filter((name) => !name.startsWith("."))).toEqual([]);
}

/** A file system in memory of its own, or why there is none. */
function mount(folder: string, bytes: number, options = ""): string | undefined {
  mkdirSync(folder, { recursive: true });
  const { status, error, stderr } = spawnSync(
    "mount",
    ["-t", "tmpfs", "-o", `size=${bytes}${options}`, "tmpfs", folder],
    {
      encoding: "utf8",
    },
  );
  return status === 0 ? undefined : `no tmpfs can be mounted: ${error?.message ?? stderr.trim()}`;
}

test("a disk that is too small is told before anything is written; one that fills up, when it does; then the same command goes on", ({
  skip,
}) => {
  const disk = join(root, "disk");
  const refusal = mount(disk, 1 << 16);
  if (refusal) skip(refusal);
  try {
    const into = join(disk, "out");
    mkdirSync(into);
    expectRefused(run(["port", source, into]), /bytes are to be written, \d+ are free; free space/, into);
    // The shards fit, the tokenizer beside them does not.
    const shards = readdirSync(whole).filter((name) => name.endsWith(".safetensors"));
    const needed = shards.reduce((sum, name) => sum + readFileSync(join(whole, name)).length + 4096, 0);
    mount(disk, needed + sideBytes / 2, ",remount");
    expectRefused(run(["port", source, into]), /the disk is full; free space and run the same command/, into);
    mount(disk, needed + 3 * sideBytes, ",remount");
    expect(run(["port", source, into])).toMatchObject({ status: 0 });
    for (const name of readdirSync(whole)) {
      expect(Buffer.compare(readFileSync(join(into, name)), readFileSync(join(whole, name))), name).toBe(0);
    }
  } finally {
    spawnSync("umount", [disk]);
  }
});

test("a limit on the size of a file is told as one", () => {
  const into = join(root, "limited");
  mkdirSync(into);
  expectRefused(run(["port", source, into], { limitBlocks: 64 }), /larger than a file may be there/, into);
});

test("a destination that this user may not write to", ({ skip }) => {
  const into = join(root, "locked");
  mkdirSync(into);
  chmodSync(into, 0o555);
  chmodSync(root, 0o755);
  // The superuser writes anywhere, so another user is asked.
  const isRoot = process.getuid?.() === 0;
  const user = isRoot ? { uid: 65534 } : {};
  if (isRoot && run(["--version"], user).status !== 0) skip("nobody may not read this checkout");
  expectRefused(run(["port", source, into], user), /cannot be written to|not writable|cannot be written/, into);
});
