/**
 * Converts between float32 and bfloat16, the upper half of a float32.
 * Knows: bits and rounding. Does not know: tensors. Rounds to nearest, ties to even, as IEEE 754 and every vendor's cast do.
 */

/** Bits of `values` as bfloat16; a NaN stays a (quiet) NaN, what is too large becomes infinite. */
export function toBfloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const rounded = new Uint16Array(values.length);
  for (let index = 0; index < bits.length; index++) {
    const word = bits[index]!;
    // Rounding a NaN could carry into the exponent and leave an infinity or a zero: keep its upper half, made quiet.
    if ((word & 0x7fffffff) > 0x7f800000) rounded[index] = (word >>> 16) | 0x40;
    else rounded[index] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return rounded;
}

/** Exact: every bfloat16 is a float32. */
export function fromBfloat16(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let index = 0; index < bits.length; index++) words[index] = bits[index]! << 16;
  return new Float32Array(words.buffer);
}
