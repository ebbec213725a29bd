/** Tests the distributions against exact values and against each other. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { betaProbability, betaQuantile, gammaProbability, gammaQuantile, logGamma } from "./evidence-distributions.ts";

test("known values", () => {
  expect(logGamma(5)).toBeCloseTo(Math.log(24), 11);
  expect(logGamma(0.5)).toBeCloseTo(Math.log(Math.PI) / 2, 11);
  expect(gammaProbability(1, 2)).toBeCloseTo(1 - Math.exp(-2), 11);
  // Shape 4 at x: P(at least 4 events of a Poisson process of mean x).
  const x = 6.5;
  expect(gammaProbability(4, x)).toBeCloseTo(1 - Math.exp(-x) * (1 + x + x ** 2 / 2 + x ** 3 / 6), 11);
  expect(betaProbability(2, 3, 0.4)).toBeCloseTo(0.5248, 10);
  expect(betaProbability(0.5, 0.5, 0.1)).toBeCloseTo((2 / Math.PI) * Math.asin(Math.sqrt(0.1)), 10);
});

test("a quantile inverts the probability", () => {
  const positive = fc.double({ min: 0.5, max: 300, noNaN: true });
  const share = fc.double({ min: 0.001, max: 0.999, noNaN: true });
  fc.assert(
    fc.property(positive, positive, share, (a, b, p) => {
      expect(gammaProbability(a, gammaQuantile(a, p))).toBeCloseTo(p, 8);
      expect(betaProbability(a, b, betaQuantile(a, b, p))).toBeCloseTo(p, 6);
    }),
    { seed: 51, numRuns: 60 },
  );
  expect(() => gammaQuantile(1, 1)).toThrow(RangeError);
  expect(() => betaQuantile(1, 1, 0)).toThrow(RangeError);
});
