/**
 * One WebAssembly.Memory with everything that training changes: parameters, both moments and the gradient accumulators.
 * Knows: which tensor lies where. Does not know: what is computed with it (kernels, trainer).
 * ONNX Runtime reads parameters from here and writes gradients into it without a copy.
 */
import { random } from "../spec/random.ts";
import type { ParameterSpec, Program, TensorSpec } from "./program.ts";

/** A tensor's place in a vector, in floats; `padded` is `length` rounded up to whole 64-byte lines. */
export interface Slot {
  readonly name: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
  readonly padded: number;
}

export interface ArenaLayout {
  /** In the model's order. Parameters updated by gradient come first in the vector, so that its beginning matches a gradient. */
  readonly parameters: readonly (Slot & { readonly spec: ParameterSpec })[];
  /** Floats of the parameters that are updated by gradient; both moments are this long. */
  readonly gradientFloats: number;
  readonly parameterFloats: number;
  /** What travels with a gradient along the tree: the graph's other outputs (losses, expert loads), after the gradient. */
  readonly sums: readonly Slot[];
  /** Floats of one accumulator: the gradient, then `sums`. */
  readonly accumulatorFloats: number;
}

/** A stretch of the memory: `bytes` is where it begins, for the kernels. */
export interface Stretch {
  readonly bytes: number;
  readonly floats: Float32Array<ArrayBuffer>;
}

export interface Arena {
  readonly layout: ArenaLayout;
  readonly memory: WebAssembly.Memory;
  readonly parameters: Stretch;
  readonly m: Stretch;
  readonly v: Stretch;
  readonly accumulators: readonly Stretch[];
}

const line = 16;
const pageBytes = 65_536;
/** 32-bit WebAssembly ends at 4 GiB; one page stays free so that no end pointer wraps to 0. */
const memoryBytesMax = 4 * 2 ** 30 - pageBytes;

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

export function layOut(parameters: readonly ParameterSpec[], grad: Pick<Program, "outputs">): ArenaLayout {
  let offset = 0;
  const place = (name: string, shape: readonly number[]): Slot => {
    const length = elements(shape);
    const slot = { name, shape, offset, length, padded: Math.ceil(length / line) * line };
    offset += slot.padded;
    return slot;
  };
  const byGradient = parameters.filter((spec) => spec.update !== "routing-bias");
  const slots = new Map(byGradient.map((spec) => [spec.name, place(spec.name, spec.shape)]));
  const gradientFloats = offset;
  for (const spec of parameters) if (spec.update === "routing-bias") slots.set(spec.name, place(spec.name, spec.shape));
  const parameterFloats = offset;
  offset = gradientFloats;
  const isSum = ({ name }: TensorSpec): boolean => !name.startsWith("grad/");
  const sums = grad.outputs.filter(isSum).map(({ name, shape }) => place(name, shape));
  return {
    parameters: parameters.map((spec) => ({ ...slots.get(spec.name)!, spec })),
    ...{ gradientFloats, parameterFloats, sums, accumulatorFloats: offset },
  };
}

/** Zeroed memory for a layout with `accumulators` gradient vectors; RangeError where it would not fit 4 GiB. */
export function createArena(layout: ArenaLayout, accumulators: number): Arena {
  const { parameterFloats, gradientFloats, accumulatorFloats } = layout;
  const bytes = 4 * (parameterFloats + 2 * gradientFloats + accumulators * accumulatorFloats);
  if (bytes > memoryBytesMax) {
    throw new RangeError(`${bytes} bytes of training state, but the embedded engine holds at most ${memoryBytesMax}`);
  }
  const pages = Math.ceil(bytes / pageBytes);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  let next = 0;
  const take = (length: number): Stretch => {
    const stretch = { bytes: next, floats: new Float32Array(memory.buffer, next, length) };
    next += length * 4;
    return stretch;
  };
  return {
    layout,
    memory,
    parameters: take(parameterFloats),
    m: take(gradientFloats),
    v: take(gradientFloats),
    accumulators: Array.from({ length: accumulators }, () => take(accumulatorFloats)),
  };
}

/** A tensor of a stretch, without its padding. */
export function tensorOf(stretch: Stretch, slot: Slot): Float32Array<ArrayBuffer> {
  return stretch.floats.subarray(slot.offset, slot.offset + slot.length);
}

/** Draws the initial parameters; each name has its own stream, so that one more layer changes no other. */
export function initialise(arena: Arena, seed: number): void {
  for (const slot of arena.layout.parameters) {
    const values = tensorOf(arena.parameters, slot);
    const { init } = slot.spec;
    if (init.kind === "ones") values.fill(1);
    else if (init.kind === "zeros") values.fill(0);
    else {
      const draw = random(seed, `init/${slot.name}`);
      for (let i = 0; i < values.length; i++) values[i] = draw.normal() * init.std;
    }
  }
}
