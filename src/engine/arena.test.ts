/** Checks that no two tensors of an arena overlap and that starting values depend on seed and name alone. */
import { expect, test } from "vitest";
import { createArena, initialise, layOut, tensorOf } from "./arena.ts";
import type { ParameterSpec } from "./program.ts";

const specs: ParameterSpec[] = [
  { name: "a.weight", shape: [5, 7], init: { kind: "normal", std: 0.02 }, update: "gradient" },
  { name: "layers.1.bias", shape: [6], init: { kind: "zeros" }, update: "routing-bias" },
  { name: "norm.weight", shape: [7], init: { kind: "ones" }, update: "gradient-no-decay" },
];
const outputs = [
  { name: "loss", dtype: "float32" as const, shape: [] },
  { name: "grad/a.weight", dtype: "float32" as const, shape: [5, 7] },
  { name: "load/1", dtype: "float32" as const, shape: [6] },
];

test("tensors are line-aligned, do not overlap, and a gradient lies where its parameter lies", () => {
  const arena = createArena(layOut(specs, { outputs }), 2);
  const { layout } = arena;
  expect(layout.parameters.map(({ name, offset }) => [name, offset])).toEqual([
    ["a.weight", 0],
    ["layers.1.bias", 64],
    ["norm.weight", 48],
  ]);
  expect(layout).toMatchObject({ gradientFloats: 64, parameterFloats: 80, accumulatorFloats: 96 });
  const stretches = [arena.parameters, arena.m, arena.v, ...arena.accumulators];
  stretches.forEach(({ floats }, index) => {
    floats.fill(index + 1);
  });
  stretches.forEach(({ floats, bytes }, index) => {
    expect(bytes % 64).toBe(0);
    expect(floats.every((value) => value === index + 1)).toBe(true);
  });
  expect(layout.sums.map(({ name, offset, length }) => [name, offset, length])).toEqual([
    ["loss", 64, 1],
    ["load/1", 80, 6],
  ]);
});

test("starting values are the seed's and the name's", () => {
  const one = createArena(layOut(specs, { outputs }), 1);
  const two = createArena(layOut([specs[0]!, ...specs.slice(2)], { outputs }), 1);
  initialise(one, 5);
  initialise(two, 5);
  const weight = (arena: typeof one): Float32Array => tensorOf(arena.parameters, arena.layout.parameters[0]!);
  expect(weight(two)).toEqual(weight(one));
  const deviation = Math.sqrt(weight(one).reduce((sum, x) => sum + x * x, 0) / 35);
  expect(deviation).toBeGreaterThan(0.01);
  expect(deviation).toBeLessThan(0.03);
  initialise(two, 6);
  expect(weight(two)).not.toEqual(weight(one));
  expect(tensorOf(one.parameters, one.layout.parameters[2]!)).toEqual(new Float32Array(7).fill(1));
});

test("refuses what 32-bit memory cannot hold", () => {
  const huge: ParameterSpec[] = [{ name: "w", shape: [400_000_000], init: { kind: "zeros" }, update: "gradient" }];
  expect(() => createArena(layOut(huge, { outputs: [] }), 1)).toThrow(/at most/);
});
