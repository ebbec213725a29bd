/** A checkpoint's life on a real file system: published whole or not at all, every changed byte found, never the last one lost. */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { exampleBody, exampleFiles, exampleState, publishExample } from "../../test/example-checkpoint.ts";
import { cleanLeftovers, listCheckpoints, stepName } from "./checkpoint-folder.ts";
import { CorruptCheckpoint } from "./corrupt-checkpoint.ts";
import { checkFence, Fenced } from "./fence.ts";
import { sealManifest } from "./integrity.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import { promote } from "./promote.ts";
import { publishCheckpoint } from "./publish.ts";
import { quarantine } from "./quarantine.ts";
import { retain } from "./retain.ts";
import { newestVerified, verifyCheckpoint } from "./verify-checkpoint.ts";
import { weightsSha256 } from "./weights-digest.ts";

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  folder = join(root, "checkpoints");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const stepsIn = (path: string): number[] => listCheckpoints(path).map(({ step }) => step);
const names = ["manifest.json", "weights.safetensors", "optimizer.safetensors"];

function flip(path: string, at: number, mask = 1): void {
  const bytes = readFileSync(path);
  bytes[at]! ^= mask;
  writeFileSync(path, bytes);
}

describe("what was published", () => {
  test("loads as it was, whatever the values", () =>
    fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(99_999_999), async (seed, step) => {
        const { path } = publishExample(folder, step, 3, seed);
        const { manifest, state, weights } = await loadCheckpoint(path);
        expect(state).toEqual(exampleState(seed));
        const { files, ...body } = manifest;
        expect(body).toEqual(exampleBody(step, 3));
        expect(files.map(({ name }) => name)).toEqual(["weights.safetensors", "optimizer.safetensors"]);
        expect(weightsSha256(weights.values())).toMatch(/^[0-9a-f]{64}$/);
      }),
      { seed: 11, numRuns: 40 },
    ));

  test("the weights' hash is over names, dtypes, shapes and bytes, not their order", async () => {
    const { weights } = await loadCheckpoint(publishExample(folder, 1).path);
    const tensors = [...weights.values()];
    const hash = weightsSha256(tensors);
    expect(weightsSha256([...tensors].reverse())).toBe(hash);
    const [first, ...rest] = tensors;
    for (const other of [
      { ...first!, name: "other" },
      { ...first!, dtype: "I32" as const },
      { ...first!, shape: [...first!.shape, 1] },
      { ...first!, bytes: first!.bytes.map((byte) => byte ^ 1) },
    ]) {
      expect(weightsSha256([other, ...rest])).not.toBe(hash);
    }
  });

  test("publishing the same step again keeps equal bytes and replaces others", async () => {
    const { path } = publishExample(folder, 5, 1, 1);
    const before = readFileSync(join(path, "manifest.json"), "utf8");
    publishExample(folder, 5, 2, 1);
    expect(readFileSync(join(path, "manifest.json"), "utf8")).toBe(before);
    flip(join(path, "weights.safetensors"), 300);
    publishExample(folder, 5, 3, 1);
    expect((await verifyCheckpoint(path)).epoch).toBe(3);
    publishExample(folder, 5, 4, 2);
    expect((await loadCheckpoint(path)).state).toEqual(exampleState(2));
    expect(readdirSync(folder)).toEqual(["step-00000005"]);
  });
});

describe("what was changed is found", () => {
  test.each(names)("a flipped bit anywhere in %s", async (name) => {
    const { path } = publishExample(folder, 1);
    const length = readFileSync(join(path, name)).length;
    await fc.assert(
      fc.asyncProperty(fc.nat(length - 1), fc.nat(7), async (at, bit) => {
        flip(join(path, name), at, 1 << bit);
        const found = await verifyCheckpoint(path).catch((error: unknown) => error);
        flip(join(path, name), at, 1 << bit);
        expect(found).toBeInstanceOf(CorruptCheckpoint);
        if (found instanceof CorruptCheckpoint) expect(found).toMatchObject({ path, file: name });
      }),
      { seed: 17, numRuns: 200 },
    );
    await verifyCheckpoint(path);
  });

  test.each(names)("a torn write at every class of boundary in %s", async (name) => {
    const { path } = publishExample(folder, 1);
    const whole = readFileSync(join(path, name));
    const headerEnd = name === "manifest.json" ? 40 : 8 + Number(whole.readBigUInt64LE());
    const cuts = [0, 1, 7, 8, 9, headerEnd - 1, headerEnd, headerEnd + 1, whole.length >> 1, whole.length - 1];
    for (const cut of cuts) {
      truncateSync(join(path, name), cut);
      await expect(verifyCheckpoint(path), `cut at ${cut}`).rejects.toThrow(CorruptCheckpoint);
      writeFileSync(join(path, name), whole);
    }
    appendFileSync(join(path, name), "\n");
    await expect(verifyCheckpoint(path)).rejects.toThrow(CorruptCheckpoint);
    rmSync(join(path, name));
    await expect(verifyCheckpoint(path)).rejects.toThrow(`${name}: is missing`);
  });

  test("a link in place of a file, another step's folder, a manifest that lists a path outside", async () => {
    const { path } = publishExample(folder, 1);
    renameSync(path, join(folder, stepName(2)));
    await expect(verifyCheckpoint(join(folder, stepName(2)))).rejects.toThrow("says step 1, its folder step 2");
    renameSync(join(folder, stepName(2)), path);
    copyFileSync(join(path, "weights.safetensors"), join(root, "w"));
    rmSync(join(path, "weights.safetensors"));
    symlinkSync(join(root, "w"), join(path, "weights.safetensors"));
    await expect(verifyCheckpoint(path)).rejects.toThrow("is no regular file");
    const files = [{ name: "../w", bytes: 1, sha256: "0".repeat(64) }];
    writeFileSync(join(path, "manifest.json"), sealManifest({ ...exampleBody(1), files }));
    await expect(verifyCheckpoint(path)).rejects.toThrow("lists no files");
    writeFileSync(join(path, "manifest.json"), sealManifest({ ...exampleBody(1), files: [], more: 1 }));
    await expect(verifyCheckpoint(path)).rejects.toThrow(CorruptCheckpoint);
  });
});

describe("the newest that verifies", () => {
  test("is found over both tiers, and those that do not are named", async () => {
    const memory = join(root, "memory");
    publishExample(folder, 10);
    publishExample(folder, 12);
    publishExample(memory, 12);
    publishExample(memory, 13);
    const places = [
      { tier: "memory", folder: memory },
      { tier: "disk", folder },
      { tier: "disk", folder: join(root, "absent") },
    ] as const;
    expect((await newestVerified(places)).newest).toMatchObject({ tier: "memory", step: 13 });
    flip(join(memory, stepName(13), "optimizer.safetensors"), 400);
    flip(join(memory, stepName(12), "manifest.json"), 20);
    const { newest, rejected } = await newestVerified(places);
    expect(newest).toMatchObject({ tier: "disk", step: 12 });
    expect(rejected.map(({ tier, step, file }) => [tier, step, file])).toEqual([
      ["memory", 13, "optimizer.safetensors"],
      ["memory", 12, "manifest.json"],
    ]);
    expect(await newestVerified([])).toEqual({ newest: undefined, rejected: [] });
  });

  test("what is quarantined keeps its bytes, gets a note and is not found again", async () => {
    const { path } = publishExample(folder, 3);
    flip(join(path, "weights.safetensors"), 300);
    const bytes = readFileSync(join(path, "weights.safetensors"));
    const to = quarantine(path, join(root, "quarantine"), "its SHA-256 differs");
    expect(readFileSync(join(to, "weights.safetensors"))).toEqual(bytes);
    expect(readFileSync(join(to, "why.txt"), "utf8")).toBe("its SHA-256 differs\n");
    expect(stepsIn(folder)).toEqual([]);
    const again = quarantine(publishExample(folder, 3).path, join(root, "quarantine"), "again");
    expect(again).toBe(`${to}-2`);
  });

  test("quarantine reaches from memory-backed storage to a disk", ({ skip }) => {
    if (!existsSync("/dev/shm") || statSync("/dev/shm").dev === statSync(root).dev) skip("no second file system here");
    const memory = mkdtempSync("/dev/shm/dualgauge-test-");
    try {
      const { path } = publishExample(memory, 3);
      const to = quarantine(path, join(root, "quarantine"), "why");
      expect(readdirSync(to).sort()).toEqual([...names, "why.txt"].sort());
      expect(readdirSync(memory)).toEqual([]);
    } finally {
      rmSync(memory, { recursive: true });
    }
  });

  test("promotion carries it durably, twice is once, and a corrupt one is not carried", async () => {
    const memory = join(root, "memory");
    const { path } = publishExample(memory, 8);
    const published = await promote(path, folder);
    expect(published.path).toBe(join(folder, stepName(8)));
    expect(await promote(path, folder)).toEqual(published);
    expect((await loadCheckpoint(published.path)).state).toEqual(exampleState(8));
    flip(join(path, "weights.safetensors"), 300);
    await expect(promote(path, join(root, "other"))).rejects.toThrow(CorruptCheckpoint);
    expect(existsSync(join(root, "other"))).toBe(false);
  });
});

describe("retention", () => {
  test("keeps the newest", () => {
    for (const step of [1, 2, 3, 4, 5]) publishExample(folder, step);
    expect(retain(folder, { keep: 2, readBack: true })).toHaveLength(3);
    expect(stepsIn(folder)).toEqual([4, 5]);
    expect(retain(folder, { keep: 2, readBack: true })).toEqual([]);
    expect(readdirSync(folder)).toHaveLength(2);
  });

  test("never removes the last that verifies, whichever are corrupt", () =>
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 6 }),
        (good, keep) => {
          good.forEach((isGood, index) => {
            const { path } = publishExample(folder, index);
            if (!isGood) flip(join(path, "optimizer.safetensors"), 300);
          });
          retain(folder, { keep, readBack: true });
          const left = stepsIn(folder);
          expect(left.includes(good.lastIndexOf(true)) || !good.includes(true)).toBe(true);
          expect(left.length).toBeGreaterThanOrEqual(Math.min(keep, good.length));
          rmSync(folder, { recursive: true });
        },
      ),
      { seed: 23, numRuns: 60 },
    ));
});

describe("an interrupted publication", () => {
  test("a fenced writer publishes nothing and leaves nothing", () => {
    const epochFile = join(root, "epoch");
    writeFileSync(epochFile, "4\n");
    const publish = (epoch: number) =>
      publishCheckpoint({
        folder,
        manifest: exampleBody(1, epoch),
        files: exampleFiles(exampleState(1)),
        durable: true,
        fence: () => checkFence({ epochFile, epoch }),
      });
    expect(() => publish(3)).toThrow(Fenced);
    expect(readdirSync(folder)).toEqual([]);
    publish(4);
    expect(stepsIn(folder)).toEqual([1]);
    writeFileSync(epochFile, "");
    expect(() => publish(4)).toThrow(Fenced);
  });

  test.each([1, 2, 3])("a full device at file %i leaves nothing and says ENOSPC", (file) => {
    let opened = 0;
    const publish = () =>
      publishCheckpoint({
        folder,
        manifest: exampleBody(2),
        files: exampleFiles(exampleState(1)),
        durable: true,
        openForWrite: (path) => openSync(++opened === file ? "/dev/full" : path, "w"),
      });
    expect(publish).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    expect(readdirSync(folder)).toEqual([]);
    publish();
    expect(stepsIn(folder)).toEqual([2]);
  });

  test("leftovers are removed, and what was being replaced comes back", async () => {
    publishExample(folder, 1);
    mkdirSync(join(folder, ".tmp-step-00000002-e1-p1-0"));
    renameSync(join(folder, stepName(1)), join(folder, ".replaced-step-00000001-e2-p1-0"));
    publishExample(folder, 4);
    mkdirSync(join(folder, ".replaced-step-00000004-e2-p1-0"));
    cleanLeftovers(folder);
    expect(readdirSync(folder).sort()).toEqual(["step-00000001", "step-00000004"]);
    await verifyCheckpoint(join(folder, stepName(1)));
    expect(cleanLeftovers(join(root, "absent"))).toEqual([]);
  });
});
