/** Holds the conversion's kernels against plain JavaScript, bit by bit, and the committed bytes against their source. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import wabtFactory from "wabt";
import { fromBfloat16, toBfloat16 } from "../../checkpoint/bfloat16.ts";
import { random } from "../../spec/random.ts";
import { loadKernels } from "./kernels.ts";
import { kernelsBase64 } from "./kernels-wasm.ts";
import { fp8Values, quantizedRow } from "./plain-conversion.ts";

const f = Math.fround;
const memory = new WebAssembly.Memory({ initial: 16, maximum: 16 });
const kernels = loadKernels(memory);
const [input, output, scalesAt, rowScalesAt] = [0, 1 << 18, 1 << 19, (1 << 19) + (1 << 16)];

test("every E4M3 code has the value of its definition: bias 7, no infinity, subnormals of 2^-9", () => {
  for (let code = 0; code < 256; code++) {
    const [exponent, mantissa] = [(code >> 3) & 15, code & 7];
    const magnitude =
      (code & 0x7f) === 0x7f
        ? Number.NaN
        : exponent === 0
          ? mantissa * 2 ** -9
          : (1 + mantissa / 8) * 2 ** (exponent - 7);
    expect(fp8Values[code]).toBe(code & 0x80 ? -magnitude : magnitude);
  }
  expect(Math.max(...fp8Values.filter((value) => !Number.isNaN(value)))).toBe(448);
});

const matrices = fc.record({
  rows: fc.integer({ min: 1, max: 5 }),
  columns: fc.integer({ min: 1, max: 300 }),
  blockColumns: fc.constantFrom(1, 7, 16, 100, 128, 1000),
  seed: fc.nat(),
  nans: fc.boolean(),
});

function draw({ rows, columns, blockColumns, seed, nans }: typeof matrices extends fc.Arbitrary<infer M> ? M : never) {
  const source = random(seed, "codes");
  const codes = Uint8Array.from({ length: rows * columns }, () => {
    const code = source.below(256);
    return (code & 0x7f) === 0x7f && !nans ? 0 : code;
  });
  const scales = Float32Array.from(
    { length: Math.ceil(columns / blockColumns) },
    () => source.normal() * 2 ** (source.below(60) - 40),
  );
  new Uint8Array(memory.buffer, input, codes.length).set(codes);
  new Float32Array(memory.buffer, scalesAt, scales.length).set(scales);
  const products = Float32Array.from(codes, (code, at) =>
    f(fp8Values[code]! * scales[Math.floor((at % columns) / blockColumns)]!),
  );
  return { products, from: input, into: output, rows, columns, blockColumns, scales: scalesAt };
}

test("FP8 blocks to bfloat16 is the float32 product rounded to nearest even", () =>
  fc.assert(
    fc.property(matrices, (matrix) => {
      const { products, ...rows } = draw(matrix);
      kernels.fp8ToBfloat16(rows);
      const got = fromBfloat16(new Uint16Array(memory.buffer.slice(output, output + 2 * products.length)));
      expect(got).toEqual(fromBfloat16(toBfloat16(products)));
    }),
    { seed: 1, numRuns: 300 },
  ));

test("rows to signed bytes: scale is the largest magnitude over 127, quotients round half to even", () =>
  fc.assert(
    fc.property(matrices, fc.boolean(), (matrix, fromFp8) => {
      const { products, ...rows } = draw(matrix);
      if (!fromFp8) new Float32Array(memory.buffer, input, products.length).set(products);
      const done = fromFp8 ? kernels.fp8ToInt8(rows, rowScalesAt) : kernels.f32ToInt8(rows, rowScalesAt);
      for (let row = 0; row < matrix.rows; row++) {
        const begin = row * matrix.columns;
        const expected = quantizedRow(products.subarray(begin, begin + matrix.columns));
        if (!expected) {
          expect(done).toBe(row);
          return;
        }
        expect(new Float32Array(memory.buffer, rowScalesAt, matrix.rows)[row]).toBe(expected.scale);
        expect(new Int8Array(memory.buffer, output + begin, matrix.columns)).toEqual(expected.bytes);
      }
      expect(done).toBe(matrix.rows);
    }),
    { seed: 2, numRuns: 300 },
  ));

test("bfloat16 widens exactly and float32 rounds as the plain loop does, NaN included", () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, code) => code);
  new Uint16Array(memory.buffer, input, bits.length).set(bits);
  kernels.bfloat16ToF32(input, output, bits.length - 3);
  const wide = new Uint32Array(memory.buffer, output, bits.length);
  for (let code = 0; code < bits.length - 3; code++) expect(wide[code]).toBe((code << 16) >>> 0);
  const source = random(3, "floats");
  const values = new Float32Array(Uint32Array.from({ length: 9999 }, () => source.uint32()).buffer);
  new Float32Array(memory.buffer, input, values.length).set(values);
  kernels.f32ToBfloat16(input, output, values.length);
  expect(new Uint16Array(memory.buffer, output, values.length)).toEqual(toBfloat16(values));
});

test("the committed bytes are what the source assembles to", async () => {
  const wabt = await wabtFactory();
  const parsed = wabt.parseWat("kernels.wat", readFileSync(new URL("kernels.wat", import.meta.url), "utf8"), {
    simd: true,
  });
  expect(Buffer.from(parsed.toBinary({}).buffer).toString("base64")).toBe(kernelsBase64);
});
