/** Choosing tokens: greedy, temperature and nucleus, against distributions worked out by hand. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { random } from "../spec/random.ts";
import { chooseToken } from "./token-choice.ts";

const logitsOf = (probabilities: readonly number[]): Float32Array => Float32Array.from(probabilities, Math.log);

function frequencies(logits: Float32Array, options: { temperature: number; topP: number }, draws: number): number[] {
  const draw = random(5, "frequencies");
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < draws; i++) counts[chooseToken(logits, options, draw).token]! += 1 / draws;
  return counts;
}

test("temperature 0 takes the most likely, the first among equals, and draws nothing", () => {
  const draw = random(1, "greedy");
  expect(chooseToken(Float32Array.of(1, 3, 3, 2), { temperature: 0, topP: 1 }, draw).token).toBe(1);
  expect(draw.uniform()).toBe(random(1, "greedy").uniform());
});

test("the log probability is the model's own, whatever the temperature", () => {
  for (const temperature of [0, 0.5, 2]) {
    const { token, logprob } = chooseToken(logitsOf([0.1, 0.6, 0.3]), { temperature, topP: 0.9 }, random(3, "t"));
    expect(logprob).toBeCloseTo(Math.log([0.1, 0.6, 0.3][token]!), 6);
  }
});

test("tokens come as often as they are likely", () => {
  const at = (temperature: number): number[] =>
    frequencies(logitsOf([0.1, 0.6, 0.3]), { temperature, topP: 1 }, 20_000);
  for (const [token, expected] of [0.1, 0.6, 0.3].entries()) expect(at(1)[token]).toBeCloseTo(expected, 1.7);
  // Temperature 1/2 squares the probabilities: 0.01, 0.36, 0.09 of 0.46.
  for (const [token, expected] of [0.0217, 0.7826, 0.1957].entries()) expect(at(0.5)[token]).toBeCloseTo(expected, 1.7);
});

test("the nucleus is the fewest tokens that reach top-p, in the right proportion", () => {
  const seen = frequencies(logitsOf([0.05, 0.5, 0.15, 0.3]), { temperature: 1, topP: 0.7 }, 20_000);
  expect(seen[0]).toBe(0);
  expect(seen[2]).toBe(0);
  expect(seen[1]).toBeCloseTo(0.625, 1.7);
});

test("a nucleus draw is always among the fewest most likely tokens that sum to top-p", () => {
  const logits = fc.array(fc.float({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(logits, fc.double({ min: 0.01, max: 0.999, noNaN: true }), fc.nat(), (list, topP, seed) => {
      const { token } = chooseToken(Float32Array.from(list), { temperature: 1, topP }, random(seed, "nucleus"));
      const weights = Array.from(Float32Array.from(list), (logit) => Math.exp(logit));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const heavier = weights.filter((weight) => weight > weights[token]!).reduce((sum, weight) => sum + weight, 0);
      // What is strictly more likely than the chosen one must not reach top-p already (but for rounding).
      return heavier < topP * total * (1 + 1e-9);
    }),
    { seed: 11, numRuns: 500 },
  );
});

test("logits that are not finite are refused", () => {
  const options = { temperature: 1, topP: 1 };
  expect(() => chooseToken(Float32Array.of(1, Number.NaN), options, random(1, "n"))).toThrow("token 1 is NaN");
});

test("the likeliest tokens are reported best first, the lower index among equals", () => {
  const top = (count: number) =>
    chooseToken(logitsOf([0.2, 0.3, 0.2, 0.3]), { temperature: 0, topP: 1, topLogprobs: count }, random(1, "t")).top;
  expect(top(0)).toBeUndefined();
  expect(top(3)?.map(({ token }) => token)).toEqual([1, 3, 0]);
  expect(top(9)?.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeCloseTo(1, 6);
});
