/**
 * What the engine must know of an operator: its shape rule, its meaning in float64 and, where it has one, its gradient.
 * Knows: the shape of a table entry, broadcasting of shapes. Does not know: any one operator.
 */
import type { Attributes, Dimension, Node, Tensor, TensorType } from "../graph.ts";

/** A tensor's elements for the naive evaluator; integers and booleans are held as float64 too. */
export interface Value {
  readonly dtype: TensorType["dtype"];
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/** A node, and the gradient that reached each of its outputs (undefined where none did). */
export interface GradientSite {
  readonly node: Node;
  readonly gradients: readonly (Tensor | undefined)[];
}

export interface Operator {
  /** Types of the outputs; throws Error naming the shapes when they do not fit. */
  infer(inputs: readonly Tensor[], attributes: Attributes): readonly TensorType[];
  /** The operator's definition, written for reading; the oracle of the tests. */
  evaluate(inputs: readonly Value[], attributes: Attributes): readonly Value[];
  /** The gradient of each input; undefined where the operator is constant in that input. Absent: nothing flows back. */
  gradient?(site: GradientSite): readonly (Tensor | undefined)[];
}

/** ONNX multidirectional broadcasting of two shapes; a named dimension fits itself and 1. */
export function broadcastShapes(a: readonly Dimension[], b: readonly Dimension[]): Dimension[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const left = a[a.length - rank + i] ?? 1;
    const right = b[b.length - rank + i] ?? 1;
    if (left === right || right === 1) return left;
    if (left === 1) return right;
    throw new Error(`shapes [${a}] and [${b}] do not broadcast`);
  });
}

/** Index of `axis` counted from the front; throws RangeError outside [-rank, rank). */
export function frontAxis(axis: number, rank: number): number {
  const front = axis < 0 ? axis + rank : axis;
  if (!(front >= 0 && front < rank)) throw new RangeError(`axis ${axis} of a rank-${rank} tensor`);
  return front;
}

/** The elements of a constant tensor; throws Error where it is not one. */
export function constantOf(tensor: Tensor | undefined, what: string): readonly number[] {
  if (tensor?.value === undefined) throw new Error(`${what} must be a constant`);
  return tensor.value;
}

export function integerAttribute(attributes: Attributes, name: string, otherwise: number): number {
  const value = attributes[name] ?? otherwise;
  if (typeof value !== "number") throw new Error(`attribute ${name} must be one number`);
  return value;
}

export function listAttribute(attributes: Attributes, name: string): readonly number[] {
  const value = attributes[name];
  if (typeof value !== "object") throw new Error(`attribute ${name} must be a list`);
  return value;
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** Row-major strides. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = (strides[i + 1] ?? 1) * (shape[i + 1] ?? 1);
  return strides;
}

/** Strides with which a tensor of `shape` is read as if broadcast to `target`: 0 along repeated dimensions. */
export function broadcastStrides(shape: readonly number[], target: readonly number[]): number[] {
  const strides = stridesOf(shape);
  const lead = target.length - shape.length;
  return target.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : (strides[i - lead] ?? 0)));
}

/** Calls `visit(flat, offsets)` for each element of `shape` in row-major order, with one running offset per stride list. */
export function forEachIndex(
  shape: readonly number[],
  strideLists: readonly (readonly number[])[],
  visit: (flat: number, offsets: readonly number[]) => void,
): void {
  const size = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  const offsets = new Array<number>(strideLists.length).fill(0);
  for (let flat = 0; flat < size; flat++) {
    visit(flat, offsets);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] ?? 0) + 1;
      const wrapped = index[axis] === shape[axis];
      for (let k = 0; k < offsets.length; k++) {
        const stride = strideLists[k]?.[axis] ?? 0;
        offsets[k] = (offsets[k] ?? 0) + stride * (wrapped ? 1 - (shape[axis] ?? 1) : 1);
      }
      if (!wrapped) break;
      index[axis] = 0;
    }
  }
}

/** The run-time shape agreed by two broadcast values. */
export function broadcastValueShapes(a: readonly number[], b: readonly number[]): number[] {
  return broadcastShapes(a, b).map(Number);
}
