/**
 * The operators as functions over tensors: `add(a, b)` appends a node to the graph of its arguments.
 * Knows: how each call is written as one ONNX node. Does not know: shape rules, gradients.
 */
import type { Dimension, DType, Graph, Tensor } from "../graph.ts";

function one(graph: Graph, op: string, inputs: readonly Tensor[], attributes = {}): Tensor {
  return graph.apply(op, inputs, attributes)[0]!;
}
const unary = (op: string) => (x: Tensor) => one(x.graph, op, [x]);
const binary = (op: string) => (a: Tensor | number, b: Tensor | number) => {
  const graph = typeof a === "number" ? (typeof b === "number" ? undefined : b.graph) : a.graph;
  if (!graph) throw new Error(`${op} of two numbers`);
  return one(graph, op, [lift(graph, a, b), lift(graph, b, a)]);
};
/** A number beside a tensor is a constant of the tensor's type. */
function lift(graph: Graph, x: Tensor | number, beside: Tensor | number): Tensor {
  if (typeof x !== "number") return x;
  return graph.constant(typeof beside === "number" ? "float32" : beside.dtype, [], [x]);
}

export const add = binary("Add");
export const sub = binary("Sub");
export const mul = binary("Mul");
export const div = binary("Div");
export const equal = binary("Equal");
export const less = binary("Less");
export const greater = binary("Greater");
export const neg = unary("Neg");
export const exp = unary("Exp");
export const log = unary("Log");
export const sqrt = unary("Sqrt");
export const reciprocal = unary("Reciprocal");
export const sigmoid = unary("Sigmoid");
export const sin = unary("Sin");
export const cos = unary("Cos");
export const identity = unary("Identity");
export const shapeOf = unary("Shape");

export const scalar = (graph: Graph, value: number): Tensor => graph.constant("float32", [], [value]);
export const integers = (graph: Graph, values: readonly number[]): Tensor =>
  graph.constant("int64", [values.length], values);

const dtypeCodes: Readonly<Record<DType, number>> = { float32: 1, int64: 7, bool: 9 };
export const cast = (x: Tensor, dtype: DType): Tensor =>
  x.dtype === dtype ? x : one(x.graph, "Cast", [x], { to: dtypeCodes[dtype] });

export const where = (condition: Tensor, yes: Tensor, no: Tensor): Tensor =>
  one(condition.graph, "Where", [condition, yes, no]);

export const matMul = (a: Tensor, b: Tensor): Tensor => one(a.graph, "MatMul", [a, b]);
/** a·b of matrices, either transposed first. */
export const gemm = (a: Tensor, b: Tensor, { transA = false, transB = false } = {}): Tensor =>
  one(a.graph, "Gemm", [a, b], { transA: Number(transA), transB: Number(transB) });

export const transpose = (x: Tensor, perm: readonly number[]): Tensor => one(x.graph, "Transpose", [x], { perm });
/** Swaps the last two axes. */
export function transposeMatrix(x: Tensor): Tensor {
  const rank = x.shape.length;
  return transpose(x, [...Array(rank - 2).keys(), rank - 1, rank - 2]);
}

/** Reshape to dimensions that may be named; every named one but the first needs a defining tensor in the graph. */
export function reshape(x: Tensor, shape: readonly Dimension[]): Tensor {
  if (shape.length === x.shape.length && shape.every((dimension, i) => dimension === x.shape[i])) return x;
  const { graph } = x;
  const type = { dtype: x.dtype, shape };
  const named = shape.filter((dimension) => typeof dimension === "string");
  // A product has no defining tensor, so that is the dimension to be inferred at run time.
  const inferred = named.find((dimension) => dimension.includes("*")) ?? named[0];
  const at = inferred === undefined ? -1 : shape.indexOf(inferred);
  const target =
    named.length <= 1
      ? integers(
          graph,
          shape.map((dimension) => (typeof dimension === "number" ? dimension : -1)),
        )
      : concat(
          shape.map((dimension, i) => graph.dimension(i === at ? -1 : dimension)),
          0,
        );
  return graph.apply("Reshape", [x, target], {}, [type])[0]!;
}

export function expand(x: Tensor, shape: readonly Dimension[]): Tensor {
  const { graph } = x;
  const target = shape.every((dimension) => typeof dimension === "number")
    ? integers(graph, shape.map(Number))
    : concat(
        shape.map((dimension) => graph.dimension(dimension)),
        0,
      );
  return graph.apply("Expand", [x, target], {}, [{ dtype: x.dtype, shape }])[0]!;
}

export function concat(parts: readonly Tensor[], axis: number): Tensor {
  const [first] = parts;
  if (!first) throw new Error("concat of nothing");
  return parts.length === 1 ? first : one(first.graph, "Concat", parts, { axis });
}
export function split(x: Tensor, sizes: readonly number[], axis: number): readonly Tensor[] {
  return sizes.length === 1 ? [x] : x.graph.apply("Split", [x, integers(x.graph, sizes)], { axis });
}
/** Elements `from` to `to` (exclusive; negative counts from the end) of one axis; `size` names the result of a dynamic axis. */
export function slice(x: Tensor, axis: number, from: number, to: number, size?: Dimension): Tensor {
  const bounds = [from, to, axis, 1].map((value) => integers(x.graph, [value]));
  if (size === undefined) return one(x.graph, "Slice", [x, ...bounds]);
  const shape = x.shape.map((dimension, i) => (i === axis ? size : dimension));
  return x.graph.apply("Slice", [x, ...bounds], {}, [{ dtype: x.dtype, shape }])[0]!;
}

export const gather = (data: Tensor, indices: Tensor, axis = 0): Tensor =>
  one(data.graph, "Gather", [data, indices], { axis });
export const gatherElements = (data: Tensor, indices: Tensor, axis: number): Tensor =>
  one(data.graph, "GatherElements", [data, indices], { axis });
/** `data` with `updates` written at `indices`, which must not repeat: the order of writes is not defined. */
export const scatterElements = (data: Tensor, indices: Tensor, updates: Tensor, axis: number): Tensor =>
  one(data.graph, "ScatterElements", [data, indices, updates], { axis });
/** [..., depth]: 1 at the index, 0 elsewhere. */
export function oneHot(indices: Tensor, depth: number, dtype: "float32" | "int64"): Tensor {
  const { graph } = indices;
  const inputs = [indices, graph.constant("int64", [], [depth]), graph.constant(dtype, [2], [0, 1])];
  return one(graph, "OneHot", inputs, { axis: -1 });
}
/** 0, 1, … up to a run-time count given as an int64 [1] tensor of dimension `name`. */
export function range(count: Tensor, name: string): Tensor {
  const { graph } = count;
  const integer = (value: number): Tensor => graph.constant("int64", [], [value]);
  const inputs = [integer(0), reshape(count, []), integer(1)];
  return graph.apply("Range", inputs, {}, [{ dtype: "int64", shape: [name] }])[0]!;
}

export const reduceSum = (x: Tensor, axes: readonly number[], keepDims = true): Tensor =>
  one(x.graph, "ReduceSum", [x, integers(x.graph, axes)], { keepdims: Number(keepDims) });
export const reduceMean = (x: Tensor, axes: readonly number[], keepDims = true): Tensor =>
  one(x.graph, "ReduceMean", [x], { axes, keepdims: Number(keepDims) });
export const reduceMax = (x: Tensor, axes: readonly number[], keepDims = true): Tensor =>
  one(x.graph, "ReduceMax", [x], { axes, keepdims: Number(keepDims) });
export const softmax = (x: Tensor, axis = -1): Tensor => one(x.graph, "Softmax", [x], { axis });
export const logSoftmax = (x: Tensor, axis = -1): Tensor => one(x.graph, "LogSoftmax", [x], { axis });
export const cumSum = (x: Tensor, axis: number): Tensor =>
  one(x.graph, "CumSum", [x, x.graph.constant("int64", [], [axis])]);
/** The `k` largest of the last axis, largest first, the lower index first among equals: [values, indices]. */
export function topK(x: Tensor, k: number): readonly [Tensor, Tensor] {
  const [values, indices] = x.graph.apply("TopK", [x, integers(x.graph, [k])], { axis: -1, largest: 1, sorted: 1 });
  return [values!, indices!];
}

/** A tensor of `x`'s shape filled with one number. */
export function fullLike(x: Tensor, value: number, dtype: DType = x.dtype): Tensor {
  const element = x.graph.constant(dtype, [], [value]);
  if (x.shape.every((dimension) => typeof dimension === "number")) return expand(element, x.shape);
  return x.graph.apply("Expand", [element, shapeOf(x)], {}, [{ dtype, shape: x.shape }])[0]!;
}

/** `x` summed over the axes along which it was broadcast from `shape`. */
export function sumToShape(x: Tensor, shape: readonly Dimension[]): Tensor {
  const lead = x.shape.length - shape.length;
  const axes = x.shape.flatMap((dimension, i) => (i < lead || (shape[i - lead] === 1 && dimension !== 1) ? [i] : []));
  return axes.length === 0 ? x : reshape(reduceSum(x, axes), shape);
}
