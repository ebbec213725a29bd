/** Checks the learning rate at its corners and the clipping by hand-worked cases. */
import { expect, test } from "vitest";
import { gradientScale, learningRate } from "./schedule.ts";

const train = { steps: 110, warmupSteps: 10, learningRate: 1e-3, minLearningRate: 1e-4 };

test.each([
  [1, 1e-4],
  [10, 1e-3],
  [60, 5.5e-4],
  [110, 1e-4],
])("learning rate of step %i is %d", (step, expected) => {
  expect(learningRate(train, step)).toBeCloseTo(expected, 12);
});

test("the rate never rises after the warm-up and stays within its bounds", () => {
  for (let step = 11; step <= 130; step++) {
    expect(learningRate(train, step)).toBeLessThanOrEqual(learningRate(train, step - 1));
    expect(learningRate(train, step)).toBeGreaterThanOrEqual(1e-4);
  }
});

test("a run that is all warm-up, and one without", () => {
  expect(learningRate({ ...train, steps: 10 }, 10)).toBe(1e-3);
  expect(learningRate({ ...train, warmupSteps: 0 }, 1)).toBeLessThan(1e-3);
});

test("clipping scales the mean gradient's norm down to the limit, and never up", () => {
  expect(gradientScale(8, 4, 1)).toEqual({ norm: 2, scale: 1 / 8 });
  expect(gradientScale(2, 4, 1)).toEqual({ norm: 0.5, scale: 1 / 4 });
  expect(gradientScale(8, 4, 0)).toEqual({ norm: 2, scale: 1 / 4 });
});
