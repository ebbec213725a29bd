/** Shows that every window is read once per pass, in an order that seed and pass alone decide. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { batchOrder, permutation } from "./batch-order.ts";

test("a permutation visits every place once", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 700 }), fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), (size, keys) => {
      const order = permutation(size, keys);
      const seen = new Set(Array.from({ length: size }, (_, i) => order(i)));
      expect(seen.size).toBe(size);
      expect(Math.max(...seen)).toBe(size - 1);
    }),
    { seed: 3 },
  );
});

test("each pass reads disjoint windows inside the corpus, shuffled, and another pass reads others", () => {
  const shape = { tokens: 1003, seqLength: 10, seed: 5 };
  const order = batchOrder(shape);
  const pass = (number: number): number[] => Array.from({ length: 99 }, (_, i) => order.position(number * 99 + i));
  for (const number of [0, 1, 2]) {
    const sorted = pass(number).toSorted((a, b) => a - b);
    expect(sorted[0]).toBeGreaterThanOrEqual(0);
    expect(sorted.at(-1)! + 11).toBeLessThanOrEqual(1003);
    sorted.slice(1).forEach((position, i) => {
      expect(position - sorted[i]!).toBe(10);
    });
    expect(pass(number)).not.toEqual(sorted);
  }
  expect(pass(1)).not.toEqual(pass(0));
  expect(batchOrder({ ...shape, seed: 6 }).position(0)).not.toBe(order.position(0));
});

test("a position does not depend on what was asked before", () => {
  const shape = { tokens: 500, seqLength: 7, seed: 1 };
  const order = batchOrder(shape);
  const forwards = Array.from({ length: 300 }, (_, i) => order.position(i));
  const again = batchOrder(shape);
  for (let i = 299; i >= 0; i--) expect(again.position(i)).toBe(forwards[i]);
});

test("the smallest corpus has one window", () => {
  expect(batchOrder({ tokens: 9, seqLength: 8, seed: 0 }).position(3)).toBe(0);
  expect(() => batchOrder({ tokens: 8, seqLength: 8, seed: 0 })).toThrow(RangeError);
});
