import { describe, expect, test } from "vitest";
import { inferenceErrors } from "../catalog/data/inference-errors.ts";
import { likenessOfErrors, quantile, servingAccuracy, unlikeness } from "./serve-accuracy.ts";

const own = inferenceErrors.map((row) => ({
  error: row[13],
  rows: row[11],
  ...servingAccuracy(likenessOfErrors(row), row[0]),
}));
const median = (basis: string): number =>
  quantile(
    own.flatMap((c) => (c.basis === basis ? [c.error] : [])),
    0.5,
  ) ?? Number.NaN;

describe("the badge, on errors of configurations that were left out of the fit", () => {
  test("an extrapolation is worse than an interpolation", () => {
    const extrapolated = own.filter(({ basis }) => basis === "extrapolated");
    expect(extrapolated.length).toBeGreaterThan(20);
    expect(own.length - extrapolated.length).toBeGreaterThan(20);
    expect(median("extrapolated")).toBeGreaterThan(1.2 * median("interpolated"));
  });
  test("a badge that promises much is right more often than one that promises little", () => {
    const promises = own.flatMap(({ medianError }) => (medianError === null ? [] : [medianError]));
    const middle = quantile(promises, 0.5) ?? 0;
    const errors = (kept: (promised: number) => boolean): number =>
      quantile(
        own.flatMap(({ error, medianError }) => (medianError !== null && kept(medianError) ? [error] : [])),
        0.5,
      ) ?? Number.NaN;
    expect(errors((promised) => promised > middle)).toBeGreaterThan(1.5 * errors((promised) => promised <= middle));
  });
  test("a configuration does not vouch for itself", () => {
    for (const row of inferenceErrors.slice(0, 20))
      expect(servingAccuracy(likenessOfErrors(row), row[0]).nearest).not.toContain(row[0]);
  });
  test("unlikeness is symmetric and zero only for equals", () => {
    const [a, b] = [inferenceErrors[0], inferenceErrors.at(-1)];
    if (!a || !b) throw new Error("no errors are committed");
    const [x, y] = [likenessOfErrors(a), likenessOfErrors(b)];
    expect(unlikeness(x, y)).toBeCloseTo(unlikeness(y, x), 12);
    expect(unlikeness(x, x)).toBe(0);
    expect(unlikeness(x, y)).toBeGreaterThan(0);
  });
});
