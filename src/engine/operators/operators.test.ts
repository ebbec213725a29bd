/** Every operator: its gradient against finite differences in float64, its float32 result on ONNX Runtime against the definition. */
import { describe, expect, test } from "vitest";
import { random } from "../../spec/random.ts";
import { checkGradients } from "../check-gradients.ts";
import { evaluate, value } from "../evaluate.ts";
import { gradients } from "../gradients.ts";
import { type DType, Graph, type Tensor } from "../graph.ts";
import { encode } from "../onnx.ts";
import { type HostTensor, openSession } from "../session.ts";
import * as f from "./functions.ts";
import { sizeOf, type Value } from "./operator.ts";
import { operators } from "./table.ts";

type Range = readonly [number, number];
interface Case {
  /** Shapes of the float inputs a, b, c. */
  shapes: readonly (readonly number[])[];
  build: (...inputs: Tensor[]) => Tensor;
  /** Where the inputs are drawn from (default −2 to 2). */
  from?: Range;
}
const positive: Range = [0.5, 2];
const index = (graph: Graph, shape: number[], values: number[]): Tensor => graph.constant("int64", shape, values);

/** At least one case for each operator, by its name; several where gradients differ by shape or attribute. */
const cases: Record<string, readonly Case[]> = {
  Add: [
    { shapes: [[2, 3], [3]], build: f.add },
    {
      shapes: [
        [2, 1, 2],
        [3, 1],
      ],
      build: f.add,
    },
  ],
  Sub: [
    {
      shapes: [
        [2, 3],
        [2, 1],
      ],
      build: f.sub,
    },
  ],
  Mul: [
    {
      shapes: [
        [2, 3],
        [1, 3],
      ],
      build: f.mul,
    },
    { shapes: [[2, 3]], build: (a) => f.mul(a, a) },
  ],
  Div: [{ shapes: [[2, 3], [3]], build: f.div, from: positive }],
  Equal: [{ shapes: [[2, 3], [3]], build: (a, b) => f.cast(f.equal(a, b), "float32") }],
  Less: [{ shapes: [[2, 3], [3]], build: (a, b) => f.cast(f.less(a, b), "float32") }],
  Greater: [{ shapes: [[2, 3], [3]], build: (a, b) => f.cast(f.greater(a, b), "float32") }],
  Neg: [{ shapes: [[4]], build: f.neg }],
  Exp: [{ shapes: [[2, 3]], build: f.exp }],
  Log: [{ shapes: [[2, 3]], build: f.log, from: positive }],
  Sqrt: [{ shapes: [[2, 3]], build: f.sqrt, from: positive }],
  Reciprocal: [{ shapes: [[2, 3]], build: f.reciprocal, from: positive }],
  Sigmoid: [{ shapes: [[2, 3]], build: f.sigmoid }],
  Sin: [{ shapes: [[2, 3]], build: f.sin }],
  Cos: [{ shapes: [[2, 3]], build: f.cos }],
  Identity: [{ shapes: [[3]], build: f.identity }],
  Cast: [{ shapes: [[5]], build: (a) => f.cast(f.cast(a, "int64"), "float32") }],
  Where: [{ shapes: [[2, 3], [3], [2, 1]], build: (a, b, c) => f.where(f.greater(a, 0), b, c) }],
  Gemm: [
    {
      shapes: [
        [2, 3],
        [3, 4],
      ],
      build: (a, b) => f.gemm(a, b),
    },
    {
      shapes: [
        [2, 3],
        [4, 3],
      ],
      build: (a, b) => f.gemm(a, b, { transB: true }),
    },
    {
      shapes: [
        [3, 2],
        [3, 4],
      ],
      build: (a, b) => f.gemm(a, b, { transA: true }),
    },
    {
      shapes: [
        [3, 2],
        [4, 3],
      ],
      build: (a, b) => f.gemm(a, b, { transA: true, transB: true }),
    },
  ],
  MatMul: [
    {
      shapes: [
        [2, 2, 3],
        [2, 3, 2],
      ],
      build: f.matMul,
    },
    {
      shapes: [
        [2, 1, 2, 3],
        [2, 3, 1],
      ],
      build: f.matMul,
    },
    {
      shapes: [
        [2, 2, 3],
        [3, 2],
      ],
      build: f.matMul,
    },
  ],
  ReduceSum: [
    { shapes: [[2, 3, 2]], build: (a) => f.reduceSum(a, [1]) },
    { shapes: [[2, 3, 2]], build: (a) => f.reduceSum(a, [-1, 0], false) },
  ],
  ReduceMean: [{ shapes: [[2, 3, 2]], build: (a) => f.reduceMean(a, [2, 1], false) }],
  ReduceMax: [{ shapes: [[2, 3]], build: (a) => f.reduceMax(a, [1]) }],
  Softmax: [
    { shapes: [[2, 4]], build: (a) => f.softmax(a) },
    { shapes: [[2, 3, 2]], build: (a) => f.softmax(a, 1) },
  ],
  LogSoftmax: [{ shapes: [[2, 4]], build: (a) => f.logSoftmax(a) }],
  CumSum: [
    { shapes: [[3, 4]], build: (a) => f.cumSum(a, 1) },
    { shapes: [[3, 4]], build: (a) => f.cumSum(a, 0) },
  ],
  TopK: [{ shapes: [[3, 5]], build: (a) => f.topK(a, 2)[0] }],
  Reshape: [{ shapes: [[2, 6]], build: (a) => f.reshape(a, [3, 2, 2]) }],
  Transpose: [{ shapes: [[2, 3, 4]], build: (a) => f.transpose(a, [2, 0, 1]) }],
  Concat: [
    {
      shapes: [
        [2, 1],
        [2, 3],
      ],
      build: (a, b) => f.concat([a, b], 1),
    },
  ],
  Split: [
    { shapes: [[2, 5]], build: (a) => f.mul(f.split(a, [2, 2, 1], 1)[1]!, f.split(a, [2, 2, 1], 1)[0]!) },
    { shapes: [[3, 2]], build: (a) => f.split(a, [1, 2], 0)[1]! },
  ],
  Slice: [
    { shapes: [[2, 5]], build: (a) => f.slice(a, 1, 1, 4) },
    { shapes: [[4, 2]], build: (a) => f.slice(a, 0, 0, -1) },
  ],
  Expand: [{ shapes: [[2, 1]], build: (a) => f.expand(a, [3, 2, 4]) }],
  Gather: [
    // More than twice as many rows as indices: the gradient takes the way for large vocabularies.
    { shapes: [[9, 3]], build: (a) => f.gather(a, index(a.graph, [2, 2], [7, 0, 7, 7])) },
    { shapes: [[4, 3]], build: (a) => f.gather(a, index(a.graph, [2, 2], [3, 0, 3, 1])) },
    { shapes: [[4, 2, 2]], build: (a) => f.gather(a, index(a.graph, [4], [2, 0, 3, 1])) },
  ],
  GatherElements: [
    { shapes: [[3, 4]], build: (a) => f.gatherElements(a, index(a.graph, [3, 2], [1, 0, 3, 2, 0, 1]), 1) },
  ],
  ScatterElements: [
    {
      shapes: [
        [3, 4],
        [3, 2],
      ],
      build: (a, b) => f.scatterElements(a, index(a.graph, [3, 2], [1, 0, 3, 2, 0, 1]), b, 1),
    },
    { shapes: [[5], [3]], build: (a, b) => f.scatterElements(a, index(a.graph, [3], [4, 0, 2]), b, 0) },
  ],
  OneHot: [{ shapes: [[4]], build: (a) => f.oneHot(f.cast(f.mul(a, 2), "int64"), 3, "float32") }],
  Shape: [{ shapes: [[2, 3]], build: (a) => f.cast(f.shapeOf(a), "float32") }],
  Range: [
    { shapes: [[5, 2]], build: (a) => f.reshape(f.cast(f.range(f.slice(f.shapeOf(a), 0, 0, 1), "n"), "float32"), [5]) },
  ],
};

/** A graph whose loss is Σ y · r with random r, so that no two elements of a gradient are equal by accident. */
function lossOf(one: Case, seed: number) {
  const draw = random(seed, "operators.test");
  const [low, high] = one.from ?? [-2, 2];
  const numbers = (size: number): number[] => Array.from({ length: size }, () => low + (high - low) * draw.uniform());
  const graph = new Graph();
  const inputs = one.shapes.map((shape, i) => graph.input("abc"[i]!, "float32", shape));
  const values: Record<string, Value> = {};
  one.shapes.forEach((shape, i) => {
    // Held in float32 from the start, so that both sides see the same numbers.
    values["abc"[i]!] = value("float32", shape, Float32Array.from(numbers(sizeOf(shape))));
  });
  const y = one.build(...inputs);
  const [held] = evaluate(graph, values, [y]);
  const factors = graph.constant("float32", held!.shape, [...Float32Array.from(numbers(held!.data.length))]);
  const loss = f.reduceSum(
    f.mul(y, factors),
    held!.shape.map((_, axis) => axis),
    false,
  );
  return { graph, inputs, values, y, loss };
}

test("every operator has a case", () => {
  expect(Object.keys(cases).sort()).toEqual(Object.keys(operators).sort());
});

const flat = Object.entries(cases).flatMap(([op, list]) => list.map((one, i) => ({ title: `${op} ${i}`, op, one })));

describe("gradient equals the central difference", () => {
  test.each(flat.filter(({ op }) => operators[op]!.gradient))("$title", ({ op, one }) => {
    const { graph, inputs, values, loss } = lossOf(one, 11);
    expect(graph.nodes.some((node) => node.op === op)).toBe(true);
    const wanted = inputs.filter((input) => dependsOn(graph, loss, input));
    const check = checkGradients({
      ...{ graph, loss, wanted, inputs: values, elementsPerTensor: 100, random: random(1, "elements") },
      gradients: gradients(graph, loss, wanted),
    });
    expect(check.checked).toBeGreaterThan(0);
    expect(check.flips).toBe(0);
    expect(check.worst.error, JSON.stringify(check.worst)).toBeLessThan(1e-7);
  });
});

describe("a wrong gradient is caught", () => {
  test("half of it is not enough", () => {
    const { graph, inputs, values, loss } = lossOf(cases.Sigmoid![0]!, 12);
    const wrong = gradients(graph, loss, inputs).map((gradient) => f.mul(gradient, 0.5));
    const check = checkGradients({
      ...{
        graph,
        loss,
        wanted: inputs,
        gradients: wrong,
        inputs: values,
        elementsPerTensor: 9,
        random: random(1, "e"),
      },
    });
    expect(check.worst.error).toBeGreaterThan(0.3);
  });
});

describe("ONNX Runtime in float32 agrees with the definition", () => {
  test.each(flat)("$title", async ({ one }) => {
    const { graph, inputs, values, y, loss } = lossOf(one, 13);
    graph.output("y", y);
    graph.output("loss", loss);
    const differentiable = flat.find((entry) => entry.one === one)!.op;
    if (operators[differentiable]!.gradient) {
      const wanted = inputs.filter((input) => dependsOn(graph, loss, input));
      gradients(graph, loss, wanted).forEach((gradient, i) => {
        graph.output(`d${wanted[i]!.name}`, gradient);
      });
    }
    const encoded = encode(graph, "case");
    const session = await openSession({ onnx: encoded.onnx, parameters: [], inputs: [], outputs: [], operators: [] });
    const got = await session.run(Object.fromEntries(Object.entries(values).map(([name, v]) => [name, host(v)])));
    await session.close();
    const expected = evaluate(
      graph,
      values,
      graph.outputs.map(({ tensor }) => tensor),
    );
    graph.outputs.forEach(({ name }, i) => {
      expect(got[name]!.shape).toEqual(expected[i]!.shape);
      const numbers = Array.from(got[name]!.data, Number);
      numbers.forEach((number, at) => {
        const exact = expected[i]!.data[at]!;
        expect(Math.abs(number - exact), `${name}[${at}]`).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(exact)) * 4);
      });
    });
  });
});

function host(given: Value): HostTensor {
  return { shape: given.shape, data: Float32Array.from(given.data) };
}

/** Whether a float path leads from `input` to `loss`. */
function dependsOn(graph: Graph, loss: Tensor, input: Tensor): boolean {
  const reached = new Set([input.id]);
  const isFloat = (dtype: DType): boolean => dtype === "float32";
  for (const node of graph.nodes) {
    const flows = operators[node.op]!.gradient !== undefined;
    if (flows && node.inputs.some((one) => reached.has(one.id))) {
      for (const output of node.outputs) if (isFloat(output.dtype)) reached.add(output.id);
    }
  }
  return reached.has(loss.id);
}
