/**
 * The conversion's kernels as functions over one WebAssembly.Memory.
 * Knows: what kernels.wat exports. Does not know: what lies where in the memory (pieces), files.
 */
import { kernelsBase64 } from "./kernels-wasm.ts";

/** Rows of a matrix that share a row of scale blocks; all pointers are byte offsets. */
export interface Fp8Rows {
  readonly from: number;
  readonly into: number;
  readonly rows: number;
  readonly columns: number;
  /** Columns of one block. */
  readonly blockColumns: number;
  /** One float32 for each block of columns. */
  readonly scales: number;
}

export interface Float32Rows {
  readonly from: number;
  readonly into: number;
  readonly rows: number;
  readonly columns: number;
}

export interface Kernels {
  /** E4M3 codes [rows, columns] times their block's scale, as bfloat16, to nearest even; a NaN code stays NaN. */
  fp8ToBfloat16(rows: Fp8Rows): void;
  /**
   * The same product as signed bytes, symmetric per row; `rowScales` gets `rows` float32 (largest magnitude / 127, 1 for a row of zeros).
   * Gives the rows done before the first that is not finite; all of them where there is none.
   */
  fp8ToInt8(rows: Fp8Rows, rowScales: number): number;
  /** As `fp8ToInt8`, from float32 [rows, columns]. */
  f32ToInt8(rows: Float32Rows, rowScales: number): number;
  f32ToBfloat16(from: number, into: number, count: number): void;
  bfloat16ToF32(from: number, into: number, count: number): void;
}

let compiled: WebAssembly.Module | undefined;

export function loadKernels(memory: WebAssembly.Memory): Kernels {
  compiled ??= new WebAssembly.Module(Buffer.from(kernelsBase64, "base64"));
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  const fp8ToBfloat16 = exported(exports, "fp8ToBfloat16");
  const fp8ToInt8 = exported(exports, "fp8ToInt8");
  const f32ToInt8 = exported(exports, "f32ToInt8");
  return {
    fp8ToBfloat16: ({ from, into, rows, columns, blockColumns, scales }) =>
      void fp8ToBfloat16(from, into, rows, columns, blockColumns, scales),
    fp8ToInt8: ({ from, into, rows, columns, blockColumns, scales }, rowScales) =>
      fp8ToInt8(from, into, rows, columns, blockColumns, scales, rowScales),
    f32ToInt8: ({ from, into, rows, columns }, rowScales) => f32ToInt8(from, into, rows, columns, rowScales),
    f32ToBfloat16: exported(exports, "f32ToBfloat16"),
    bfloat16ToF32: exported(exports, "bfloat16ToF32"),
  };
}

function exported(exports: WebAssembly.Exports, name: string): (...values: number[]) => number {
  const value = exports[name];
  if (typeof value !== "function") throw new Error(`kernels: no export ${name}`);
  return (...values) => Number(value(...values));
}
