/**
 * Takes all 688.6 GB of DeepSeek-V3's shape through a conversion whose output is hashed and dropped; goes on where it was stopped.
 * Knows: the file of finished shards, how runs add up. Does not know: tables, what the figures are held against.
 * Weights are holes in sparse files, which read as zeros; scales are written. So no disk is measured.
 */
import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";

/**
 * Every shard, or those that hold a tensor of `layers`, hashed and dropped. Finished ones are kept in the file `state`, one line each, so
 * that a run which was killed goes on: seconds add up over runs, the peak is the largest.
 */
export async function convertAndDrop({ source, format, threads, layers, state, onProgress }) {
  const { planConversion, placeOf, threadsFor } = await import("../dist/porting/convert/convert.js");
  const { runTasks } = await import("../dist/porting/convert/run-tasks.js");
  const { trackProgress } = await import("../dist/porting/convert/progress.js");
  const plan = planConversion({ source, destination: "", format });
  const layerOf = ({ name }) => Number(/^model\.layers\.(\d+)\./.exec(name)?.[1] ?? Number.NaN);
  const [first, last] = layers ?? [0, Number.POSITIVE_INFINITY];
  const shards = plan.shards.filter(
    ({ tensors }) => !layers || tensors.some((tensor) => layerOf(tensor) >= first && layerOf(tensor) <= last),
  );
  const done = linesOf(state).filter((line) => line.format === format && shards.some(({ name }) => name === line.name));
  const missing = shards.filter(({ name }) => done.every((line) => line.name !== name));
  const bytesOf = (some) => some.reduce((sum, { bytes }) => sum + bytes, 0);
  if (done.length > 0) onProgress(`${done.length} of ${shards.length} shards of ${format} are done already`);
  const progress = trackProgress(bytesOf(missing), onProgress);
  const start = performance.now();
  const run = `${process.pid}-${Date.now()}`;
  await runTasks(
    missing.map((shard) => ({ kind: "write", bytes: shard.bytes, shard: { ...shard, path: undefined } })),
    {
      source: placeOf(plan.source),
      threads: threadsFor({ threads }, bytesOf(shards)),
      onBytes: (bytes) => progress.add(bytes),
      onDone: (_task, { name, sha256, bytes }) => {
        const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
        const line = {
          ...{ format, name, sha256, bytes, run, seconds: (performance.now() - start) / 1000 },
          ...{ cpuSeconds: (userCPUTime + systemCPUTime) / 1e6, peakBytes: maxRSS * 1024 },
        };
        done.push(line);
        if (state) appendFileSync(state, `${JSON.stringify(line)}\n`);
      },
    },
  );
  return { ...totalsOf(done), sourceBytes: sourceBytesOf(shards), madeBytes: bytesOf(done), sha256: hashOf(done) };
}

/** Lines that were written whole. */
function linesOf(state) {
  if (!state || !existsSync(state)) return [];
  const lines = readFileSync(state, "utf8").split("\n");
  return lines.slice(0, -1).map((line) => JSON.parse(line));
}

/** A run's time is that of its last finished shard: what it had begun besides is made again and not counted. */
function totalsOf(done) {
  const runs = new Map();
  for (const line of done) {
    const known = runs.get(line.run);
    if (!known || known.seconds < line.seconds) runs.set(line.run, line);
  }
  const sum = (key) => [...runs.values()].reduce((total, line) => total + line[key], 0);
  const peakBytes = Math.max(...[...runs.values()].map((line) => line.peakBytes));
  return { seconds: sum("seconds"), cpuSeconds: sum("cpuSeconds"), peakBytes, runs: runs.size };
}

function sourceBytesOf(shards) {
  const read = new Map();
  for (const { recipe } of shards.flatMap(({ tensors }) => tensors)) {
    for (const from of [recipe.from, recipe.scale]) if (from) read.set(from.name, from.bytes);
  }
  return [...read.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function hashOf(done) {
  const sha256 = createHash("sha256");
  for (const { name, sha256: hash } of [...done].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    sha256.update(`${hash}  ${name}\n`);
  }
  return sha256.digest("hex");
}
