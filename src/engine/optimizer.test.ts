/** Checks that each parameter is updated in its own way: with decay, without, or by the experts' load. */
import { expect, test } from "vitest";
import { Train } from "../spec/run-file.ts";
import { createArena, initialise, layOut, tensorOf } from "./arena.ts";
import { loadKernels } from "./kernels.ts";
import { gradientNorm, update } from "./optimizer.ts";
import type { ParameterSpec } from "./program.ts";

const specs: ParameterSpec[] = [
  { name: "model.layers.1.mlp.gate.bias", shape: [4], init: { kind: "zeros" }, update: "routing-bias" },
  { name: "norm.weight", shape: [8], init: { kind: "ones" }, update: "gradient-no-decay" },
  { name: "w.weight", shape: [2, 4], init: { kind: "ones" }, update: "gradient" },
];
const outputs = [
  { name: "loss", dtype: "float32" as const, shape: [] },
  { name: "load/1", dtype: "float32" as const, shape: [4] },
];
const train = Train.parse({
  ...{ steps: 10, globalBatch: 4, seqLength: 8, learningRate: 0.1, warmupSteps: 0 },
  ...{ minLearningRate: 0.1, weightDecay: 0.5, routingBiasSpeed: 0.25 },
});

function setUp() {
  const arena = createArena(layOut(specs, { outputs }), 1);
  initialise(arena, 1);
  const kernels = loadKernels(arena.memory);
  const sum = arena.accumulators[0]!;
  const view = (name: string): Float32Array =>
    tensorOf(arena.parameters, arena.layout.parameters.find((slot) => slot.name === name)!);
  return { arena, kernels, sum, view };
}

test("a zero gradient moves only what decays and the routing bias", () => {
  const { arena, kernels, sum, view } = setUp();
  tensorOf(sum, arena.layout.sums[1]!).set([10, 20, 30, 40]);
  const { sumNorm, notFinite } = gradientNorm(kernels, arena, sum);
  expect({ sumNorm, notFinite }).toEqual({ sumNorm: 0, notFinite: undefined });
  update({ kernels, arena }, sum, { train, step: 1, microBatches: 4, sumNorm });
  expect(view("w.weight")).toEqual(new Float32Array(8).fill(0.95));
  expect(view("norm.weight")).toEqual(new Float32Array(8).fill(1));
  expect(view("model.layers.1.mlp.gate.bias")).toEqual(Float32Array.from([0.25, 0.25, -0.25, -0.25]));
});

test("the first step moves by the learning rate against the gradient's sign, however small it is", () => {
  const { arena, kernels, sum, view } = setUp();
  tensorOf(sum, arena.layout.parameters[1]!).fill(1e-3);
  const { sumNorm } = gradientNorm(kernels, arena, sum);
  expect(sumNorm).toBeCloseTo(Math.sqrt(8) * 1e-3, 9);
  const { gradNorm } = update({ kernels, arena }, sum, { train, step: 1, microBatches: 4, sumNorm });
  expect(gradNorm).toBeCloseTo(sumNorm / 4, 9);
  for (const value of view("norm.weight")) expect(value).toBeCloseTo(0.9, 4);
});

test("a NaN is found and named, in a gradient and in a loss", () => {
  const { arena, kernels, sum } = setUp();
  tensorOf(sum, arena.layout.parameters[2]!)[3] = Number.NaN;
  expect(gradientNorm(kernels, arena, sum).notFinite).toBe("w.weight");
  sum.floats.fill(0);
  tensorOf(sum, arena.layout.sums[0]!)[0] = Number.POSITIVE_INFINITY;
  expect(gradientNorm(kernels, arena, sum)).toEqual({ sumNorm: Number.NaN, notFinite: "loss" });
});
