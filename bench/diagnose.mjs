/**
 * Measures how fast `diagnose` reads a large Megatron-LM log with a fault at its end, and with how much memory.
 * Knows: the built verb, /proc. Does not know: rules. Processor seconds are counted, not wall clock, so that other load weighs less.
 */
import { spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { provenance, writeBlock } from "./block.mjs";

const { values } = parseArgs({ options: { gigabytes: { type: "string", default: "1" }, write: { type: "boolean" } } });
const gigabytes = Number(values.gigabytes);
if (!(gigabytes > 0)) throw new Error("--gigabytes: must be a number above 0");
const [load] = loadavg();
/** Lines that must be read in full, since a rule knows them and only their words say that it did no harm. */
const survived = [
  warning,
  (n) => `2026-11-24 10:00:00,100 - train - WARNING - loader: Connection timed out after ${n} ms, retrying (1/5)`,
  (n) =>
    `[rank${n % 8}]:[W1124 10:00:00.1 socket.cpp:663] [c10d] The client socket has failed to connect to [n${n}]:29500 (errno: 111 - Connection refused).`,
  (n) => `RetryError: attempt ${n} failed, will retry`,
];

const folder = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
try {
  const rows = [];
  for (const [name, line] of [
    ["Megatron-LM iterations", iteration],
    ["NCCL and logger lines", chatter],
    ["one candidate line in twenty", (n) => (n % 20 === 0 ? warning(n) : chatter(n))],
    ["one line of a known fault, survived, in twenty", (n) => (n % 20 === 0 ? survived[(n / 20) % 4](n) : chatter(n))],
  ]) {
    const file = join(folder, "train.log");
    // The first log shows that size does not matter; the others only compare texts.
    const bytes = write(file, line, rows.length === 0 ? gigabytes : Math.min(gigabytes, 1));
    const { processorSeconds, wallSeconds, residentBytes, cause } = await measure(file);
    if (cause !== "memory") throw new Error(`${name}: the fault at the end was not found (${cause})`);
    const counting = childSeconds("wc", ["-l", file]);
    const searching = childSeconds("grep", ["-cF", "-e", "CUDA error", "-e", "NCCL WARN", "-e", "Xid", file]);
    const rate = (seconds) => Math.round(bytes / 1e6 / seconds);
    rows.push(
      `| ${[name, `${(bytes / 1e9).toFixed(2)} GB`, `${rate(processorSeconds)} MB/s`, `${rate(wallSeconds)} MB/s`, `${(processorSeconds / counting).toFixed(0)} ×`, `${(processorSeconds / searching).toFixed(1)} ×`, `${Math.round(residentBytes / 2 ** 20)} MiB`].join(" | ")} |`,
    );
  }
  const text = `## Reading logs

\`diagnose\` over one file, whose last line is the fault; start-up is included.

| log | size | per processor second | per second | processor time of \`wc -l\` | of \`grep -F\` for three words | memory (peak) |
|---|---:|---:|---:|---:|---:|---:|
${rows.join("\n")}

${provenance()}; load average before ${load.toFixed(1)}.`;
  process.stdout.write(`${text}\n`);
  if (values.write)
    writeBlock(
      fileURLToPath(new URL("../docs/performance.md", import.meta.url)),
      "npm run bench -- diagnose --write",
      text,
    );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function iteration(n) {
  return ` [2026-11-24 10:00:00.123456] iteration ${String(n).padStart(8)}/ 1000000 | consumed samples: ${String(n * 1024).padStart(12)} | elapsed time per iteration (ms): 1234.5 | throughput per GPU (TFLOP/s/GPU): 412.3 | learning rate: 1.500000E-04 | global batch size:  1024 | lm loss: 2.443476E+00 | loss scale: 1.0 | grad norm: 1.234 | number of skipped iterations:   0 | number of nan iterations:   0 |`;
}

function chatter(n) {
  return n % 3 === 0
    ? `nv1:${n}:4300 [3] NCCL INFO Channel 15/0 : 1[c5000] -> 0[29000] via P2P/IPC/read`
    : `[2026-11-24 10:00:00,311] [INFO] [config.py:733:__init__] batch ${n}: 4096 sequences of 8192 positions from shard ${n % 977}`;
}

function warning(n) {
  return `[rank${n % 8}]: UserWarning: step ${n} took long; error: none (retrying)`;
}

function write(file, line, size) {
  const descriptor = openSync(file, "w");
  let block = "";
  for (let n = 0; block.length < 4e6; n++) block += `${line(n)}\n`;
  for (let written = 0; written < size * 1e9; written += block.length) writeSync(descriptor, block);
  writeSync(descriptor, "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n");
  closeSync(descriptor);
  return statSync(file).size;
}

/** Processor seconds of another program over the same file in the same minute: the machine's load weighs on both. */
function childSeconds(program, args) {
  const { stderr } = spawnSync("bash", ["-c", 'TIMEFORMAT="%U %S"; time "$@" > /dev/null', "-", program, ...args], {
    encoding: "utf8",
  });
  const [user, system] = stderr.trim().split("\n").at(-1).split(" ").map(Number);
  return user + system;
}

async function measure(file) {
  const bin = fileURLToPath(new URL("../bin/dualgauge.js", import.meta.url));
  const script = `process.argv.splice(1, 1); await import(${JSON.stringify(bin)}); process.on("exit", () => { const u = process.resourceUsage(); process.stderr.write("usage " + (u.userCPUTime + u.systemCPUTime) / 1e6 + " " + u.maxRSS * 1024 + "\\n"); });`;
  const began = process.hrtime.bigint();
  const child = spawn(process.execPath, ["--input-type=module", "-e", script, bin, bin, "diagnose", file, "--json"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (data) => (out += data));
  child.stderr.on("data", (data) => (err += data));
  const code = await new Promise((resolve) => child.on("close", resolve));
  const usage = /usage (\S+) (\S+)/.exec(err);
  if (code !== 0 || usage === null) throw new Error(`diagnose ended with ${code}: ${err}`);
  return {
    processorSeconds: Number(usage[1]),
    wallSeconds: Number(process.hrtime.bigint() - began) / 1e9,
    residentBytes: Number(usage[2]),
    cause: JSON.parse(out).rootCause?.category,
  };
}
