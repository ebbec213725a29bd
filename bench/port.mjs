/**
 * Measures `port` on synthetic checkpoints: speed beside a copy of the same bytes on the same disk, and peak memory.
 *   npm run bench -- port [--gigabytes 2] [--threads N] [--full [--layers 10-14]] [--write]
 * `--full` goes through all 688.6 GB of DeepSeek-V3's shape: shards whose weights are holes in a sparse file (they read as zeros) and
 * whose scales are written; the output is hashed and dropped. `--layers` does so for the shards of these layers alone, and says so.
 * Without `--full` a checkpoint of about that many gigabytes is written, copied and converted for real.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { provenance, writeBlock } from "./block.mjs";

const { values } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "2" },
    threads: { type: "string" },
    layers: { type: "string" },
    full: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    // What the measured process is told.
    job: { type: "string" },
  },
});

if (values.job) await measured(JSON.parse(values.job));
else main();

/** One conversion in a process of its own, so that its peak memory, all threads included, is its own. */
async function measured({ source, destination, format, drop, threads, layers, shardBytesMax }) {
  const { convert } = await import("../dist/porting/convert/convert.js");
  const start = performance.now();
  const onProgress = (line) => process.stderr.write(`  ${line}\n`);
  const request = { source, destination, format, threads, shardBytesMax, onProgress };
  const part = drop ? await convertAndDrop(request, layers) : {};
  if (!drop) await convert(request);
  const seconds = (performance.now() - start) / 1000;
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
  process.stdout.write(JSON.stringify({ seconds, cpuSeconds, peakBytes: maxRSS * 1024, ...part }));
}

/** Every shard, or those that hold a tensor of `layers`, hashed and dropped; gives the bytes read and a hash over the hashes. */
async function convertAndDrop(request, layers) {
  const { planConversion, placeOf, threadsFor } = await import("../dist/porting/convert/convert.js");
  const { runTasks } = await import("../dist/porting/convert/run-tasks.js");
  const { trackProgress } = await import("../dist/porting/convert/progress.js");
  const plan = planConversion(request);
  const layerOf = ({ name }) => Number(/^model\.layers\.(\d+)\./.exec(name)?.[1] ?? Number.NaN);
  const [first, last] = layers ?? [0, Number.POSITIVE_INFINITY];
  const shards = plan.shards.filter(
    ({ tensors }) => !layers || tensors.some((tensor) => layerOf(tensor) >= first && layerOf(tensor) <= last),
  );
  const total = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  const progress = trackProgress(total, request.onProgress);
  const hashes = new Map();
  await runTasks(
    shards.map((shard) => ({ kind: "write", bytes: shard.bytes, shard: { ...shard, path: undefined } })),
    {
      source: placeOf(plan.source),
      threads: threadsFor(request, total),
      onBytes: (bytes) => progress.add(bytes),
      onDone: (_task, file) => hashes.set(file.name, file.sha256),
    },
  );
  const sha256 = createHash("sha256");
  for (const name of [...hashes.keys()].sort()) sha256.update(`${hashes.get(name)}  ${name}\n`);
  const read = new Map(
    shards.flatMap(({ tensors }) =>
      tensors.flatMap(({ recipe }) =>
        [recipe.from, recipe.scale].flatMap((from) => (from ? [[from.name, from.bytes]] : [])),
      ),
    ),
  );
  return { sourceBytes: [...read.values()].reduce((sum, bytes) => sum + bytes, 0), sha256: sha256.digest("hex") };
}

async function main() {
  const { deepseekV3Shape, smallerShape, writeSyntheticCheckpoint } = await import(
    "../dist/porting/synthetic-checkpoint.js"
  );
  const root = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
  try {
    const source = join(root, "source");
    const { full, write } = values;
    const layers = values.layers?.split("-").map(Number);
    // Two layers with experts at half width; 11 MB an expert and layer, 0.8 GB for the rest.
    const experts = Math.max(1, Math.round((Number(values.gigabytes) * 1e9 - 0.8e9) / 11e6 / 2 / 4));
    const shape = full ? deepseekV3Shape : { ...smallerShape(2, { layers: 3, experts: 4 * experts }), block: 128 };
    process.stderr.write("writing the source …\n");
    const bytes = writeSyntheticCheckpoint(source, shape, { sparse: full, shardBytes: full ? 4.3e9 : 5e8 });
    const rows = [];
    const hashes = [];
    for (const format of ["bf16", "w8a8-dynamic"]) {
      const destination = join(root, format);
      const job = { source, destination, format, drop: full, layers };
      if (values.threads) job.threads = Number(values.threads);
      // So that a small checkpoint has work for every processor, as a large one has.
      if (!full) job.shardBytesMax = 2.5e8;
      const before = full ? undefined : copyAll(source, join(root, "copy"));
      const result = convertApart(job);
      const after = full ? undefined : copyAll(destination, join(root, "copy"));
      rmSync(destination, { recursive: true, force: true });
      if (result.sha256) hashes.push(`${format} ${result.sha256}`);
      rows.push(rowOf(format, result.sourceBytes ?? bytes, { before, after }, result));
    }
    const text = textOf(rows, hashes, values.layers);
    process.stdout.write(`${text}\n`);
    const command = `npm run bench -- port${full ? " --full" : ""} --write`;
    if (write) writeBlock(fileURLToPath(new URL("../docs/performance.md", import.meta.url)), command, text);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function textOf(rows, hashes, layers) {
  const { full } = values;
  const share = layers ? ` (the shards of layers ${layers} of 61 only)` : "";
  const what = full
    ? `DeepSeek-V3's shape of 91,991 tensors from sparse shards (weights read as zeros, scales are real); the output is hashed and dropped, so no disk is measured. Hash over the shards' hashes: ${hashes.join("; ")}.`
    : "A synthetic checkpoint of DeepSeek-V3's naming at half width. The source is copied right before each conversion and the result right after; all are flushed. Memory is the process's peak with all its threads.";
  return `## Porting a checkpoint${full ? ` of 688.6 GB${share}` : ""}

${what}

| to | source | seconds | source MB/s | source MB per second of processor | speed beside copying the source | beside copying the result | peak memory |
|---|--:|--:|--:|--:|--:|--:|--:|
${rows.join("\n")}

${provenance()}.`;
}

function rowOf(format, bytes, { before, after }, { seconds, cpuSeconds, peakBytes }) {
  const beside = (copySeconds) => (copySeconds === undefined ? "–" : (copySeconds / seconds).toFixed(2));
  return `| ${[format, `${(bytes / 1e9).toFixed(1)} GB`, seconds.toFixed(1), (bytes / 1e6 / seconds).toFixed(0), (bytes / 1e6 / cpuSeconds).toFixed(0), beside(before), beside(after), `${(peakBytes / 2 ** 20).toFixed(0)} MiB`].join(" | ")} |`;
}

function convertApart(job) {
  const { status, stdout } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), "--job", JSON.stringify(job)],
    {
      stdio: ["ignore", "pipe", "inherit"],
      encoding: "utf8",
    },
  );
  if (status !== 0) throw new Error(`the conversion ended with ${status}`);
  return JSON.parse(stdout);
}

/** Seconds to read every shard and write it beside, flushed, in pieces as large as the conversion's. */
function copyAll(source, destination) {
  const buffer = new Uint8Array(8 << 20);
  const start = performance.now();
  for (const name of readdirSync(source).filter((file) => file.endsWith(".safetensors"))) {
    const from = openSync(join(source, name), "r");
    const into = openSync(destination, "w");
    for (let count = 1; count > 0; ) {
      count = readSync(from, buffer, 0, buffer.length, null);
      writeSync(into, buffer, 0, count);
    }
    fsyncSync(into);
    closeSync(into);
    closeSync(from);
    rmSync(destination);
  }
  return (performance.now() - start) / 1000;
}
