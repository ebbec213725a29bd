/** A conversion's memory depends on its threads alone: tensors larger than all of it go through. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { smallerShape, syntheticTensors, writeSyntheticCheckpoint } from "../../src/porting/synthetic-checkpoint.ts";

/** In a process of its own, so that the peak is the conversion's; the result is hashed and dropped. */
const script = `
const [source, built] = process.argv.slice(1);
const { planConversion, placeOf } = await import(built + "/convert.js");
const { runTasks } = await import(built + "/run-tasks.js");
const plan = planConversion({ source, destination: "", format: "w8a8-dynamic", shardBytesMax: 1 });
const done = [];
await runTasks(
  plan.shards.map((shard) => ({ kind: "write", bytes: shard.bytes, shard: { ...shard, path: undefined } })),
  { source: placeOf(plan.source), threads: 2, onBytes: () => undefined, onDone: (_task, file) => done.push(file.bytes) },
);
const bytes = done.reduce((sum, size) => sum + size, 0);
console.log(JSON.stringify({ bytes, peakBytes: process.resourceUsage().maxRSS * 1024 }));
`;

test("matrices of 400 MB in less memory than one of them", () => {
  const root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  try {
    const shape = {
      ...{ ...smallerShape(64, { layers: 1, experts: 0 }), family: "llama" as const, mtpLayers: 0 },
      ...{ hidden: 2048, intermediate: 196_608, block: 128 },
    };
    // Holes in the file, which read as zeros: what is measured is memory, not the disk.
    const bytes = writeSyntheticCheckpoint(join(root, "source"), shape, { sparse: true });
    const largest = Math.max(...syntheticTensors(shape).map(({ shape: [rows = 1, columns = 1] }) => rows * columns));
    const built = resolve(import.meta.dirname, "../../dist/porting/convert");
    const args = ["--input-type=module", "-e", script, join(root, "source"), built];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect([status, stderr]).toEqual([0, ""]);
    const measured = JSON.parse(stdout);
    expect(measured.bytes).toBeGreaterThan(0.99 * bytes);
    expect(largest).toBeGreaterThan(4e8);
    expect(measured.peakBytes).toBeLessThan(largest);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
