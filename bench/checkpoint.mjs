/**
 * Measures how long a checkpoint stops training, and how much it slows the steps beside it.
 * Knows: the checkpoint writer. Does not know: the engine; a step is a fixed amount of arithmetic in this thread, one core of it, so
 * that the figure is the writer's alone. Prints one JSON document.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { createCheckpointWriter } from "../dist/checkpoint/writer.js";

const steps = 40;
const stateMegabytes = [12, 20, 60];
const memoryRoot = process.platform === "linux" ? "/dev/shm" : tmpdir();

const results = [];
for (const megabytes of stateMegabytes) results.push(await measure(megabytes));
process.stdout.write(`${JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, steps, results }, null, 2)}\n`);

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
    const stepSeconds = median(alone);
    return {
      stateMegabytes: megabytes,
      stepSeconds,
      stallSeconds: { first: stalls[0], median: median(stalls.slice(2)), max: Math.max(...stalls.slice(2)) },
      stallShareOfStep: median(stalls.slice(2)) / stepSeconds,
      stepBesideWritingOverStepAlone: median(beside) / stepSeconds,
      publishSeconds: {
        memory: median(published.filter(({ tier }) => tier === "memory").map(({ seconds }) => seconds)),
        disk: median(published.filter(({ tier }) => tier === "disk").map(({ seconds }) => seconds)),
      },
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
