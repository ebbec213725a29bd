/**
 * The conversion's arithmetic in plain JavaScript, one value at a time: what the kernels are held against.
 * Knows: E4M3 (OCP 8-bit floating point, "fn": bias 7, largest 448, no infinity) and symmetric rows. Does not know: memory, speed.
 */

/** The value of each of the 256 E4M3 codes. */
export const fp8Values: Float32Array = Float32Array.from({ length: 256 }, (_, code) => {
  const exponent = (code >> 3) & 15;
  const mantissa = code & 7;
  if ((code & 0x7f) === 0x7f) return Number.NaN;
  const magnitude = exponent === 0 ? mantissa * 2 ** -9 : (8 + mantissa) * 2 ** (exponent - 10);
  return code & 0x80 ? -magnitude : magnitude;
});

/** A row as signed bytes with the float32 that they are multiplied with; undefined where a value is not finite. */
export function quantizedRow(values: Float32Array): { scale: number; bytes: Int8Array } | undefined {
  let most = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) return undefined;
    most = Math.max(most, Math.abs(value));
  }
  const scale = Math.fround(most / 127) || 1;
  const bytes = Int8Array.from(values, (value) =>
    Math.max(-128, Math.min(127, halfToEven(Math.fround(value / scale)))),
  );
  return { scale, bytes };
}

function halfToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

/** float32 of float16 bits, exactly. */
export function fromFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}
