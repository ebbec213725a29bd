/** Shows that the sum's bits depend on the tree alone, for every number of workers. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { completion, leftLeaves, sumActions, sumLevels, workerNodes } from "./tree.ts";

/** Sums `values` as the workers and rank 0 would, in float32. */
function sumBy(workers: number, values: Float32Array): number {
  const nodes = workerNodes({ leaves: values.length, workers });
  const partial = nodes.map((node) => {
    const accumulators = new Float32Array(sumLevels(node.end - node.begin));
    for (const action of sumActions(node)) {
      if (action.do === "compute") accumulators[action.level] = values[action.leaf]!;
      else accumulators[action.level] = Math.fround(accumulators[action.level]! + accumulators[action.level + 1]!);
    }
    return accumulators[0]!;
  });
  for (const { into, from } of completion(nodes)) partial[into] = Math.fround(partial[into]! + partial[from]!);
  return partial[0]!;
}

const value = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 });
const cases = fc
  .array(value, { minLength: 1, maxLength: 67 })
  .chain((values) =>
    fc.record({ values: fc.constant(Float32Array.from(values)), workers: fc.integer({ min: 1, max: values.length }) }),
  );

test("any number of workers gives the bits of one worker", () => {
  fc.assert(
    fc.property(cases, ({ values, workers }) => {
      expect(Object.is(sumBy(workers, values), sumBy(1, values))).toBe(true);
    }),
    { seed: 7, numRuns: 500 },
  );
});

test("the order matters, or the property above would prove nothing", () => {
  const values = Float32Array.from([1e8, 1, -1e8, 1]);
  expect(sumBy(4, values)).not.toBe(1e8 + 1 - 1e8 + 1);
});

test("workers' nodes follow each other, cover every leaf once, and are even to a factor of 2", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 300 }), (a, b) => {
      const [workers, leaves] = a < b ? [a, b] : [b, a];
      const nodes = workerNodes({ leaves, workers });
      expect(nodes).toHaveLength(workers);
      expect(nodes[0]!.begin).toBe(0);
      expect(nodes.at(-1)!.end).toBe(leaves);
      nodes.slice(1).forEach((node, index) => {
        expect(node.begin).toBe(nodes[index]!.end);
      });
      for (const node of nodes)
        expect(sumActions(node).filter((a) => a.do === "compute")).toHaveLength(node.end - node.begin);
      expect(completion(nodes)).toHaveLength(workers - 1);
      if (workers > 1) expect(completion(nodes).at(-1)!.into).toBe(0);
    }),
    { seed: 8 },
  );
});

test("a power of two is shared evenly", () => {
  expect(workerNodes({ leaves: 8, workers: 4 }).map(({ begin, end }) => end - begin)).toEqual([2, 2, 2, 2]);
  expect(workerNodes({ leaves: 8, workers: 3 }).map(({ begin, end }) => end - begin)).toEqual([2, 2, 4]);
});

test("a sum needs one accumulator per level, and uses no other", () => {
  for (let leaves = 1; leaves <= 130; leaves++) {
    const used = sumActions({ begin: 0, end: leaves }).map(({ level, do: action }) =>
      action === "add" ? level + 1 : level,
    );
    expect(Math.max(...used) + 1).toBe(sumLevels(leaves));
  }
  expect(sumLevels(64)).toBe(7);
});

test("refuses more workers than leaves", () => {
  expect(() => workerNodes({ leaves: 3, workers: 4 })).toThrow(RangeError);
  expect(leftLeaves(9)).toBe(8);
});
