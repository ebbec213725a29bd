/** Tests that the simulator reproduces the published figures that it can, and that the others are known by name. */
import { expect, test } from "vitest";
import { publishedRows } from "./published.ts";

test("published figures agree, but for three that faults alone do not explain", () => {
  const rows = publishedRows(30, 1);
  const misses = rows.filter(({ agrees }) => !agrees).map(({ system, quantity }) => `${system}: ${quantity}`);
  expect(misses).toEqual([
    "OPT-175B, 56 calendar days: interruptions in 56 days",
    "RSC-1 research cluster, 11 months: MTTF at 1,024 devices, hours",
    "OPT-175B, 56 calendar days: effective training time",
  ]);
  expect(rows.length).toBeGreaterThanOrEqual(16);
});

test("a range is a range: its ends are the worst and the best of the inputs that a source leaves out", () => {
  for (const { predicted } of publishedRows(10, 2)) expect(predicted[0]).toBeLessThanOrEqual(predicted[1]);
});
