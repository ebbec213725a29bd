/** Writes beside a pretended trainer through real threads, and is killed at every boundary of a publication. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { exampleBody, exampleParameters, exampleState } from "../../test/example-checkpoint.ts";
import { cleanLeftovers, listCheckpoints, stepName } from "./checkpoint-folder.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import { newestVerified, type Tier, verifyCheckpoint } from "./verify-checkpoint.ts";
import { createCheckpointWriter, type FailedWrite, type PublishedCheckpoint, type WriterOptions } from "./writer.ts";

let root: string;
let memory: string;
let disk: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  memory = join(root, "memory");
  disk = join(root, "disk");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const stepsIn = (folder: string): number[] => listCheckpoints(folder).map(({ step }) => step);

function open(more: Partial<WriterOptions> = {}) {
  const published: PublishedCheckpoint[] = [];
  const failed: FailedWrite[] = [];
  const writer = createCheckpointWriter({
    parameters: exampleParameters,
    tiers: [
      { tier: "memory", folder: memory, keep: 2 },
      { tier: "disk", folder: disk, keep: 3 },
    ],
    onPublished: (checkpoint) => published.push(checkpoint),
    onFailed: (failure) => failed.push(failure),
    ...more,
  });
  return { writer, published, failed };
}

describe("the background writer", () => {
  test("publishes every step in memory and every third on disk, as they were when they were staged", async () => {
    const { writer, published, failed } = open();
    const state = exampleState(0);
    for (let step = 1; step <= 9; step++) {
      for (const [name, values] of state.weights) values.set(exampleState(step).weights.get(name) ?? []);
      const tiers: Tier[] = step % 3 === 0 ? ["memory", "disk"] : ["memory"];
      expect(await writer.stage({ manifest: exampleBody(step), state, tiers })).toBeGreaterThanOrEqual(0);
      // Training goes on at once, into the same memory.
      for (const values of state.weights.values()) values.fill(Number.NaN);
    }
    await writer.close();
    expect(failed).toEqual([]);
    const steps = (tier: Tier): number[] => published.filter((one) => one.tier === tier).map(({ step }) => step);
    expect(steps("memory")).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(steps("disk")).toEqual([3, 6, 9]);
    expect([stepsIn(memory), stepsIn(disk)]).toEqual([
      [8, 9],
      [3, 6, 9],
    ]);
    for (const path of [join(memory, stepName(9)), join(disk, stepName(9))]) {
      expect((await loadCheckpoint(path)).state.weights).toEqual(exampleState(9).weights);
    }
  });

  test("a full device fails that write alone: the other tier has it, the next try succeeds", async () => {
    const { writer, published, failed } = open();
    const request = { manifest: exampleBody(1), state: exampleState(1), tiers: ["memory", "disk"] } as const;
    await writer.stage({ ...request, noSpaceIn: ["disk"] });
    await writer.flush();
    expect(failed).toMatchObject([{ tier: "disk", step: 1, code: "ENOSPC" }]);
    expect([stepsIn(memory), readdirSync(disk)]).toEqual([[1], []]);
    await writer.stage({ ...request, tiers: ["disk"] });
    await writer.close();
    expect(published.map(({ tier }) => tier)).toEqual(["memory", "disk"]);
  });

  test("a newer epoch fences it", async () => {
    const epochFile = join(root, "epoch");
    writeFileSync(epochFile, "2");
    const { writer, failed } = open({ fence: { epochFile, epoch: 1 } });
    await writer.stage({ manifest: exampleBody(1), state: exampleState(1), tiers: ["memory"] });
    await writer.close();
    expect(failed).toMatchObject([{ tier: "memory", step: 1, code: "FENCED" }]);
    expect(stepsIn(memory)).toEqual([]);
  });

  test("cleans what an earlier writer left, and refuses a state without all parameters", async () => {
    mkdirSync(join(memory, ".tmp-step-00000001-e1-p1-0"), { recursive: true });
    const { writer } = open();
    expect(readdirSync(memory)).toEqual([]);
    const { weights, firstMoments } = exampleState(1);
    const state = { weights, firstMoments, secondMoments: new Map() };
    const staged = writer.stage({ manifest: exampleBody(1), state, tiers: ["memory"] });
    await expect(staged).rejects.toThrow("secondMoments of model.embed_tokens.weight: no values, expected 24");
    await writer.close();
  });
});

describe("kill -9 inside a publication", () => {
  const program = join(import.meta.dirname, "../../test/die-publishing.mjs");
  const die = (point: string): string =>
    spawnSync(process.execPath, [program, disk, point, JSON.stringify(exampleBody(1))]).signal ?? "lived";

  test.each(["open-1", "piece-1", "piece-2", "open-2", "piece-3", "piece-4", "open-3", "fence", "published"])(
    "at %s: the step before it stays, a visible one is whole",
    async (point) => {
      expect(die(point)).toBe("SIGKILL");
      for (const { path } of listCheckpoints(disk)) await verifyCheckpoint(path);
      const { newest, rejected } = await newestVerified([{ tier: "disk", folder: disk }]);
      expect([newest?.step, rejected]).toEqual([point === "published" ? 2 : 1, []]);
      cleanLeftovers(disk);
      expect(readdirSync(disk).sort()).toEqual(point === "published" ? [stepName(1), stepName(2)] : [stepName(1)]);
    },
  );
});
