/**
 * Measures the layout search: seconds against the number of layouts, and evaluations per second. Run it with
 * `npm run bench -- plan [--json] [--write]`; `--write` puts the figures and a plot of layouts against time into the docs.
 */
import { writeFileSync } from "node:fs";

import { requireAccelerator } from "../dist/catalog/accelerators.js";
import { calibration } from "../dist/catalog/calibration.js";
import { requireModel } from "../dist/catalog/models.js";
import { constantsFrom } from "../dist/cost/constants.js";
import { answerLine, whyLost } from "../dist/planner/explain.js";
import { searchLayouts } from "../dist/planner/search.js";
import { evaluateTraining, prepareQuestion } from "../dist/planner/train.js";
import { provenance, writeBlock } from "./block.mjs";

/** Calculon's full evaluation, measured on two workers of another machine: a figure to compare with, not a run beside it. */
const calculonPerSecond = 123;

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

const ratio = perSecond / calculonPerSecond;
if (process.argv.includes("--json"))
  process.stdout.write(`${JSON.stringify({ rows, evaluationsPerSecond: perSecond, calculonPerSecond })}\n`);
else {
  const table = rows.map(
    ({ model, devices, candidates, evaluated, cpuSeconds: seconds }) =>
      `| ${model} | ${devices} | ${candidates} | ${evaluated} | ${seconds.toFixed(3)} |`,
  );
  const text = `Layout search with its explanation, one core: ${provenance()}.

| model | devices | layouts | legal | CPU seconds |
|---|--:|--:|--:|--:|
${table.join("\n")}

${Math.round(perSecond).toLocaleString("en-US")} full evaluations (time, memory, failures, money) a CPU second: ${ratio.toFixed(0)} × the ${calculonPerSecond} a second that
Calculon made with two workers on another machine. It was not at hand for a run beside this one, so the ratio is rough.

![legal layouts against seconds](performance-plan.svg)`;
  process.stdout.write(`${text}\n`);
  if (process.argv.includes("--write")) {
    writeFileSync(new URL("../docs/performance-plan.svg", import.meta.url), plot());
    writeBlock(new URL("../docs/performance.md", import.meta.url).pathname, "npm run bench -- plan --write", text);
  }
}

function plot() {
  const [width, height, pad] = [560, 360, 60];
  const most = Math.max(...rows.map(({ evaluated }) => evaluated));
  const longest = Math.max(...rows.map(({ cpuSeconds: seconds }) => seconds));
  const x = (value) => (pad + (value / most) * (width - 2 * pad)).toFixed(1);
  const y = (value) => (height - pad - (value / longest) * (height - 2 * pad)).toFixed(1);
  const dots = rows.map(
    ({ model, devices, evaluated, cpuSeconds: seconds }) =>
      `<circle cx="${x(evaluated)}" cy="${y(seconds)}" r="4" fill="#4477aa"/><text x="${Number(x(evaluated)) - 6}" y="${Number(y(seconds)) - 8}" text-anchor="end">${model}, ${devices}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="sans-serif" font-size="11"><title>CPU seconds of a search against the number of legal layouts</title>
<rect width="${width}" height="${height}" fill="#fff"/><path d="M${pad} ${pad}V${height - pad}H${width - pad}" fill="none" stroke="#999"/>
${dots.join("\n")}
<text x="${width / 2}" y="${height - 20}" text-anchor="middle">legal layouts (0 to ${most})</text>
<text transform="translate(20 ${height / 2}) rotate(-90)" text-anchor="middle">CPU seconds (0 to ${longest.toFixed(2)})</text>
</svg>
`;
}
