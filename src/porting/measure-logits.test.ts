/** The measures against their definitions, and at the ends where formulas break. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { greedyDivergence } from "./measure-greedy.ts";
import { klNats, measureLogits, rankOf, topToken } from "./measure-logits.ts";

const logits = (length: number) =>
  fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: length, maxLength: length });

function probabilities(row: readonly number[]): number[] {
  const weights = row.map((logit) => Math.exp(logit));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

test("KL divergence is the sum of p ln(p/q), never negative, 0 for equals, blind to a common shift", () =>
  fc.assert(
    fc.property(logits(7), logits(7), fc.double({ min: -5, max: 5, noNaN: true }), (a, b, shift) => {
      const [rowA, rowB] = [Float32Array.from(a), Float32Array.from(b)];
      const [p, q] = [probabilities([...rowA]), probabilities([...rowB])];
      const expected = p.reduce((sum, weight, token) => sum + weight * Math.log(weight / q[token]!), 0);
      expect(klNats(rowA, rowB)).toBeGreaterThanOrEqual(0);
      expect(klNats(rowA, rowB)).toBeCloseTo(expected, 8);
      expect(klNats(rowA, rowA)).toBe(0);
      expect(
        klNats(
          rowA,
          Float32Array.from(rowA, (logit) => logit + shift),
        ),
      ).toBeLessThan(1e-5);
    }),
    { seed: 6, numRuns: 300 },
  ));

test("an impossible token on one side is no NaN, on the other an infinite divergence", () => {
  const [whole, without] = [Float32Array.of(0, 0), Float32Array.of(0, Number.NEGATIVE_INFINITY)];
  expect(klNats(without, whole)).toBeCloseTo(Math.log(2), 12);
  expect(klNats(whole, without)).toBe(Number.POSITIVE_INFINITY);
});

test("each position is measured by itself", () => {
  const a = Float32Array.of(1, 0, 3, 4, 0, 5);
  const b = Float32Array.of(1, 0, 3, 4, 1, 5);
  const measured = measureLogits(a, b, 2);
  expect(measured).toMatchObject({ positions: 3, topOneAgreements: 3 });
  expect([...measured.largestDifference]).toEqual([0, 0, 1]);
  expect([...measured.relativeError]).toEqual([0, 0, 1 / 5]);
  expect(measured.cosine[2]).toBeCloseTo(25 / Math.sqrt(25 * 26), 12);
  expect(() => measureLogits(a, b, 4)).toThrow(RangeError);
  expect(() => measureLogits(a, b.subarray(2), 2)).toThrow(RangeError);
});

test("a value that is not a number is the largest difference", () => {
  const measured = measureLogits(Float32Array.of(1, 2), Float32Array.of(1, Number.NaN), 2);
  expect(measured.largestDifference[0]).toBe(Number.POSITIVE_INFINITY);
  expect(measured.kl[0]).toBeNaN();
});

test("ties: the lowest id is the top one, equals share a rank", () => {
  const row = Float32Array.of(1, 3, 3, 2);
  expect(topToken(row)).toBe(1);
  expect([0, 1, 2, 3].map((token) => rankOf(row, token))).toEqual([4, 1, 1, 3]);
});

test("greedy answers part at the first differing choice inside the answer, not in the prompt", () => {
  const vocabulary = 3;
  const rows = (...tops: number[]): Float32Array =>
    Float32Array.from(tops.flatMap((top) => [0, 1, 2].map((token) => (token === top ? 4 : token === 2 ? 3.7 : 0))));
  const a = rows(0, 1, 1, 0);
  const of = (b: Float32Array) => greedyDivergence({ a, b, vocabulary }, { promptTokens: 2, answerTokens: 2 });
  expect(of(rows(1, 1, 1, 1))).toBeUndefined();
  expect(of(rows(0, 1, 2, 0))).toMatchObject({ at: 1, tokens: { a: 1, b: 2 }, rank: 2, nearTie: false });
  expect(of(rows(0, 0, 1, 0))).toMatchObject({ at: 0, tokens: { a: 1, b: 0 }, nearTie: false });
  const near = Float32Array.from(a);
  near.set([0, 3.9, 4], 6);
  expect(of(near)?.gapNats).toBeCloseTo(0.3, 5);
  expect(of(near)).toMatchObject({ at: 1, rank: 2, nearTie: true });
});
