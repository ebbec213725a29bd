/**
 * Measures `port` on synthetic checkpoints: speed beside a copy of the same bytes on the same disk, and peak memory.
 *   npm run bench -- port [--gigabytes 2] [--full] [--write]
 * `--full` goes through all 688.6 GB of DeepSeek-V3's shape: shards whose weights are holes in a sparse file (they read as zeros) and
 * whose scales are written; the output is hashed and dropped. Without it a checkpoint of about that many gigabytes is written, copied
 * and converted for real.
 */
import { spawnSync } from "node:child_process";
import { closeSync, fsyncSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { provenance, writeBlock } from "./block.mjs";

const { values } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "2" },
    full: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    // What the measured process is told.
    job: { type: "string" },
  },
});

if (values.job) await measured(JSON.parse(values.job));
else main();

/** One conversion in a process of its own, so that its peak memory is its own. */
async function measured({ source, destination, format, drop }) {
  const { convert, planConversion, placeOf, threadsFor } = await import("../dist/porting/convert/convert.js");
  const { runTasks } = await import("../dist/porting/convert/run-tasks.js");
  const start = performance.now();
  const onProgress = (line) => process.stderr.write(`  ${line}\n`);
  if (drop) {
    const plan = planConversion({ source, destination, format });
    const total = plan.shards.reduce((sum, shard) => sum + shard.bytes, 0);
    let done = 0;
    const tasks = plan.shards.map((shard) => ({
      kind: "write",
      bytes: shard.bytes,
      shard: { ...shard, path: undefined },
    }));
    await runTasks(tasks, {
      source: placeOf(plan.source),
      threads: threadsFor({}, total),
      onBytes: (bytes) => {
        done += bytes;
      },
      onDone: (_task, file) =>
        onProgress(`${file.name} ${file.sha256.slice(0, 12)} ${((100 * done) / total).toFixed(1)} %`),
    });
  } else await convert({ source, destination, format, onProgress });
  const seconds = (performance.now() - start) / 1000;
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
  process.stdout.write(JSON.stringify({ seconds, cpuSeconds, peakBytes: maxRSS * 1024 }));
}

async function main() {
  const { deepseekV3Shape, smallerShape, writeSyntheticCheckpoint } = await import(
    "../dist/porting/synthetic-checkpoint.js"
  );
  const root = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
  try {
    const source = join(root, "source");
    // One layer with experts at full width holds about 11.5 GB; fewer experts make it smaller.
    const experts = Math.max(1, Math.round((Number(values.gigabytes) * 1e9 - 1.4e9) / 44e6 / 2));
    const shape = values.full
      ? deepseekV3Shape
      : { ...smallerShape(2, { layers: 3, experts: 4 * experts }), block: 128 };
    process.stderr.write("writing the source …\n");
    const bytes = writeSyntheticCheckpoint(source, shape, {
      sparse: values.full,
      shardBytes: values.full ? 4.3e9 : 5e8,
    });
    const rows = [];
    for (const format of ["bf16", "w8a8-dynamic"]) {
      const destination = join(root, format);
      const copySeconds = values.full ? undefined : copyAll(source, join(root, "copy"));
      const result = convertApart({ source, destination, format, drop: values.full });
      rmSync(destination, { recursive: true, force: true });
      rows.push(rowOf(format, bytes, copySeconds, result));
    }
    const text = `## Porting a checkpoint${values.full ? " of 688.6 GB" : ""}

${values.full ? "All 91,991 tensors of DeepSeek-V3's shape from sparse shards (weights read as zeros, scales are real); the output is hashed and dropped, so no disk is measured." : "A synthetic checkpoint of DeepSeek-V3's naming at half width; the copy is made right before each conversion, both are flushed."}

| to | source | seconds | source MB/s | source MB per second of processor | speed beside a copy of the source | peak memory |
|---|--:|--:|--:|--:|--:|--:|
${rows.join("\n")}

${provenance()}.`;
    process.stdout.write(`${text}\n`);
    const command = `npm run bench -- port${values.full ? " --full" : ""} --write`;
    if (values.write) writeBlock(fileURLToPath(new URL("../docs/performance.md", import.meta.url)), command, text);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function rowOf(format, bytes, copySeconds, { seconds, cpuSeconds, peakBytes }) {
  const beside = copySeconds === undefined ? "–" : (copySeconds / seconds).toFixed(2);
  return `| ${[format, `${(bytes / 1e9).toFixed(1)} GB`, seconds.toFixed(1), (bytes / 1e6 / seconds).toFixed(0), (bytes / 1e6 / cpuSeconds).toFixed(0), beside, `${(peakBytes / 2 ** 20).toFixed(0)} MiB`].join(" | ")} |`;
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
