/**
 * Fits the training cost model's constants to the published runs of the catalog and writes them as data.
 * Knows: leave-one-configuration-out. Does not know: formulas. Run after `npm run setup`: node scripts/fit-calibration.mjs
 */
import { writeFileSync } from "node:fs";
import { configurationHash } from "../dist/catalog/configuration-hash.js";
import { trainingRecords } from "../dist/catalog/training-runs.js";
import { constantNames } from "../dist/cost/constants.js";
import { constantsAt, fitConstants, jacobian, refitWithout, residuals } from "../dist/planner/fit.js";
import { predictCase, prepareCase } from "../dist/planner/training-case.js";
import { configurationKey, TrainingCase } from "../dist/planner/training-rows.js";
import { traitsOf } from "../dist/planner/validate-training.js";

const cases = trainingRecords()
  .map((record) => prepareCase(TrainingCase.parse(record)))
  .filter((prepared) => !("reason" in prepared));
const groups = new Map();
cases.forEach((prepared, i) => {
  const key = configurationKey(prepared.run);
  groups.set(key, [...(groups.get(key) ?? []), i]);
});
// Repeated measurements of one configuration count as one and a bit, not as many.
const weights = new Float64Array(cases.length);
for (const members of groups.values()) for (const i of members) weights[i] = 1 / Math.sqrt(members.length);

const full = fitConstants(cases, weights);
const errors = residuals(cases, full.constants);
const columns = jacobian(cases, full.logs, errors);
/** Where leaving a configuration out moves a constant by more than this (log scale), one step is no refit: descend from it. */
const farthestStep = 0.15;
const oneStep = new Float64Array(cases.length);
let refitted = 0;
const deltas = [];
const leftOut = new Float64Array(cases.length);
for (const [key, members] of groups) {
  const kept = Float64Array.from(weights);
  for (const i of members) kept[i] = 0;
  const first = refitWithout(full, columns, errors, kept);
  const far = first.some((value, j) => Math.abs(value - full.logs[j]) > farthestStep);
  const logs = far ? fitConstants(cases, kept, full.logs).logs : first;
  if (far) refitted++;
  for (const i of members) oneStep[i] = missOf(i, constantsAt(first));
  const steps = Array.from(logs, (value, j) => Math.round((value - full.logs[j]) * 1e4));
  deltas.push(`${configurationHash(key)}:${steps.map((step) => (step === 0 ? "" : step)).join(",")}`);
  const constants = constantsAt(Float64Array.from(full.logs, (value, j) => value + steps[j] * 1e-4));
  for (const i of members) leftOut[i] = missOf(i, constants);
}

const today = process.env.FIT_DATE ?? new Date().toISOString().slice(0, 10);
const header = (purpose) =>
  `/**\n * ${purpose}\n * Knows: numbers. Does not know: meanings. Written by scripts/fit-calibration.mjs; do not edit.\n */\n`;
const packed = [];
for (let i = 0; i < deltas.length; i += 3) packed.push(`  "${deltas.slice(i, i + 3).join(";")}",`);
writeFileSync(
  new URL("../src/catalog/data/calibration.ts", import.meta.url),
  `${header("Fitted constants of the training cost model.")}` +
    `export const fittedOn = "${today}";\nexport const fittedRows = ${cases.length};\n` +
    `export const fittedConstants: Readonly<Record<string, number>> = {\n${constantNames.map((name) => `  "${name}": ${Number(full.constants[name].toPrecision(6))},`).join("\n")}\n};\n`,
);
writeFileSync(
  new URL("../src/catalog/data/calibration-left-out.ts", import.meta.url),
  `${header("Shifts of the training cost model's fitted constants without each published configuration.")}` +
    `export const leftOutNames: readonly string[] = ${JSON.stringify(constantNames)};\n` +
    `export const leftOutDeltas: readonly string[] = [\n${packed.join("\n")}\n];\n`,
);
const rows = cases.map((prepared, i) => {
  const t = traitsOf(prepared);
  const fields = [
    prepared.run.id,
    configurationHash(configurationKey(prepared.run)),
    t.accelerator,
    t.stack,
    t.precision,
    t.mixture ? 1 : 0,
  ];
  return [...fields, Math.round(t.activeParameters / 1e6) * 1e6, t.devices, t.seq, leftOut[i].toFixed(4)].join("|");
});
const lines = [];
for (let i = 0; i < rows.length; i += 2)
  lines.push(
    `  ${rows
      .slice(i, i + 2)
      .map((row) => JSON.stringify(row))
      .join(", ")},`,
  );
writeFileSync(
  new URL("../src/catalog/data/training-accuracy.ts", import.meta.url),
  `${header("Error of the training cost model on each published run, fitted without its configuration.")}export const accuracyRows: readonly string[] = [\n${lines.join("\n")}\n];\n`,
);
const share = (values, p) => `${([...values].sort((a, b) => a - b)[Math.floor(p * values.length)] * 100).toFixed(1)} %`;
const line = (values) => `median ${share(values, 0.5)}, p90 ${share(values, 0.9)}`;
process.stdout.write(
  `${cases.length} runs, ${groups.size} configurations, ${constantNames.length} constants; left out: ${line(leftOut)}\n` +
    `${refitted} configurations refitted in full; by one step alone: ${line(oneStep)}; in the fit: ${line(cases.map((_, i) => missOf(i, full.constants)))}\n`,
);

function missOf(i, constants) {
  return Math.abs(predictCase(cases[i], constants).predicted / cases[i].run.measured - 1);
}
