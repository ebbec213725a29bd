/**
 * Measures how long a checkpoint stops training, and how much it slows the steps beside it.
 * Knows: the checkpoint writer. Does not know: the engine; a step is a fixed amount of arithmetic in this thread, one core of it, so
 * that the figure is the writer's alone. Writes its block into docs/performance.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createCheckpointWriter } from "../dist/checkpoint/writer.js";
import { provenance, writeBlock } from "./block.mjs";

const steps = 40;
const stateMegabytes = [12, 20, 60];
const memoryRoot = process.platform === "linux" ? "/dev/shm" : tmpdir();

const [load] = loadavg();
const rows = [];
for (const megabytes of stateMegabytes) rows.push(row(await measure(megabytes)));
const text = `## Checkpoints beside training

A step here is a fixed amount of arithmetic in one thread; every other step stages its state for the memory tier, every 21st for
the disk too. "Stops" is how long that step stood still, "beside" how much longer a step took while its predecessor was written.

| state | step | stops (median) | share of the step | stops (worst) | beside / alone | written to memory | to disk |
|---:|---:|---:|---:|---:|---:|---:|---:|
${rows.join("\n")}

${provenance()}; ${steps} checkpoints each, load average before ${load.toFixed(1)}.`;
process.stdout.write(`${text}\n`);
writeBlock(fileURLToPath(new URL("../docs/performance.md", import.meta.url)), "npm run bench -- checkpoint", text);

function row({ megabytes, stepSeconds, stalls, besideOverAlone, memorySeconds, diskSeconds }) {
  const ms = (seconds) => `${seconds < 0.1 ? (1000 * seconds).toFixed(1) : Math.round(1000 * seconds)} ms`;
  const share = `${((100 * median(stalls)) / stepSeconds).toPrecision(2)} %`;
  const stall = [ms(median(stalls)), share, ms(Math.max(...stalls))];
  return `| ${[`${megabytes} MB`, ms(stepSeconds), ...stall, besideOverAlone.toFixed(2), ms(memorySeconds), ms(diskSeconds)].join(" | ")} |`;
}

async function measure(megabytes) {
  const memory = mkdtempSync(join(memoryRoot, "dualgauge-bench-"));
  const disk = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
  try {
    const state = exampleState((megabytes * 1e6) / 12);
    const published = [];
    const writer = createCheckpointWriter({
      parameters: [...state.weights].map(([name, values]) => ({ name, shape: [values.length], moments: true })),
      tiers: [
        { tier: "memory", folder: memory, keep: 2 },
        { tier: "disk", folder: disk, keep: 2 },
      ],
      onPublished: (checkpoint) => published.push(checkpoint),
      onFailed: (failure) => {
        throw new Error(failure.message);
      },
    });
    // Steps with and without a checkpoint alternate, so that whatever else runs on the machine meets both alike.
    const stalls = [];
    const alone = [];
    const beside = [];
    for (let step = 1; step <= 2 * steps; step++) {
      const saves = step % 2 === 1;
      if (saves) {
        const tiers = step % 21 === 0 ? ["memory", "disk"] : ["memory"];
        stalls.push(await writer.stage({ manifest: manifestOf(step), state, tiers }));
      }
      const start = performance.now();
      arithmetic(state.weights.values().next().value);
      (saves ? beside : alone).push((performance.now() - start) / 1000);
      await new Promise((resolve) => setImmediate(resolve));
      if (saves) continue;
      await writer.flush();
    }
    await writer.close();
    const writes = (tier) => published.filter((one) => one.tier === tier).map(({ seconds }) => seconds);
    return {
      megabytes,
      stepSeconds: median(alone),
      // The first copy into each slot also meets memory that was never touched.
      stalls: stalls.slice(2),
      besideOverAlone: median(beside) / median(alone),
      memorySeconds: median(writes("memory")),
      diskSeconds: median(writes("disk")),
    };
  } finally {
    rmSync(memory, { recursive: true, force: true });
    rmSync(disk, { recursive: true, force: true });
  }
}

/** Sixty parameters, as a model has many tensors. */
function exampleState(parameters) {
  const draw = () =>
    new Map(
      Array.from({ length: 60 }, (_, index) => [
        `model.layers.${index}.weight`,
        new Float32Array(Math.round(parameters / 60)).map((_, at) => Math.sin(at + index)),
      ]),
    );
  return { weights: draw(), firstMoments: draw(), secondMoments: draw() };
}

/** About a quarter of a second of float64 arithmetic on data in cache. */
function arithmetic(values) {
  const window = Float64Array.from(values.subarray(0, 1024));
  let sum = 0;
  for (let round = 0; round < 250_000; round++) {
    for (let at = 0; at < window.length; at++) sum += window[at] * 1.000001;
  }
  return sum;
}

function manifestOf(step) {
  return { v: 1, run: "bench", epoch: 1, step };
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
