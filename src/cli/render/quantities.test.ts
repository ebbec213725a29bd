/** Quantities as people read them, at the edges between units. */
import { expect, test } from "vitest";
import { bytes, count, decimal, seconds } from "./quantities.ts";

test.each([
  [0, "0 s"],
  [0.0431, "0.043 s"],
  [0.0996, "0.1 s"],
  [9.94, "9.9 s"],
  [9.96, "10 s"],
  [99.4, "99 s"],
  [99.6, "1 min 40 s"],
  [125, "2 min 05 s"],
  [12_000, "3 h 20 min"],
])("%f seconds", (value, text) => expect(seconds(value)).toBe(text));

test.each([
  [0, "0"],
  [950, "950"],
  [999.6, "1.00 k"],
  [1234, "1.23 k"],
  [45_600, "45.6 k"],
  [1.19e6, "1.19 M"],
  [6.71e11, "671 G"],
])("%f as a decimal", (value, text) => expect(decimal(value)).toBe(text));

test("bytes and counts carry their unit", () => {
  expect([bytes(12), bytes(6e7), count(0, "step"), count(1, "step"), count(2, "entry", "entries")]).toEqual([
    "12 B",
    "60.0 MB",
    "0 steps",
    "1 step",
    "2 entries",
  ]);
});
