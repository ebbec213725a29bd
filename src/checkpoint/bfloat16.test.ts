/** Rounding to bfloat16 against its definition: of the two neighbours the nearer, of two equally near the even one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fromBfloat16, toBfloat16 } from "./bfloat16.ts";

const rounded = (value: number): number => fromBfloat16(toBfloat16(new Float32Array([value])))[0]!;

test("every bfloat16 survives the way there and back", () => {
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
  const back = toBfloat16(fromBfloat16(all));
  for (const bits of all) {
    const isNan = (bits & 0x7fff) > 0x7f80;
    if (isNan) expect((back[bits]! & 0x7fff) > 0x7f80).toBe(true);
    else if (back[bits] !== bits) expect(back[bits]).toBe(bits);
  }
});

test("a float32 becomes the nearer neighbour, the even one of two equally near", () =>
  fc.assert(
    fc.property(fc.float({ noNaN: true, min: Math.fround(-1e38), max: Math.fround(1e38) }), (value) => {
      const [bits] = new Uint32Array(new Float32Array([value]).buffer);
      const [low = 0, high = 0] = fromBfloat16(Uint16Array.of(bits! >>> 16, (bits! >>> 16) + 1));
      const [toLow, toHigh] = [Math.abs(value - low), Math.abs(high - value)];
      const even = (bits! >>> 16) & 1 ? high : low;
      expect(rounded(value)).toBe(toLow < toHigh ? low : toLow > toHigh ? high : even);
    }),
    { seed: 2, numRuns: 2000 },
  ));

test("the ends: largest values become infinite, NaN stays NaN with any payload, -0 keeps its sign", () => {
  expect(rounded(3.4e38)).toBe(Number.POSITIVE_INFINITY);
  expect(rounded(3.38e38)).toBeLessThan(Number.POSITIVE_INFINITY);
  expect(Object.is(rounded(-0), -0)).toBe(true);
  for (const payload of [0x7f800001, 0x7fffffff, 0xff800001, 0xffffffff]) {
    const [value] = new Float32Array(Uint32Array.of(payload).buffer);
    expect(fromBfloat16(toBfloat16(Float32Array.of(value!)))[0]).toBeNaN();
  }
});
