/** Tests that a spliced text parses to the changed object, and that nothing else of it moved. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { spliceJson } from "./json-splice.ts";

test("numbers, spacing and unknown keys stay as they were", () => {
  const text = '{ "model" : "a", "seed": 12345678901234567890, "x":{"model":"no"},\n "s":"\\"model\\":1" }';
  expect(spliceJson(text, { model: '"b"' })).toBe(text.replace('"a"', '"b"'));
  expect(spliceJson(text, { n: "1" })).toBe(text.replace(/ }$/, ' ,"n":1}'));
  expect(spliceJson("{}", { n: "1" })).toBe('{"n":1}');
});

test("the last of repeated keys is the one that counts", () => {
  expect(JSON.parse(spliceJson('{"a":1,"a":2}', { a: "3" }))).toEqual({ a: 3 });
});

test("any object, any spacing", () => {
  const objects = fc.dictionary(fc.string(), fc.jsonValue());
  const property = fc.property(objects, fc.string(), fc.jsonValue(), fc.nat(3), (object, key, value, indent) => {
    fc.pre(key !== "__proto__" && !Object.keys(object).includes("__proto__"));
    const changed = spliceJson(JSON.stringify(object, null, indent), { [key]: JSON.stringify(value) });
    const expected: unknown = JSON.parse(JSON.stringify({ ...object, [key]: value }));
    expect(JSON.parse(changed)).toEqual(expected);
  });
  fc.assert(property, { seed: 6, numRuns: 500 });
});
