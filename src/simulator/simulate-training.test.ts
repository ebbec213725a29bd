/** Simulated completions of training layouts agree with the closed form where that holds, and differ where it does not. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { requireAccelerator } from "../catalog/accelerators.ts";
import { requireModel } from "../catalog/models.ts";
import { guessedConstants } from "../cost/constants.ts";
import { evaluateTraining, prepareQuestion, type TrainingQuestion } from "../planner/train.ts";
import type { Layout } from "../spec/layout.ts";
import { withSimulatedCompletion } from "./simulate-training.ts";

const question: TrainingQuestion = {
  architecture: requireModel("llama-3.1-70b", "test").architecture(),
  accelerator: requireAccelerator("h100-sxm", "test"),
  devices: 2048,
  tokens: 3e12,
  seq: 8192,
  globalBatch: 2048,
  precision: "bf16",
  stack: "megatron-core",
  constants: guessedConstants,
  deadlineDays: 60,
  failuresPerNodeDay: 4e-3,
  dollarsPerDeviceHour: 2,
  checkpointBytesPerSecondPerNode: 1e9,
  restartSeconds: 600,
  detectSeconds: 120,
  stepDeviation: 0.1,
};
const layout: Layout = {
  ...{ tp: 8, pp: 4, dp: 64, ep: 1, cp: 1, vpp: 1, zero: 1, microBatch: 1 },
  ...{ recompute: "none", schedule: "1f1b" },
};

const both = (changes: Partial<TrainingQuestion>, replicas: number) => {
  const asked = { ...question, ...changes };
  const closed = evaluateTraining(prepareQuestion(asked), layout);
  return { closed, simulated: withSimulatedCompletion(asked, closed, { replicas, faults: 2e6, seed: 5 }) };
};

test("the closed form's goodput, days, failures and price are those of simulated runs while failures are few", () =>
  fc.assert(
    fc.property(
      fc.double({ min: 5e-4, max: 1.2e-2, noNaN: true }),
      fc.double({ min: 0.03, max: 0.15, noNaN: true }),
      (failuresPerNodeDay, stepDeviation) => {
        const { closed, simulated } = both({ failuresPerNodeDay, stepDeviation }, 1500);
        expect(simulated.completion).toMatchObject({ method: "simulated", replicas: 1500 });
        expect(Math.abs(simulated.goodput / closed.goodput - 1)).toBeLessThan(0.01);
        expect(Math.abs(simulated.deviceHours / closed.deviceHours - 1)).toBeLessThan(0.01);
        expect(Math.abs(simulated.failuresExpected / closed.failuresExpected - 1)).toBeLessThan(0.1);
        // Quantiles of 1,500 draws scatter by about 1.7 σ / √1500.
        for (const at of ["p10", "p50", "p90"] as const)
          expect(Math.abs(simulated.days[at] / closed.days[at] - 1)).toBeLessThan(0.01 + 0.15 * stepDeviation);
      },
    ),
    { seed: 11, numRuns: 6 },
  ));

test("P(deadline) agrees with the closed form, and its interval holds the share itself", () => {
  const { closed } = both({}, 1);
  for (const ratio of [0.9, 1, 1.1]) {
    const { closed: c, simulated } = both({ deadlineDays: closed.days.p50 * ratio }, 2000);
    const [low, high] = simulated.completion.interval ?? [1, 0];
    expect(Math.abs((simulated.probabilityByDeadline ?? 0) - (c.probabilityByDeadline ?? 0))).toBeLessThan(0.05);
    expect(low).toBeLessThanOrEqual(simulated.probabilityByDeadline ?? 0);
    expect(high).toBeGreaterThanOrEqual(simulated.probabilityByDeadline ?? 1);
  }
});

test("where a failure comes before the restart is done, the closed form is too kind and the simulator says so", () => {
  const { closed, simulated } = both({ failuresPerNodeDay: 24 }, 4);
  expect(closed.days.p90).toBeLessThan(1e9);
  expect(simulated.days.p50).toBe(Number.POSITIVE_INFINITY);
  expect(simulated.deviceHours).toBe(Number.POSITIVE_INFINITY);
  expect(simulated.probabilityByDeadline).toBe(0);
});

test("a longer deadline is never less likely to be met, and equal questions give equal answers", () => {
  let before = 0;
  for (const deadlineDays of [10, 20, 25, 30, 40, 80]) {
    const { simulated } = both({ deadlineDays }, 300);
    expect(simulated.probabilityByDeadline ?? -1).toBeGreaterThanOrEqual(before);
    expect(both({ deadlineDays }, 300).simulated).toEqual(simulated);
    before = simulated.probabilityByDeadline ?? 0;
  }
});

test("spares are a stock: without any, or with few and slow repair, the run stands and goodput falls", () => {
  const slow = { failuresPerNodeDay: 4e-3, repairSeconds: 5 * 86_400 };
  const endless = both(slow, 60).simulated;
  const goodput = (spareNodes: number): number => both({ ...slow, spareNodes }, 60).simulated.goodput;
  // 256 nodes lose about one a day, so about five are in repair.
  expect(goodput(0)).toBeLessThan(0.6 * endless.goodput);
  expect(goodput(2)).toBeGreaterThan(goodput(0));
  expect(goodput(5)).toBeGreaterThan(goodput(2));
  expect(goodput(5)).toBeLessThan(endless.goodput);
  expect(goodput(100)).toBeCloseTo(endless.goodput, 6);
  // Quick repair makes up for a small stock.
  expect(both({ ...slow, repairSeconds: 3600, spareNodes: 2 }, 60).simulated.goodput).toBeGreaterThan(goodput(2));
});

test("failures of nodes that idle while the run waits for a repair are counted apart from those that interrupt it", () => {
  const slow = { failuresPerNodeDay: 4e-3, repairSeconds: 86_400 };
  const plenty = both({ ...slow, spareNodes: 100 }, 60).simulated;
  const none = both({ ...slow, spareNodes: 0 }, 60).simulated;
  expect(plenty.completion.failuresWhileWaiting).toBe(0);
  expect(none.completion.failuresWhileWaiting).toBeGreaterThan(0.3 * plenty.failuresExpected);
  // Only the time under work and restart counts, of which there is about the same.
  expect(none.failuresExpected / plenty.failuresExpected).toBeGreaterThan(0.7);
  expect(none.failuresExpected / plenty.failuresExpected).toBeLessThan(1.1);
});
