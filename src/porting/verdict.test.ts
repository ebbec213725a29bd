/** The verdict by its limits: each check fails alone, and nothing that is not a number passes. */
import { describe, expect, test } from "vitest";
import { judge, type Measured, type PositionMeasure } from "./verdict.ts";

const position = { relativeError: 0.001, cosine: 0.9999, largestDifference: 0.01, partsBeyondNearTie: false };
const twenty = (more: Partial<PositionMeasure>, count = 20): PositionMeasure[] =>
  Array.from({ length: 20 }, (_, index) => (index < count ? { ...position, ...more } : position));
const fine: Measured = {
  format: "bf16",
  blocks: 4,
  hasExperts: true,
  positions: twenty({}),
  tensorsBeyondRounding: 0,
  configurationDifferences: 0,
  meanKl: 0.0002,
  unrepeatable: 0,
};
const failures = (more: Partial<Measured>): string[] =>
  judge({ ...fine, ...more })
    .checks.filter(({ passed }) => !passed)
    .map(({ name }) => name);

test("rounding alone is within tolerance, equal bits are the same", () => {
  expect(judge(fine)).toMatchObject({ verdict: "within tolerance" });
  const equal = twenty({ relativeError: 0, cosine: 1, largestDifference: 0 });
  expect(judge({ ...fine, positions: equal, meanKl: 0 }).verdict).toBe("same");
  expect(judge({ ...fine, positions: equal, meanKl: 0, tensorsBeyondRounding: 1 }).verdict).toBe("different");
});

describe("each limit alone makes them different", () => {
  test.each<[string, Partial<Measured>]>([
    ["differences between the configurations", { configurationDifferences: 1 }],
    ["sides that do not repeat themselves", { unrepeatable: 1 }],
    ["weights beyond rounding", { tensorsBeyondRounding: 1 }],
    ["median relative error of the logits", { positions: twenty({ relativeError: 0.016 }) }],
    ["share of tokens beyond rounding", { positions: twenty({ relativeError: 0.1 }, 2) }],
    ["share of tokens beyond rounding", { positions: twenty({ relativeError: 0.1 }, 1), hasExperts: false }],
    ["smallest cosine of logits within rounding", { positions: twenty({ cosine: 0.98 }, 1) }],
    ["smallest cosine of logits within rounding", { positions: twenty({ cosine: 0.8, largestDifference: 0.0001 }, 1) }],
    ["largest logit difference within rounding", { positions: twenty({ largestDifference: 1.1 }, 1) }],
    ["mean KL divergence, nats per token", { meanKl: 0.06 }],
    ["greedy divergences that are no near tie", { positions: twenty({ partsBeyondNearTie: true }, 1) }],
    ["mean KL divergence, nats per token", { meanKl: Number.NaN }],
    ["smallest cosine of logits within rounding", { positions: twenty({ cosine: Number.NaN }, 1) }],
  ])("%s", (name, more) => {
    expect(failures(more)).toEqual([name]);
    expect(judge({ ...fine, ...more }).verdict).toBe("different");
  });
});

test("a token whose routing tips over is counted apart, and so is a greedy answer that parts there", () => {
  const tipped = { relativeError: 0.5, cosine: 0.7, largestDifference: 3, partsBeyondNearTie: true };
  expect(failures({ positions: twenty(tipped, 1) })).toEqual([]);
  expect(failures({ positions: twenty(tipped, 2) })).toEqual(["share of tokens beyond rounding"]);
});

test("float32 against float32 gets the tighter bound, and more blocks a wider one", () => {
  const positions = twenty({ relativeError: 0.002 });
  expect(failures({ positions })).toEqual([]);
  expect(failures({ positions, format: "fp32" })).toContain("median relative error of the logits");
  expect(failures({ positions, format: "fp32", blocks: 100 })).toEqual([]);
});
