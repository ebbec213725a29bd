/**
 * Measures the layout search: seconds against the number of layouts, and evaluations per second. Run it with
 * `npm run bench -- plan [--json] [--write] [--calculon DIR]`; `--write` puts the figures and a plot of layouts against time
 * into the docs, `--calculon` times a checkout of github.com/calculon-ai/calculon in the same run.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { requireAccelerator } from "../dist/catalog/accelerators.js";
import { calibration } from "../dist/catalog/calibration.js";
import { requireModel } from "../dist/catalog/models.js";
import { constantsFrom } from "../dist/cost/constants.js";
import { answerLine, whyLost } from "../dist/planner/explain.js";
import { searchLayouts } from "../dist/planner/search.js";
import { evaluateTraining, prepareQuestion } from "../dist/planner/train.js";
import { provenance, writeBlock } from "./block.mjs";

const peerAt = process.argv.indexOf("--calculon");
/** Calculon's full evaluations a CPU second: run beside ours where it is at hand, else as measured on two workers elsewhere. */
const calculonPerSecond = () => (peerAt < 0 ? 123 : runCalculon(process.argv[peerAt + 1] ?? ""));

function runCalculon(folder) {
  const script = fileURLToPath(new URL("calculon_rate.py", import.meta.url));
  const { status, stdout, stderr } = spawnSync("python3", [script, folder], { encoding: "utf8" });
  if (status !== 0) throw new Error(`--calculon ${folder}: ${stderr}`);
  return JSON.parse(stdout).evaluationsPerSecond;
}

const question = (model, devices, globalBatch) =>
  prepareQuestion({
    architecture: requireModel(model, "bench").architecture(),
    accelerator: requireAccelerator("h800-sxm", "bench"),
    devices,
    tokens: 14.8e12,
    seq: 4096,
    globalBatch,
    precision: "fp8",
    stack: "bridge",
    constants: constantsFrom(calibration.constants),
    deadlineDays: 60,
    failuresPerNodeDay: 4e-3,
    dollarsPerDeviceHour: 2,
    checkpointBytesPerSecondPerNode: 1e9,
    restartSeconds: 600,
    detectSeconds: 120,
    stepDeviation: 0.1,
  });

const cpuSeconds = (since) => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};

const cases = [
  ["llama-3.1-8b", 64, 1024],
  ["llama-3.1-70b", 512, 2048],
  ["llama-3.1-405b", 16384, 16384],
  ["deepseek-v3", 256, 2048],
  ["deepseek-v3", 2048, 15360],
  ["deepseek-v3", 8192, 16384],
  ["deepseek-v3", 32768, 32768],
  ["deepseek-v3", 50000, 50000],
];
const rows = cases.map(([model, devices, globalBatch]) => {
  const prepared = question(model, devices, globalBatch);
  const run = () => {
    const result = searchLayouts(prepared, { fixed: {}, schedules: ["1f1b", "interleaved"], keep: 4 });
    const words = result.best
      ? answerLine(result.best, 60) + result.alternatives.map((other) => whyLost(result.best, other)).join()
      : "";
    return { result, words };
  };
  run();
  let best = Number.POSITIVE_INFINITY;
  let last = run();
  for (let repeat = 0; repeat < 3; repeat++) {
    const started = process.cpuUsage();
    last = run();
    best = Math.min(best, cpuSeconds(started));
  }
  const refused = Object.values(last.result.rejected).reduce((sum, count) => sum + count, 0);
  const fitting = refused + last.result.evaluated;
  return { model, devices, candidates: fitting, evaluated: last.result.evaluated, cpuSeconds: best };
});

const prepared = question("deepseek-v3", 2048, 15360);
const layout = {
  tp: 1,
  pp: 16,
  dp: 128,
  ep: 64,
  cp: 1,
  vpp: 1,
  zero: 1,
  recompute: "full",
  microBatch: 1,
  schedule: "1f1b",
};
for (let i = 0; i < 5000; i++) evaluateTraining(prepared, layout);
const started = process.cpuUsage();
const count = 50_000;
for (let i = 0; i < count; i++) evaluateTraining(prepared, { ...layout, microBatch: 1 + (i & 1) });
const perSecond = count / cpuSeconds(started);

const peerPerSecond = calculonPerSecond();
const ratio = perSecond / peerPerSecond;
const beside =
  peerAt < 0
    ? `the ${peerPerSecond} a second that Calculon\nmade with two workers on another machine; it was not at hand for a run beside this one (\`--calculon DIR\`), so the ratio is rough.`
    : `the ${peerPerSecond.toFixed(0)} a CPU second\nthat Calculon (commit caa4b11) made right after on this machine, compiling and running its own Megatron-1T example.`;
if (process.argv.includes("--json"))
  process.stdout.write(
    `${JSON.stringify({ rows, evaluationsPerSecond: perSecond, calculonPerSecond: peerPerSecond })}\n`,
  );
else {
  const table = rows.map(
    ({ model, devices, candidates, evaluated, cpuSeconds: seconds }) =>
      `| ${model} | ${devices} | ${candidates} | ${evaluated} | ${seconds.toFixed(3)} |`,
  );
  const text = `Layout search with its explanation, one core: ${provenance()}.

| model | devices | layouts | legal | CPU seconds |
|---|--:|--:|--:|--:|
${table.join("\n")}

${Math.round(perSecond).toLocaleString("en-US")} full evaluations (time, memory, failures, money) a CPU second: ${ratio.toFixed(0)} × ${beside}

![legal layouts against seconds](performance-plan.svg)`;
  process.stdout.write(`${text}\n`);
  if (process.argv.includes("--write")) {
    writeFileSync(new URL("../docs/performance-plan.svg", import.meta.url), plot());
    writeBlock(new URL("../docs/performance.md", import.meta.url).pathname, "npm run bench -- plan --write", text);
  }
}

function plot() {
  const [width, height, left, bottom, top, right] = [640, 380, 64, 56, 20, 20];
  const most = Math.ceil(Math.max(...rows.map(({ evaluated }) => evaluated)) / 2000) * 2000;
  const longest = Math.ceil(Math.max(...rows.map(({ cpuSeconds: seconds }) => seconds)) * 50) / 50;
  const x = (value) => left + (value / most) * (width - left - right);
  const y = (value) => height - bottom - (value / longest) * (height - bottom - top);
  const xTicks = Array.from({ length: 5 }, (_, i) => (most * i) / 4);
  const yTicks = Array.from({ length: 5 }, (_, i) => (longest * i) / 4);
  const grid = [
    ...xTicks.map(
      (value) =>
        `<path d="M${x(value).toFixed(1)} ${top}V${height - bottom}" stroke="#eee"/><text x="${x(value).toFixed(1)}" y="${height - bottom + 16}" text-anchor="middle">${value}</text>`,
    ),
    ...yTicks.map(
      (value) =>
        `<path d="M${left} ${y(value).toFixed(1)}H${width - right}" stroke="#eee"/><text x="${left - 8}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${value.toFixed(3)}</text>`,
    ),
  ];
  // A label moves to the nearest free place above or below, so that it stays beside its point.
  const placed = [];
  const dots = rows.map(({ model, devices, evaluated, cpuSeconds: seconds }) => {
    const onLeft = x(evaluated) > width * 0.62;
    const beside = y(seconds) + 4;
    const taken = (at) => placed.some((other) => other.onLeft === onLeft && Math.abs(other.at - at) < 13);
    let away = 0;
    while (taken(beside - away) && taken(beside + away)) away += 1;
    const at = taken(beside - away) ? beside + away : beside - away;
    placed.push({ onLeft, at });
    return `<circle cx="${x(evaluated).toFixed(1)}" cy="${y(seconds).toFixed(1)}" r="4" fill="#4477aa"/><text x="${(x(evaluated) + (onLeft ? -9 : 9)).toFixed(1)}" y="${at.toFixed(1)}" text-anchor="${onLeft ? "end" : "start"}">${model}, ${devices}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11"><title>CPU seconds of a search against the number of legal layouts</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${grid.join("\n")}
<path d="M${left} ${top}V${height - bottom}H${width - right}" fill="none" stroke="#999"/>
${dots.join("\n")}
<text x="${width / 2}" y="${height - 14}" text-anchor="middle">legal layouts evaluated (model, devices beside each point)</text>
<text transform="translate(16 ${height / 2}) rotate(-90)" text-anchor="middle">CPU seconds</text>
</svg>
`;
}
