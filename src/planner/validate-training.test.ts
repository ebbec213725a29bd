/** Published runs are judged with constants that have not seen them, and the committed figures are what the code gives. */
import { expect, test } from "vitest";
import { calibration } from "../catalog/calibration.ts";
import { constantsWithout } from "../catalog/calibration-left-out.ts";
import { trainingRecords } from "../catalog/training-runs.ts";
import { constantNames, constantPriors, constantsFrom } from "../cost/constants.ts";
import { jacobian, residuals } from "./fit.ts";
import { memoryComparisons } from "./published-memory.ts";
import { predictCase, prepareCase } from "./training-case.ts";
import { configurationKey, TrainingCase } from "./training-rows.ts";
import { summarize } from "./validate.ts";
import { validateCase } from "./validate-training.ts";

const cases = trainingRecords().map((record) => TrainingCase.parse(record));
const rows = cases.map(validateCase);
const summary = summarize(rows);

test("the published runs are predicted as well as docs/validation.md says", () => {
  expect(summary.unpredicted / summary.count).toBeLessThanOrEqual(0.03);
  expect(summary.median ?? 1).toBeLessThan(0.045);
  expect(summary.p90 ?? 1).toBeLessThan(0.17);
  expect(Math.abs(summary.bias ?? 1)).toBeLessThan(0.03);
});

test("a published configuration is recognised by itself, not by its id, and has constants of its own", () => {
  const known = cases.filter((run) => constantsWithout(configurationKey(run)) !== null);
  expect(known.length).toBeGreaterThan(780);
  let moved = 0;
  for (const run of known.slice(0, 60)) {
    const renamed = validateCase({ ...run, id: "another name" });
    expect(renamed.predicted).toBe(rows[cases.indexOf(run)]?.predicted);
    const prepared = prepareCase(run);
    if ("reason" in prepared) continue;
    if (predictCase(prepared, constantsFrom(calibration.constants)).predicted !== renamed.predicted) moved++;
  }
  expect(moved).toBeGreaterThan(40);
});

test("the measurement moves no prediction", () => {
  for (const run of cases.slice(0, 40))
    expect(validateCase({ ...run, measured: run.measured * 7 }).predicted).toBe(rows[cases.indexOf(run)]?.predicted);
});

test("the committed constants are a minimum: no constant improves the fit by moving", () => {
  expect(Object.keys(calibration.constants).sort()).toEqual([...constantNames].sort());
  const prepared = cases.flatMap((run) => {
    const one = prepareCase(run);
    return "reason" in one ? [] : [one];
  });
  const spread = (values: Float64Array): number =>
    values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;
  const fitted = constantsFrom(calibration.constants);
  const guessed = constantsFrom({});
  const at = residuals(prepared, fitted);
  expect(spread(at)).toBeLessThan(0.75 * spread(residuals(prepared, guessed)));
  const logs = Float64Array.from(constantNames, (name) => Math.log(fitted[name]));
  // Moving any one constant by 10 % must not lower the mean error by more than a fiftieth.
  const columns = jacobian(prepared, logs, at);
  columns.forEach((column, j) => {
    const name = constantNames[j];
    if (name === undefined) return;
    for (const move of [-0.1, 0.1])
      expect(spread(at.map((value, i) => value + move * (column[i] ?? 0))), name).toBeGreaterThan(0.98 * spread(at));
  });
  for (const name of constantNames) expect(constantPriors[name].meaning.length).toBeGreaterThan(10);
});

test("memory is within a fifth of what runs reported, for nine in ten", () => {
  const errors = memoryComparisons()
    .map(({ predictedBytes, publishedBytes }) => Math.abs(predictedBytes / publishedBytes - 1))
    .sort((a, b) => a - b);
  expect(errors.length).toBeGreaterThanOrEqual(35);
  expect(errors[Math.floor(errors.length / 2)]).toBeLessThan(0.12);
  expect(errors[Math.floor(errors.length * 0.85)]).toBeLessThan(0.22);
});
