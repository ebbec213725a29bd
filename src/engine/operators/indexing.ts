/**
 * Operators that pick elements by index, or make indices: gather, scatter, one-hot, shape, range.
 * Knows: their shapes, float64 meaning and gradients. Does not know: any other operator.
 * A gradient that adds rows up is written as a matrix product: `ScatterND(reduction=add)` of ONNX Runtime's CPU provider
 * loses additions when two threads meet on one row.
 */
import type { Tensor } from "../graph.ts";
import { arrived } from "./elementwise.ts";
import * as f from "./functions.ts";
import {
  constantOf,
  forEachIndex,
  frontAxis,
  integerAttribute,
  type Operator,
  sizeOf,
  stridesOf,
  type Value,
} from "./operator.ts";

const gather: Operator = {
  infer: ([data, indices], attributes) => {
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), data!.shape.length);
    const shape = [...data!.shape.slice(0, axis), ...indices!.shape, ...data!.shape.slice(axis + 1)];
    return [{ dtype: data!.dtype, shape }];
  },
  evaluate: (inputs, attributes) => {
    const [data, indices] = inputs as readonly [Value, Value];
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), data.shape.length);
    const outer = sizeOf(data.shape.slice(0, axis));
    const inner = sizeOf(data.shape.slice(axis + 1));
    const count = data.shape[axis]!;
    const shape = [...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)];
    const out = new Float64Array(sizeOf(shape));
    for (let o = 0; o < outer; o++) {
      indices.data.forEach((index, i) => {
        const from = (o * count + checkedIndex(index, count)) * inner;
        out.set(data.data.subarray(from, from + inner), (o * indices.data.length + i) * inner);
      });
    }
    return [{ dtype: data.dtype, shape, data: out }];
  },
  gradient: (site) => {
    const [data, indices] = site.node.inputs as readonly [Tensor, Tensor];
    if (integerAttribute(site.node.attributes, "axis", 0) !== 0)
      throw new Error("Gather has a gradient for axis 0 only");
    const rows = data.shape[0]!;
    if (typeof rows !== "number") throw new Error("Gather from a dynamic number of rows has no gradient rule");
    const width = data.shape.slice(1).reduce<number>((product, dimension) => product * Number(dimension), 1);
    const count = indices.shape.every((dimension) => typeof dimension === "number")
      ? sizeOf(indices.shape.map(Number))
      : "rows";
    const dy = f.reshape(arrived(site), [count, width]);
    const inverse = indices.value && inversePermutation(indices.value, rows);
    if (inverse) return [f.reshape(f.gather(dy, f.integers(dy.graph, inverse)), data.shape), undefined];
    const flat = f.reshape(indices, [count]);
    const sums =
      typeof count === "number" && rows > 2 * count
        ? sumsOfFewRows(flat, dy, { rows, count, width })
        : f.gemm(f.oneHot(flat, rows, "float32"), dy, { transA: true });
    return [f.reshape(sums, data.shape), undefined];
  },
};

/**
 * [rows, width]: rows of `dy` [count, width] added up by index, where a one-hot matrix would be mostly zeros (a large
 * vocabulary). Which rows share an index is a [count, count] matrix; its product with dy is each row's sum, which only the
 * first row of an index writes. The others write behind the end, each to a place of its own, so that no two writes meet.
 */
function sumsOfFewRows(
  indices: Tensor,
  dy: Tensor,
  { rows, count, width }: { rows: number; count: number; width: number },
): Tensor {
  const { graph } = dy;
  const same = f.cast(f.equal(f.reshape(indices, [count, 1]), f.reshape(indices, [1, count])), "float32");
  const earlier = graph.constant(
    "float32",
    [count, count],
    Array.from({ length: count * count }, (_, at) => Number(at % count < Math.floor(at / count))),
  );
  const isFirst = f.less(f.reduceSum(f.mul(same, earlier), [1], false), f.scalar(graph, 0.5));
  const behind = graph.constant(
    "int64",
    [count],
    Array.from({ length: count }, (_, i) => rows + i),
  );
  const target = f.expand(f.reshape(f.where(isFirst, indices, behind), [count, 1]), [count, width]);
  const empty = f.expand(f.scalar(graph, 0), [rows + count, width]);
  return f.slice(f.scatterElements(empty, target, f.gemm(same, dy), 0), 0, 0, rows);
}

/** The inverse of constant indices that visit each of `rows` rows once; undefined where they do not. */
function inversePermutation(indices: readonly number[], rows: number): number[] | undefined {
  if (indices.length !== rows || new Set(indices).size !== rows) return undefined;
  const inverse = new Array<number>(rows);
  indices.forEach((row, i) => {
    inverse[row] = i;
  });
  return inverse;
}

function checkedIndex(index: number, count: number): number {
  const front = index < 0 ? index + count : index;
  if (!(front >= 0 && front < count)) throw new RangeError(`index ${index} of ${count} rows`);
  return front;
}

/** Offsets into `data` of the elements that `indices` name along `axis`. */
function elementOffsets(data: Value, indices: Value, axis: number): Float64Array {
  const strides = stridesOf(data.shape);
  const along = strides.map((stride, i) => (i === axis ? 0 : stride));
  const offsets = new Float64Array(indices.data.length);
  forEachIndex(indices.shape, [along], (flat, [at]) => {
    offsets[flat] = at! + checkedIndex(indices.data[flat]!, data.shape[axis]!) * strides[axis]!;
  });
  return offsets;
}

const gatherElements: Operator = {
  infer: ([data, indices]) => [{ dtype: data!.dtype, shape: indices!.shape }],
  evaluate: (inputs, attributes) => {
    const [data, indices] = inputs as readonly [Value, Value];
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), data.shape.length);
    const offsets = elementOffsets(data, indices, axis);
    return [{ dtype: data.dtype, shape: indices.shape, data: offsets.map((at) => data.data[at]!) }];
  },
  /** Indices must not repeat within a line (top-k indices do not). */
  gradient: (site) => {
    const [data, indices] = site.node.inputs as readonly [Tensor, Tensor];
    const axis = integerAttribute(site.node.attributes, "axis", 0);
    return [f.scatterElements(f.fullLike(data, 0), indices, arrived(site), axis), undefined];
  },
};

const scatterElements: Operator = {
  infer: ([data]) => [{ dtype: data!.dtype, shape: data!.shape }],
  evaluate: (inputs, attributes) => {
    const [data, indices, updates] = inputs as readonly [Value, Value, Value];
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), data.shape.length);
    const offsets = elementOffsets(data, indices, axis);
    if (new Set(offsets).size !== offsets.length) throw new Error("ScatterElements: two writes to one element");
    const out = data.data.slice();
    offsets.forEach((at, i) => {
      out[at] = updates.data[i]!;
    });
    return [{ ...data, data: out }];
  },
  gradient: (site) => {
    const [, indices, updates] = site.node.inputs as readonly [Tensor, Tensor, Tensor];
    const dy = arrived(site);
    const axis = integerAttribute(site.node.attributes, "axis", 0);
    return [
      f.scatterElements(dy, indices, f.fullLike(updates, 0), axis),
      undefined,
      f.gatherElements(dy, indices, axis),
    ];
  },
};

const oneHot: Operator = {
  infer: ([indices, depth, values]) => [
    { dtype: values!.dtype, shape: [...indices!.shape, constantOf(depth, "OneHot depth")[0]!] },
  ],
  evaluate: (inputs) => {
    const [indices, depth, values] = inputs as readonly [Value, Value, Value];
    const width = depth.data[0]!;
    const data = new Float64Array(indices.data.length * width).fill(values.data[0]!);
    indices.data.forEach((index, i) => {
      // ONNX counts a negative index from the end and leaves a row without a hit where the index is out of range.
      const front = index < 0 ? index + width : index;
      if (front >= 0 && front < width) data[i * width + front] = values.data[1]!;
    });
    return [{ dtype: values.dtype, shape: [...indices.shape, width], data }];
  },
};

const shape: Operator = {
  infer: ([x]) => [{ dtype: "int64", shape: [x!.shape.length] }],
  evaluate: ([x]) => [{ dtype: "int64", shape: [x!.shape.length], data: Float64Array.from(x!.shape) }],
};

const range: Operator = {
  infer: () => {
    throw new Error("Range has a run-time length; give its type");
  },
  evaluate: ([start, limit, step]) => {
    const count = Math.max(0, Math.ceil((limit!.data[0]! - start!.data[0]!) / step!.data[0]!));
    const data = Float64Array.from({ length: count }, (_, i) => start!.data[0]! + i * step!.data[0]!);
    return [{ dtype: "int64", shape: [count], data }];
  },
};

export const indexing: Readonly<Record<string, Operator>> = {
  Gather: gather,
  GatherElements: gatherElements,
  ScatterElements: scatterElements,
  OneHot: oneHot,
  Shape: shape,
  Range: range,
};
