/** Tests that a template reads what JSON.parse reads, or nothing. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { eventTemplate } from "./event-template.ts";

const chunk = (content: string, more: object = {}): Buffer =>
  Buffer.from(
    `data: ${JSON.stringify({ id: "x", choices: [{ index: 0, delta: { content }, finish_reason: null }], ...more })}\n\n`,
  );
const parsed = (event: Buffer): string => JSON.parse(event.toString().slice(6)).choices[0].delta.content;

test("any text is read as JSON.parse reads it, or left to it", () => {
  const text = fc.string({ unit: "binary", minLength: 1 });
  let read = 0;
  const property = fc.property(text, text, (first, second) => {
    const got = eventTemplate(chunk(first), parsed(chunk(first)))?.textOf(chunk(second));
    if (got !== undefined) read++;
    expect([undefined, parsed(chunk(second))]).toContain(got);
  });
  fc.assert(property, { seed: 3, numRuns: 500 });
  expect(read).toBeGreaterThan(100);
});

test("an event with any other byte changed, left out or added is not read, or is still that text in valid JSON", () => {
  const template = eventTemplate(chunk("sea"), "sea");
  const event = chunk("whale");
  const property = fc.property(fc.nat(event.length - 1), fc.nat(255), fc.constantFrom(0, 1, 2), (at, byte, how) => {
    const changed = Buffer.concat([
      event.subarray(0, at + (how === 2 ? 1 : 0)),
      ...(how === 1 ? [] : [Buffer.from([byte])]),
      event.subarray(at + 1),
    ]);
    const got = template?.textOf(changed);
    if (got !== undefined) expect(parsed(changed)).toBe(got);
  });
  fc.assert(property, { seed: 4, numRuns: 2000 });
});

describe("there is no template of an event", () => {
  test.each([
    ["that says nothing", chunk(""), ""],
    ["whose key occurs twice", chunk("sea", { content: "sea" }), "sea"],
    ["that has both keys", chunk("sea", { text: "sea" }), "sea"],
    ["whose text was written with other escapes", Buffer.from(String(chunk("sea")).replace("sea", "\\u0073ea")), "sea"],
    ["that has its text elsewhere", Buffer.from('data: {"choices":[{"delta":{"content": "sea"}}]}\n\n'), "sea"],
  ])("%s", (_, event, text) => expect(eventTemplate(event, text)).toBeUndefined());
});

test("a key inside of a text is part of the text", () => {
  const strange = 'x","content":"sea';
  expect(eventTemplate(chunk(strange), strange)?.textOf(chunk("whale"))).toBe("whale");
  expect(eventTemplate(chunk("sea"), "sea")?.textOf(chunk(strange))).toBeUndefined();
});
