/**
 * Measures the failure simulator: one year of 50,000 devices, 1,000 replicas, on one core. Run it with
 * `npm run bench -- simulator [--json] [--write]`; `--write` puts the figures into docs/performance.md.
 */
import { completionDistribution } from "../dist/simulator/completion.js";
import { random } from "../dist/spec/random.js";
import { provenance, writeBlock } from "./block.mjs";

const day = 86400;
const everything = {
  spares: 300,
  repairSeconds: 2 * day,
  repairCrews: 200,
  infantMortality: { excess: 1, decaySeconds: 30 * day },
  lemons: { share: 0.012, rateFactor: 10, evictAfterFailures: 3 },
  stragglers: { perNodeDay: 1e-5, slowdown: 0.05, detectSeconds: 3600 },
};
const cases = [
  { name: "faults only, RSC-2 rate", rate: 2.34e-3, extra: {} },
  { name: "faults only, Llama 3 rate", rate: 3.79e-3, extra: {} },
  { name: "faults only, RSC-1 rate", rate: 6.5e-3, extra: {} },
  { name: "all mechanisms, Llama 3 rate", rate: 3.79e-3, extra: everything },
  { name: "all mechanisms, RSC-1 rate", rate: 6.5e-3, extra: everything },
];

// The speed of the machine, so that figures of two machines can be compared: 32-bit draws per second.
const source = random(1, "bench");
let started = process.cpuUsage();
let sink = 0;
for (let i = 0; i < 2e7; i++) sink += source.uint32();
const drawNanoseconds = (seconds(started) / 2e7) * 1e9;

const rows = cases.map(({ name, rate, extra }) => {
  const question = {
    productiveSeconds: 1000 * day,
    horizonSeconds: 365 * day,
    pools: [{ nodes: 6250, failuresPerNodeDay: rate, ...extra }],
  };
  completionDistribution(question, 50, 0);
  const times = [];
  let result;
  for (let repeat = 1; repeat <= 3; repeat++) {
    started = process.cpuUsage();
    result = completionDistribution(question, 1000, repeat);
    times.push(seconds(started));
  }
  const best = Math.min(...times);
  return {
    name,
    cpuSeconds: best,
    nanosecondsPerFault: (best / result.failuresExpected / 1000) * 1e9,
    faults: result.failuresExpected,
    goodput: result.goodput,
  };
});

function seconds(since) {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
}

const table = [
  "case                              CPU seconds  ns/fault  faults/replica  goodput",
  ...rows.map((row) => {
    const cells = [row.cpuSeconds.toFixed(2).padStart(11), row.nanosecondsPerFault.toFixed(0).padStart(8)];
    cells.push(row.faults.toFixed(0).padStart(14), row.goodput.toFixed(3).padStart(7));
    return `${row.name.padEnd(34)}${cells.join("  ")}`;
  }),
  `one 32-bit draw takes ${drawNanoseconds.toFixed(1)} ns here`,
].join("\n");

if (process.argv.includes("--write")) {
  const title = "## Failure simulator\n\n1,000 replicas of one year on 50,000 devices, on one core, best of three.";
  const text = `${title}\n\n\`\`\`\n${table}\n\`\`\`\n\n${provenance()}`;
  writeBlock(new URL("../docs/performance.md", import.meta.url), "npm run bench -- simulator --write", text);
}
if (process.argv.includes("--json"))
  process.stdout.write(`${JSON.stringify({ bench: "simulator", drawNanoseconds, rows, sink: sink > 0 })}\n`);
else process.stdout.write(`1,000 replicas of one year on 50,000 devices, one core (best of 3)\n${table}\n`);
