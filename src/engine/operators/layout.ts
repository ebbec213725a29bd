/**
 * Operators that move elements without changing them: reshape, transpose, concatenate, split, slice, expand.
 * Knows: their shapes, float64 meaning and gradients. Does not know: any other operator.
 */
import type { Dimension, Tensor } from "../graph.ts";
import { arrived } from "./elementwise.ts";
import * as f from "./functions.ts";
import {
  broadcastShapes,
  broadcastStrides,
  broadcastValueShapes,
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

const reshape: Operator = {
  infer: ([x, target]) => {
    const wanted = constantOf(target, "Reshape target without a given type");
    const known = wanted.filter((dimension) => dimension !== -1);
    const rest = x!.shape.every((dimension) => typeof dimension === "number")
      ? sizeOf(x!.shape.map(Number)) / sizeOf(known)
      : undefined;
    if (rest === undefined && known.length < wanted.length) throw new Error(`Reshape of [${x!.shape}] to [${wanted}]`);
    return [{ dtype: x!.dtype, shape: wanted.map((dimension) => (dimension === -1 ? rest! : dimension)) }];
  },
  evaluate: ([x, target]) => {
    const rest = x!.data.length / sizeOf([...target!.data].filter((dimension) => dimension !== -1));
    const shape = [...target!.data].map((dimension) => (dimension === -1 ? rest : dimension));
    if (sizeOf(shape) !== x!.data.length) throw new Error(`Reshape of [${x!.shape}] to [${shape}]`);
    return [{ ...x!, shape }];
  },
  gradient: (site) => [f.reshape(arrived(site), site.node.inputs[0]!.shape), undefined],
};

const transpose: Operator = {
  infer: ([x], attributes) => {
    const perm = listAttribute(attributes, "perm");
    if (perm.length !== x!.shape.length) throw new Error(`Transpose of [${x!.shape}] by [${perm}]`);
    return [{ dtype: x!.dtype, shape: perm.map((axis) => x!.shape[axis]!) }];
  },
  evaluate: ([x], attributes) => {
    const perm = listAttribute(attributes, "perm");
    const shape = perm.map((axis) => x!.shape[axis]!);
    const strides = stridesOf(x!.shape);
    return [
      read(
        x!,
        shape,
        perm.map((axis) => strides[axis]!),
      ),
    ];
  },
  gradient: (site) => {
    const perm = listAttribute(site.node.attributes, "perm");
    const inverse = perm.map((_, axis) => perm.indexOf(axis));
    return [f.transpose(arrived(site), inverse)];
  },
};

/** A copy of `x` read with `strides` from `offset`. */
function read(x: Value, shape: readonly number[], strides: readonly number[], offset = 0): Value {
  const data = new Float64Array(sizeOf(shape));
  forEachIndex(shape, [strides], (flat, [at]) => {
    data[flat] = x.data[offset + at!]!;
  });
  return { ...x, shape, data };
}

const concat: Operator = {
  infer: (parts, attributes) => {
    const [first] = parts as readonly [Tensor];
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), first.shape.length);
    for (const part of parts) {
      const fits = part.shape.length === first.shape.length && part.dtype === first.dtype;
      if (!fits || part.shape.some((dimension, i) => i !== axis && dimension !== first.shape[i])) {
        throw new Error(`Concat along ${axis} of ${parts.map(({ shape }) => `[${shape}]`).join(" ")}`);
      }
    }
    const sizes = parts.map((part) => part.shape[axis]!);
    const total = sizes.every((size) => typeof size === "number") ? sizeTotal(sizes.map(Number)) : sizes.join("+");
    return [{ dtype: first.dtype, shape: first.shape.map((dimension, i) => (i === axis ? total : dimension)) }];
  },
  evaluate: (parts, attributes) => {
    const [first] = parts as readonly [Value];
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), first.shape.length);
    const shape = first.shape.map((dimension, i) =>
      i === axis ? sizeTotal(parts.map((part) => part.shape[axis]!)) : dimension,
    );
    const data = new Float64Array(sizeOf(shape));
    const strides = stridesOf(shape);
    let offset = 0;
    for (const part of parts) {
      forEachIndex(part.shape, [strides], (flat, [at]) => {
        data[offset + at!] = part.data[flat]!;
      });
      offset += part.shape[axis]! * strides[axis]!;
    }
    return [{ dtype: first.dtype, shape, data }];
  },
  gradient: (site) => {
    const axis = integerAttribute(site.node.attributes, "axis", 0);
    const sizes = site.node.inputs.map((part) => part.shape.at(axis)!);
    if (!sizes.every((size) => typeof size === "number"))
      throw new Error("Concat of dynamic sizes has no gradient rule");
    return f.split(arrived(site), sizes.map(Number), axis);
  },
};

const sizeTotal = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0);

const split: Operator = {
  infer: ([x, sizes], attributes) => {
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), x!.shape.length);
    const parts = constantOf(sizes, "Split sizes");
    if (x!.shape[axis] !== sizeTotal(parts)) throw new Error(`Split of [${x!.shape}] along ${axis} into [${parts}]`);
    return parts.map((size) => ({
      dtype: x!.dtype,
      shape: x!.shape.map((dimension, i): Dimension => (i === axis ? size : dimension)),
    }));
  },
  evaluate: ([x, sizes], attributes) => {
    const axis = frontAxis(integerAttribute(attributes, "axis", 0), x!.shape.length);
    const strides = stridesOf(x!.shape);
    let offset = 0;
    return [...sizes!.data].map((size) => {
      const shape = x!.shape.map((dimension, i) => (i === axis ? size : dimension));
      const part = read(x!, shape, strides, offset);
      offset += size * strides[axis]!;
      return part;
    });
  },
  gradient: ({ node, gradients }) => {
    const axis = integerAttribute(node.attributes, "axis", 0);
    const parts = node.outputs.map((output, i) => gradients[i] ?? f.fullLike(output, 0));
    return [f.concat(parts, axis), undefined];
  },
};

/** One axis, step 1, constant bounds: all that is used here. */
const slice: Operator = {
  infer: ([x, from, to, axes]) => {
    const { axis, start, end } = sliceBounds(x!.shape, from!.value, to!.value, axes!.value);
    return [{ dtype: x!.dtype, shape: x!.shape.map((dimension, i) => (i === axis ? end - start : dimension)) }];
  },
  evaluate: ([x, from, to, axes]) => {
    const { axis, start, end } = sliceBounds(x!.shape, [...from!.data], [...to!.data], [...axes!.data]);
    const strides = stridesOf(x!.shape);
    const shape = x!.shape.map((dimension, i) => (i === axis ? end - start : dimension));
    return [read(x!, shape, strides, start * strides[axis]!)];
  },
  gradient: (site) => {
    const [x, from, to, axes] = site.node.inputs;
    const { axis, start, end, size } = sliceBounds(x!.shape, from!.value, to!.value, axes!.value);
    const dy = arrived(site);
    const padding = (length: number): readonly Tensor[] =>
      length === 0
        ? []
        : [
            f.expand(
              f.scalar(dy.graph, 0),
              x!.shape.map((d, i) => (i === axis ? length : d)),
            ),
          ];
    return [f.concat([...padding(start), dy, ...padding(size - end)], axis), undefined, undefined, undefined];
  },
};

function sliceBounds(
  shape: readonly Dimension[],
  from: readonly number[] | undefined,
  to: readonly number[] | undefined,
  axes: readonly number[] | undefined,
): { axis: number; start: number; end: number; size: number } {
  if (!from || !to || !axes) throw new Error("Slice bounds must be constants");
  const axis = frontAxis(axes[0]!, shape.length);
  const size = shape[axis];
  if (typeof size !== "number") throw new Error(`Slice of the dynamic axis ${axis} of [${shape}]`);
  const front = (bound: number): number => Math.min(bound < 0 ? bound + size : bound, size);
  return { axis, start: front(from[0]!), end: front(to[0]!), size };
}

const expand: Operator = {
  infer: ([x, target]) => [
    { dtype: x!.dtype, shape: broadcastShapes(x!.shape, constantOf(target, "Expand target without a given type")) },
  ],
  evaluate: ([x, target]) => {
    const shape = broadcastValueShapes(x!.shape, [...target!.data]);
    return [read(x!, shape, broadcastStrides(x!.shape, shape))];
  },
  gradient: (site) => [f.sumToShape(arrived(site), site.node.inputs[0]!.shape), undefined],
};

export const layout: Readonly<Record<string, Operator>> = {
  Reshape: reshape,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Expand: expand,
};
