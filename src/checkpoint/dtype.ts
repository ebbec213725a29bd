/**
 * The number formats that a safetensors file may hold, by the names that its header uses.
 * Knows: names and sizes. Does not know: how values are computed with.
 * Source: safetensors README, https://github.com/huggingface/safetensors (format section, read 2026-11-24).
 */

/** Bytes of one element. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  F8_E8M0: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const satisfies Record<string, number>;

export type Dtype = keyof typeof dtypeBytes;

export function isDtype(text: string): text is Dtype {
  return Object.hasOwn(dtypeBytes, text);
}

/** A tensor's name, format and shape (`[]` is a scalar, a 0 among the sizes an empty tensor). */
export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** A tensor with its little-endian bytes. */
export interface Tensor extends TensorInfo {
  readonly bytes: Uint8Array;
}

/** Bytes of a tensor; undefined when the product is not exact in a double (above 2^53). */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number | undefined {
  // A zero anywhere makes the tensor empty, however large the other sizes are.
  if (shape.includes(0)) return 0;
  const bytes = shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The elements of an F32 tensor without a copy; RangeError for another format or bytes that do not lie on 4. */
export function float32View(tensor: Tensor): Float32Array {
  if (tensor.dtype !== "F32") throw new RangeError(`${tensor.name}: ${tensor.dtype} is not F32`);
  return new Float32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.byteLength / 4);
}
