/**
 * Measures `port` on synthetic checkpoints: speed beside a copy of the same bytes on the same disk, and peak memory.
 *   npm run bench -- port [--gigabytes 2] [--rounds 3] [--format bf16] [--threads N] [--write]
 *   npm run bench -- port --full [--state FILE] [--layers 10-14] [--format bf16] [--threads N] [--write]
 * Without `--full` a checkpoint of that many gigabytes is written, copied and converted for real; three times that much space is taken.
 * A copy of the same bytes reads the source and writes as many bytes as the conversion writes, flushed as the conversion flushes. Copy and
 * conversion take turns, each with the source's pages dropped before. `--full`: port-full.mjs. `--state FILE` lets it go on when killed.
 */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { provenance, writeBlock } from "./block.mjs";
import { convertAndDrop } from "./port-full.mjs";

const { values } = parseArgs({
  options: {
    gigabytes: { type: "string", default: "2" },
    rounds: { type: "string", default: "3" },
    format: { type: "string" },
    threads: { type: "string" },
    layers: { type: "string" },
    state: { type: "string" },
    full: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    // What the measured process is told.
    job: { type: "string" },
  },
});
const formats = values.format ? [values.format] : ["bf16", "w8a8-dynamic"];

if (values.job) await measured(JSON.parse(values.job));
else await main();

/** One conversion in a process of its own, so that its peak memory, all threads included, is its own. */
async function measured(job) {
  const onProgress = (line) => process.stderr.write(`  ${line}\n`);
  if (job.drop) {
    process.stdout.write(JSON.stringify(await convertAndDrop({ ...job, onProgress })));
    return;
  }
  const { convert } = await import("../dist/porting/convert/convert.js");
  const start = performance.now();
  await convert({ ...job, onProgress });
  const seconds = (performance.now() - start) / 1000;
  const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
  const cpuSeconds = (userCPUTime + systemCPUTime) / 1e6;
  process.stdout.write(JSON.stringify({ seconds, cpuSeconds, peakBytes: maxRSS * 1024 }));
}

async function main() {
  const root = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
  process.on("exit", () => rmSync(root, { recursive: true, force: true }));
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));
  const source = join(root, "source");
  const threads = values.threads ? Number(values.threads) : undefined;
  process.stderr.write("writing the source …\n");
  const text = values.full ? await full(source, threads) : await real(root, source, threads);
  process.stdout.write(`${text}\n`);
  const command = `npm run bench -- port${values.full ? " --full" : ""} --write`;
  if (values.write) writeBlock(fileURLToPath(new URL("../docs/performance.md", import.meta.url)), command, text);
}

async function full(source, threads) {
  const { deepseekV3Shape, writeSyntheticCheckpoint } = await import("../dist/porting/synthetic-checkpoint.js");
  writeSyntheticCheckpoint(source, deepseekV3Shape, { sparse: true, shardBytes: 4.3e9 });
  const layers = values.layers?.split("-").map(Number);
  const results = formats.map((format) => {
    return { format, ...convertApart({ source, format, threads, layers, state: values.state, drop: true }) };
  });
  const share = layers ? ` (the shards of layers ${values.layers} of 61 only)` : "";
  const hashes = results.map(({ format, sha256 }) => `${format} ${sha256}`);
  const rows = results.map((one) =>
    row([
      ...[one.format, gigabytes(one.sourceBytes), gigabytes(one.madeBytes), (one.seconds / 3600).toFixed(2)],
      ...[(one.sourceBytes / 1e6 / one.seconds).toFixed(0), (one.sourceBytes / 1e6 / one.cpuSeconds).toFixed(0)],
      ...[`${(one.peakBytes / 2 ** 20).toFixed(0)} MiB`, String(one.runs)],
    ]),
  );
  return `## Porting a checkpoint of 688.6 GB${share}

DeepSeek-V3's shape of 91,991 tensors from sparse shards (weights read as zeros, scales are real); all of the result is hashed and dropped, so no disk is measured. Hash over the shards' hashes: ${hashes.join("; ")}.

| to | source | result | hours | source MB/s | source MB per second of processor | peak memory | runs that it took |
|---|--:|--:|--:|--:|--:|--:|--:|
${rows.join("\n")}

${provenance()}.`;
}

async function real(root, source, threads) {
  const { writeSyntheticCheckpoint } = await import("../dist/porting/synthetic-checkpoint.js");
  const shape = await shapeOf(Number(values.gigabytes) * 1e9);
  const bytes = writeSyntheticCheckpoint(source, shape, { shardBytes: 5e8 });
  const destination = join(root, "result");
  // So that a small checkpoint has work for every processor, as a large one has.
  const shardBytesMax = Math.min(2e9, Math.max(2.5e8, bytes / 20));
  const rows = [];
  for (const format of formats) {
    const rounds = [];
    let written = await resultBytes({ source, format, shardBytesMax });
    for (let round = 0; round < Number(values.rounds); round++) {
      const copy = () => {
        dropPages(source);
        return copyAll(source, join(root, "copy"), written);
      };
      const convert = () => {
        dropPages(source);
        const result = convertApart({ source, destination, format, threads, shardBytesMax });
        written = shardsIn(destination).reduce((sum, name) => sum + statSync(join(destination, name)).size, 0);
        rmSync(destination, { recursive: true, force: true });
        return result;
      };
      // Whoever comes first in a round comes second in the next.
      const [copySeconds, result] = round % 2 === 0 ? [copy(), convert()] : [convert(), copy()].reverse();
      rounds.push({ copySeconds, ...result });
      process.stderr.write(`${format}: copy ${copySeconds.toFixed(1)} s, port ${result.seconds.toFixed(1)} s\n`);
    }
    rows.push(rowOf(format, { bytes, written, rounds }));
  }
  return `## Porting a checkpoint

A synthetic checkpoint of DeepSeek-V3's naming at half width. A copy of the same bytes reads the source and writes as many bytes as the conversion writes, flushed as the conversion flushes. Both take turns, each with the source's pages dropped from the page cache before; medians of ${values.rounds} rounds, ratios within one round. Memory is the process's peak with all its threads.

| to | source | result | port, s | copy, s | speed beside a copy of the same bytes (all rounds) | source MB/s | source MB per second of processor | peak memory |
|---|--:|--:|--:|--:|--:|--:|--:|--:|
${rows.join("\n")}

${provenance()}.`;
}

/** DeepSeek-V3 at half width, with as many experts in three layers as make about `bytes`. */
async function shapeOf(bytes) {
  const { smallerShape, syntheticTensors } = await import("../dist/porting/synthetic-checkpoint.js");
  const { tensorBytes } = await import("../dist/checkpoint/dtype.js");
  const shape = (experts) => ({ ...smallerShape(2, { layers: 3, experts }), block: 128 });
  const size = (experts) =>
    syntheticTensors(shape(experts)).reduce((sum, tensor) => sum + tensorBytes(tensor.dtype, tensor.shape), 0);
  const [few, more] = [size(8), size(16)];
  return shape(Math.max(1, Math.round(8 + (8 * (bytes - few)) / (more - few))));
}

async function resultBytes(request) {
  const { planConversion } = await import("../dist/porting/convert/convert.js");
  return planConversion({ ...request, destination: "" }).shards.reduce((sum, { bytes }) => sum + bytes, 0);
}

function rowOf(format, { bytes, written, rounds }) {
  const ratios = rounds.map(({ copySeconds, seconds }) => copySeconds / seconds).sort((a, b) => a - b);
  const middle = (key) => median(rounds.map((round) => round[key]));
  return row([
    ...[format, gigabytes(bytes), gigabytes(written), middle("seconds").toFixed(1), middle("copySeconds").toFixed(1)],
    `${median(ratios).toFixed(2)} (${ratios[0].toFixed(2)}–${ratios.at(-1).toFixed(2)})`,
    ...[(bytes / 1e6 / middle("seconds")).toFixed(0), (bytes / 1e6 / middle("cpuSeconds")).toFixed(0)],
    `${(Math.max(...rounds.map(({ peakBytes }) => peakBytes)) / 2 ** 20).toFixed(0)} MiB`,
  ]);
}

function row(cells) {
  return `| ${cells.join(" | ")} |`;
}

function gigabytes(bytes) {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}

function convertApart(job) {
  const args = [fileURLToPath(import.meta.url), "--job", JSON.stringify(job)];
  const options = { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" };
  const { status, signal, stdout } = spawnSync(process.execPath, args, options);
  if (status !== 0) throw new Error(`the conversion ended with ${status ?? signal}`);
  return JSON.parse(stdout);
}

function shardsIn(folder) {
  return readdirSync(folder)
    .filter((file) => file.endsWith(".safetensors"))
    .sort();
}

/** GNU dd asks the system to forget a file's pages; Node has no call for that. */
function dropPages(folder) {
  for (const name of shardsIn(folder)) {
    const { status, stderr } = spawnSync("dd", [`if=${join(folder, name)}`, "iflag=nocache", "count=0"]);
    if (status !== 0) throw new Error(`dd cannot drop pages: ${stderr}`);
  }
}

/** Seconds to read every shard and write `written` bytes beside, each file flushed, in pieces as large as the conversion's. */
function copyAll(source, destination, written) {
  const names = shardsIn(source);
  const whole = names.reduce((sum, name) => sum + statSync(join(source, name)).size, 0);
  const buffer = new Uint8Array(8 << 20);
  const start = performance.now();
  let readBytes = 0;
  let writtenBytes = 0;
  for (const [at, name] of names.entries()) {
    const from = openSync(join(source, name), "r");
    const into = openSync(`${destination}-${at}`, "w");
    for (let count = 1; count > 0; ) {
      count = readSync(from, buffer, 0, buffer.length, null);
      readBytes += count;
      const due = Math.round((readBytes / whole) * written);
      while (writtenBytes < due)
        writtenBytes += writeSync(into, buffer, 0, Math.min(buffer.length, due - writtenBytes));
    }
    fsyncSync(into);
    closeSync(into);
    closeSync(from);
  }
  const seconds = (performance.now() - start) / 1000;
  for (const at of names.keys()) rmSync(`${destination}-${at}`);
  return seconds;
}
