/**
 * Operators that combine the elements along an axis: sums, means, maxima, softmax, running sums, top-k.
 * Knows: their shapes, float64 meaning and gradients. Does not know: any other operator.
 */
import type { Attributes, Dimension, Tensor } from "../graph.ts";
import { arrived } from "./elementwise.ts";
import * as f from "./functions.ts";
import {
  constantOf,
  forEachIndex,
  frontAxis,
  integerAttribute,
  listAttribute,
  type Operator,
  sizeOf,
  stridesOf,
  type Value,
} from "./operator.ts";

type AxesOf = (inputs: readonly { readonly value?: readonly number[] }[], attributes: Attributes) => readonly number[];
const axesInput: AxesOf = (inputs) => inputs[1]?.value ?? [];
const axesAttribute: AxesOf = (_, attributes) => listAttribute(attributes, "axes");

function reducedShape<D extends Dimension>(shape: readonly D[], axes: readonly number[], keep: boolean): (D | 1)[] {
  const front = axes.map((axis) => frontAxis(axis, shape.length));
  return keep
    ? shape.map((dimension, i) => (front.includes(i) ? 1 : dimension))
    : shape.filter((_, i) => !front.includes(i));
}

/** Folds the elements along `axes` with `combine` from `start`, then applies `finish(total, count)`. */
function reduce(
  axesOf: AxesOf,
  fold: { start: number; combine: (a: number, b: number) => number; finish?: (total: number, count: number) => number },
  slope?: (x: Tensor, y: Tensor, dy: Tensor, count: number | undefined) => Tensor,
): Operator {
  const keeps = (attributes: Attributes): boolean => integerAttribute(attributes, "keepdims", 1) === 1;
  return {
    infer: (inputs, attributes) => {
      const [x] = inputs as readonly [Tensor];
      return [{ dtype: x.dtype, shape: reducedShape(x.shape, axesOf(inputs, attributes), keeps(attributes)) }];
    },
    evaluate: (inputs, attributes) => {
      const [x] = inputs as readonly [Value];
      const axes = inputs[1] ? [...inputs[1].data] : listAttribute(attributes, "axes");
      const kept = reducedShape(x.shape, axes, true);
      const data = new Float64Array(sizeOf(kept)).fill(fold.start);
      const strides = stridesOf(kept).map((stride, i) => (kept[i] === 1 ? 0 : stride));
      forEachIndex(x.shape, [strides], (flat, [at]) => {
        data[at!] = fold.combine(data[at!]!, x.data[flat]!);
      });
      const count = sizeOf(x.shape) / data.length;
      const shape = keeps(attributes) ? kept : reducedShape(x.shape, axes, false);
      return [{ dtype: x.dtype, shape, data: fold.finish ? data.map((v) => fold.finish!(v, count)) : data }];
    },
    ...(slope && {
      gradient: (site) => {
        const { inputs, attributes, outputs } = site.node;
        const [x] = inputs as readonly [Tensor];
        const kept = reducedShape(x.shape, axesOf(inputs, attributes), true);
        const front = axesOf(inputs, attributes).map((axis) => frontAxis(axis, x.shape.length));
        const sizes = front.map((axis) => x.shape[axis]);
        const count = sizes.every((size) => typeof size === "number") ? sizeOf(sizes.map(Number)) : undefined;
        return [slope(x, f.reshape(outputs[0]!, kept), f.reshape(arrived(site), kept), count)];
      },
    }),
  };
}

/** Runs `of` over each line of the last-axis-like `axis`, in place on a copy. */
function alongAxis(x: Value, axis: number, of: (line: Float64Array) => void): Value {
  const front = frontAxis(axis, x.shape.length);
  const length = x.shape[front] ?? 1;
  const stride = stridesOf(x.shape)[front] ?? 1;
  const data = x.data.slice();
  const line = new Float64Array(length);
  const outer = x.shape.map((dimension, i) => (i === front ? 1 : dimension));
  forEachIndex(outer, [stridesOf(x.shape)], (_, [at]) => {
    for (let i = 0; i < length; i++) line[i] = data[at! + i * stride]!;
    of(line);
    for (let i = 0; i < length; i++) data[at! + i * stride] = line[i]!;
  });
  return { ...x, data };
}

function softmaxLine(line: Float64Array): void {
  const max = line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let total = 0;
  for (let i = 0; i < line.length; i++) total += line[i] = Math.exp(line[i]! - max);
  for (let i = 0; i < line.length; i++) line[i]! /= total;
}

const softmax: Operator = {
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  evaluate: ([x], attributes) => [alongAxis(x!, integerAttribute(attributes, "axis", -1), softmaxLine)],
  gradient: (site) => {
    const [y] = site.node.outputs as readonly [Tensor];
    const dy = arrived(site);
    const axis = frontAxis(integerAttribute(site.node.attributes, "axis", -1), y.shape.length);
    return [f.mul(y, f.sub(dy, f.reduceSum(f.mul(dy, y), [axis])))];
  },
};

const logSoftmax: Operator = {
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  evaluate: ([x], attributes) => [
    alongAxis(x!, integerAttribute(attributes, "axis", -1), (line) => {
      const max = line.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
      const shift = max + Math.log(line.reduce((total, value) => total + Math.exp(value - max), 0));
      for (let i = 0; i < line.length; i++) line[i]! -= shift;
    }),
  ],
  gradient: (site) => {
    const [y] = site.node.outputs as readonly [Tensor];
    const dy = arrived(site);
    const axis = frontAxis(integerAttribute(site.node.attributes, "axis", -1), y.shape.length);
    return [f.sub(dy, f.mul(f.exp(y), f.reduceSum(dy, [axis])))];
  },
};

/** Differentiable: the gradient is dy summed from the other end, written as total − running sum + own. */
const cumSum: Operator = {
  infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
  evaluate: ([x, axis]) => [
    alongAxis(x!, axis!.data[0]!, (line) => {
      for (let i = 1; i < line.length; i++) line[i]! += line[i - 1]!;
    }),
  ],
  gradient: (site) => {
    const axis = frontAxis(constantOf(site.node.inputs[1], "CumSum axis")[0]!, site.node.inputs[0]!.shape.length);
    const dy = arrived(site);
    return [f.add(f.sub(f.reduceSum(dy, [axis]), f.cumSum(dy, axis)), dy), undefined];
  },
};

/** Values are differentiable by writing the gradient where they came from; indices are not. */
const topK: Operator = {
  infer: ([x, k]) => {
    const shape = [...x!.shape.slice(0, -1), constantOf(k, "TopK k")[0]!];
    return [
      { dtype: x!.dtype, shape },
      { dtype: "int64", shape },
    ];
  },
  evaluate: ([x, k]) => {
    const count = k!.data[0]!;
    const length = x!.shape.at(-1)!;
    const rows = x!.data.length / length;
    const shape = [...x!.shape.slice(0, -1), count];
    const values = new Float64Array(rows * count);
    const indices = new Float64Array(rows * count);
    for (let row = 0; row < rows; row++) {
      const at = (i: number): number => x!.data[row * length + i]!;
      const order = Array.from({ length }, (_, i) => i).sort((i, j) =>
        at(i) === at(j) ? i - j : at(j) < at(i) ? -1 : 1,
      );
      for (let i = 0; i < count; i++) {
        indices[row * count + i] = order[i]!;
        values[row * count + i] = at(order[i]!);
      }
    }
    return [
      { dtype: x!.dtype, shape, data: values },
      { dtype: "int64", shape, data: indices },
    ];
  },
  gradient: ({ node, gradients: [dValues] }) => {
    const [x] = node.inputs as readonly [Tensor];
    if (!dValues) return [undefined, undefined];
    return [f.scatterElements(f.fullLike(x, 0), node.outputs[1]!, dValues, x.shape.length - 1), undefined];
  },
};

export const reduction: Readonly<Record<string, Operator>> = {
  ReduceSum: reduce(axesInput, { start: 0, combine: (a, b) => a + b }, (x, _, dy) => f.mul(dy, f.fullLike(x, 1))),
  ReduceMean: reduce(
    axesAttribute,
    { start: 0, combine: (a, b) => a + b, finish: (total, count) => total / count },
    (x, _, dy, count) => {
      if (count === undefined) throw new Error("ReduceMean over a dynamic axis has no gradient rule; use ReduceSum");
      return f.mul(f.mul(dy, 1 / count), f.fullLike(x, 1));
    },
  ),
  // Used on integers and routing scores alone, where nothing flows back.
  ReduceMax: reduce(axesAttribute, { start: Number.NEGATIVE_INFINITY, combine: Math.max }),
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  CumSum: cumSum,
  TopK: topK,
};
