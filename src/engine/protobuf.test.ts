/** The wire format: what is written is read back, and damage is noticed. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { fieldsOf, Writer } from "./protobuf.ts";

test("the specification's own examples", () => {
  const writer = new Writer();
  writer.varint(1, 150);
  writer.text(2, "testing");
  writer.message(3, () => writer.varint(1, 150));
  writer.varint(4, -2);
  const hex = Buffer.from(writer.finish()).toString("hex");
  expect(hex).toBe("0896011207" + "74657374696e671a0308960120feffffffffffffffff01");
});

test("fields are read back in order, nested messages of any length included", () => {
  const field = fc.record({ number: fc.integer({ min: 1, max: 1000 }), body: fc.uint8Array({ maxLength: 300 }) });
  fc.assert(
    fc.property(fc.array(field, { maxLength: 20 }), fc.maxSafeNat(), (fields, integer) => {
      const writer = new Writer();
      writer.varint(7, integer);
      for (const { number, body } of fields) writer.message(number, () => writer.bytes(1, body));
      const [first, ...rest] = fieldsOf(writer.finish());
      expect(first!.number).toBe(7);
      expect(rest.map(({ number }) => number)).toEqual(fields.map(({ number }) => number));
      rest.forEach(({ payload }, i) => {
        expect(Buffer.from(fieldsOf(payload)[0]!.payload)).toEqual(Buffer.from(fields[i]!.body));
      });
    }),
    { seed: 3, numRuns: 200 },
  );
});

test("a message cut short is refused", () => {
  const writer = new Writer();
  writer.text(1, "some text");
  const whole = writer.finish();
  expect(() => fieldsOf(whole.subarray(0, whole.length - 1))).toThrow("ends inside a field");
  expect(() => fieldsOf(Uint8Array.of(0x08, 0x96))).toThrow("ends inside a number");
});
