/**
 * The optimizer's kernels as functions over one WebAssembly.Memory.
 * Knows: what kernels.wat exports. Does not know: what lies where in the memory (arena).
 */
import { kernelsBase64 } from "./kernels-wasm.ts";

/** What AdamW is told for one step; all are rounded to float32 on the way in. */
export interface AdamWStep {
  /** What a gradient is multiplied with before use: 1/micro-batches × clipping. */
  readonly gradientScale: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** The optimizer step, from 1, for the bias correction. */
  readonly step: number;
}

/** Offsets are bytes (multiples of 16), counts are floats (multiples of 4). */
export interface Kernels {
  /** Decoupled weight decay (Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101) on `count` parameters. */
  adamw(at: { parameters: number; m: number; v: number; gradient: number; count: number }, step: AdamWStep): void;
  /** `into[i] += from[i]` in float32. */
  add(into: number, from: number, count: number): void;
  /** Sum of squares in float64 in one fixed order; not finite if and only if an element is not finite. */
  squaredNorm(from: number, count: number): number;
}

let compiled: WebAssembly.Module | undefined;

export function loadKernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(Buffer.from(kernelsBase64, "base64"));
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  const adamw = exported(exports, "adamw");
  const add = exported(exports, "add");
  const squaredNorm = exported(exports, "squaredNorm");
  return {
    adamw(at, step) {
      const { beta1, beta2, learningRate } = step;
      adamw(
        ...[at.parameters, at.m, at.v, at.gradient, at.count],
        ...[step.gradientScale, learningRate, 1 - learningRate * step.weightDecay],
        ...[beta1, 1 - beta1, beta2, 1 - beta2],
        ...[1 / (1 - beta1 ** step.step), 1 / (1 - beta2 ** step.step), step.epsilon],
      );
    },
    add,
    squaredNorm,
  };
}

function exported(exports: WebAssembly.Exports, name: string): (...values: number[]) => number {
  const value = exports[name];
  if (typeof value !== "function") throw new Error(`kernels: no export ${name}`);
  return (...values) => Number(value(...values));
}
