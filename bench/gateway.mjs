/**
 * Measures the gateway beside Portkey's: requests a second and added latency, whole and streamed, and memory over many requests.
 * Knows: processes on this machine, taking turns: the same Node, backend, load and request for both. Does not know: their insides.
 * Portkey's gateway is installed into a cache folder outside the repository. A load ends after so many requests or seconds, so that
 * all of it takes less than eight minutes; --quick takes one, and GATEWAY_BENCH_REQUESTS, _CONNECTIONS, _SECONDS, _ROUNDS, _MEMORY choose.
 */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { homedir, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { provenance, writeBlock } from "./block.mjs";

const version = "1.15.2";
const write = process.argv.includes("--write");
const quick = process.argv.includes("--quick");
const given = (name, usual, small) => process.env[`GATEWAY_BENCH_${name}`] ?? (quick ? small : usual);
const requestsMax = Number(given("REQUESTS", 20_000, 2000));
const connectionCounts = given("CONNECTIONS", "1,10,100,1000", "10,100").split(",").map(Number);
const memoryRequests = Number(given("MEMORY", 200_000, 8000));
const rounds = Number(given("ROUNDS", 3, 1));
/** Of one load; a thousand connections take longer until each had its turn. */
const secondsMax = Number(given("SECONDS", 3.5, 2));
const secondsOf = (connections) => secondsMax * (connections >= 1000 ? 1.5 : 1);
const memorySecondsMax = 25;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const body = (stream) =>
  JSON.stringify({
    ...{ model: "bench", stream, temperature: 0.7, max_tokens: 256 },
    messages: [
      { role: "system", content: "You are a helpful assistant. ".repeat(10) },
      { role: "user", content: "What does a dual-gauge railway carry? ".repeat(5) },
    ],
  });

const folder = mkdtempSync(join(tmpdir(), "dualgauge-bench-gateway-"));
const children = [];
try {
  const before = loadavg()[0];
  const portkey = installed();
  const mock = await started("backend", [here("gateway-mock.mjs")]);
  const mockPort = Number(mock.line);
  const own = await startOwn(mockPort);
  const other = await startPortkey(portkey);
  const subjects = {
    direct: { port: mockPort },
    dualgauge: { port: own.port, pid: own.pid },
    portkey: {
      ...{ port: other.port, pid: other.pid },
      headers: {
        authorization: "Bearer none",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": `http://127.0.0.1:${mockPort}/v1`,
      },
    },
  };
  const rows = [];
  for (const stream of [false, true])
    for (const connections of connectionCounts) rows.push(await compared(subjects, { stream, connections }));
  const memory = await memoryOf(subjects.dualgauge);
  const text = report(rows, memory, before);
  process.stdout.write(`${text}\n`);
  if (write) writeBlock(here("../docs/performance.md"), "npm run bench -- gateway --write", text);
} finally {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
}

/** The rounds take turns, so that what else the machine does falls on all alike; the median of each figure counts. */
async function compared(subjects, { stream, connections }) {
  const requests = Math.min(
    requestsMax,
    stream ? requestsMax / 4 : requestsMax,
    connections === 1 ? 4000 : Number.POSITIVE_INFINITY,
  );
  const runs = { direct: [], dualgauge: [], portkey: [] };
  for (let round = 0; round < rounds; round++) {
    for (const [name, subject] of Object.entries(subjects)) {
      const cpuBefore = subject.pid ? cpuSeconds(subject.pid) : 0;
      const run = await load({
        ...subject,
        body: body(stream),
        connections,
        requests,
        secondsMax: secondsOf(connections),
      });
      if (run.failed > 0) process.stderr.write(`bench: ${name}: ${run.failed} requests failed\n`);
      const cpu = subject.pid ? ((cpuSeconds(subject.pid) - cpuBefore) / run.sent) * 1e6 : 0;
      runs[name].push({ ...run, cpu });
    }
  }
  const figure = (name, key) => median(runs[name].map((run) => run[key]));
  const of = (name) => ({
    perSecond: figure(name, "perSecond"),
    p50: figure(name, "p50"),
    p99: figure(name, "p99"),
    cpu: figure(name, "cpu"),
    failed: runs[name].reduce((sum, run) => sum + run.failed, 0),
  });
  const row = { stream, connections, direct: of("direct"), dualgauge: of("dualgauge"), portkey: of("portkey") };
  process.stderr.write(`${JSON.stringify(row)}\n`);
  return row;
}

async function memoryOf(subject) {
  const readings = [];
  const parts = 8;
  let requests = 0;
  for (let part = 0; part < parts; part++) {
    const { sent } = await load({
      ...subject,
      body: body(part % 2 === 1),
      connections: 50,
      requests: Math.ceil(memoryRequests / parts),
      secondsMax: memorySecondsMax,
    });
    requests += sent;
    readings.push(residentBytes(subject.pid));
  }
  return { requests, first: readings[0], last: readings.at(-1), most: Math.max(...readings) };
}

function report(rows, memory, before) {
  const ratio = (one, other) => (other > 0 ? one / other : Number.NaN);
  const table = rows.map(({ stream, connections, direct, dualgauge, portkey }) => {
    const added = (subject, key) => subject[key] - direct[key];
    const cells = [
      ...[stream ? "stream" : "whole", connections, dualgauge.perSecond.toFixed(0), portkey.perSecond.toFixed(0)],
      `${ratio(dualgauge.perSecond, portkey.perSecond).toFixed(1)} ×`,
      ...["p50", "p99"].flatMap((key) => [
        `${added(dualgauge, key).toFixed(2)} / ${added(portkey, key).toFixed(2)}`,
        `${ratio(added(dualgauge, key), added(portkey, key)).toFixed(2)} ×`,
      ]),
      `${dualgauge.cpu.toFixed(0)} / ${portkey.cpu.toFixed(0)}`,
    ];
    return `| ${cells.join(" | ")} |`;
  });
  const mib = (bytes) => Math.round(bytes / 2 ** 20);
  const failures = rows.reduce((sum, row) => sum + row.dualgauge.failed, 0);
  const others = rows.reduce((sum, row) => sum + row.portkey.failed, 0);
  return `## Gateway

\`serve\` over one backend beside \`@portkey-ai/gateway\` ${version}: same Node, same mock backend (one process that answers at once: an
emulation), same load generator, taking turns, median of ${rounds} rounds. Latency is added to that of the backend asked directly, in
milliseconds, dualgauge / Portkey; processor time is per request, in microseconds. A streamed answer has 22 events.

| answers | connections | dualgauge req/s | Portkey req/s | ratio | added p50 | ratio | added p99 | ratio | processor µs |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
${table.join("\n")}

Failed requests: dualgauge ${failures}, Portkey ${others}. Memory of dualgauge over ${memory.requests.toLocaleString("en")} requests, half of them streamed: ${mib(memory.first)} MiB after the
first eighth, ${mib(memory.last)} MiB at the end, ${mib(memory.most)} MiB at most. Not compared: Portkey's plugins, other providers' formats and its cache were off;
dualgauge checked health, read every event's text and counted for /metrics, had no keys and no access log; events that came faster than it
could write one by one it wrote together.

${provenance()}; load average before ${before.toFixed(1)}.`;
}

function installed() {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "dualgauge", `portkey-${version}`);
  const start = join(cache, "node_modules/@portkey-ai/gateway/build/start-server.js");
  if (!existsSync(start)) {
    mkdirSync(cache, { recursive: true });
    // Its streams fail (immutable headers) on the newest @hono/node-server that its ranges allow; on the oldest they work.
    const overrides = { hono: "4.9.7", "@hono/node-server": "1.3.3" };
    const dependencies = { "@portkey-ai/gateway": version };
    writeFileSync(join(cache, "package.json"), JSON.stringify({ private: true, dependencies, overrides }));
    const install = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    execFileSync("npm", install, { cwd: cache, stdio: ["ignore", 2, 2] });
  }
  return start;
}

async function startOwn(mockPort) {
  const file = join(folder, "FLEET.yaml");
  const backend = {
    name: "mock",
    url: `http://127.0.0.1:${mockPort}`,
    platform: "cpu",
    engine: "vllm",
    models: { bench: "bench" },
    capacity: 4096,
  };
  writeFileSync(file, JSON.stringify({ listen: { port: 0 }, backends: [backend] }));
  const { line, pid } = await started("dualgauge", [here("../bin/dualgauge.js"), "serve", file, "--json"], /\}\s*$/);
  return { port: Number(new URL(JSON.parse(line).url).port), pid };
}

async function startPortkey(start) {
  const port = await freePort();
  const { pid } = await started("portkey", [start, `--port=${port}`, "--headless"], /Ready for connections|running/i);
  return { port, pid };
}

/** Resolves with what it printed once that looks like the start is over. */
function started(name, args, ready = /\n/) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd: folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_ENV: "production", TRUSTED_CUSTOM_HOSTS: "127.0.0.1,localhost" },
    });
    children.push(child);
    let text = "";
    const take = (part) => {
      text += part;
      if (ready.test(text)) resolve({ line: text, pid: child.pid });
    };
    child.stdout.on("data", take);
    child.stderr.on("data", name === "portkey" ? take : (part) => process.stderr.write(part));
    child.on("exit", (code) => reject(new Error(`${name} ended with ${code}: ${text}`)));
  });
}

function load(options) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [here("gateway-load.mjs"), JSON.stringify(options)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (part) => (text += part));
    child.on("close", (code) =>
      code === 0 ? resolve(JSON.parse(text)) : reject(new Error(`load ended with ${code}`)),
    );
  });
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** User and system time from /proc, in ticks of 10 ms. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function residentBytes(pid) {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) * 1024;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
