/** Tests that events are cut alike however the bytes arrive, and that none is lost or changed. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { eventCutter, eventData } from "./events.ts";

const stream = 'data: {"a":1}\n\n: a comment\n\ndata: é\r\ndata:two\r\n\r\nevent: x\ndata: [DONE]\n\n';
const whole = eventCutter().push(Buffer.from(stream)).map(String);

test("whole events, byte for byte", () => {
  expect(whole.join("")).toBe(stream);
  expect(whole.map((event) => eventData(Buffer.from(event)))).toEqual(['{"a":1}', undefined, "é\ntwo", "[DONE]"]);
});

test("any cuts give the same events", () => {
  const bytes = Buffer.from(stream);
  const cuts = fc.array(fc.nat(bytes.length), { maxLength: 12 });
  const property = fc.property(cuts, (places) => {
    const cutter = eventCutter();
    const edges = [0, ...places.sort((a, b) => a - b), bytes.length];
    const events = edges.slice(1).flatMap((end, index) => cutter.push(bytes.subarray(edges[index], end)).map(String));
    expect(events).toEqual(whole);
    expect(cutter.pendingBytes).toBe(0);
  });
  fc.assert(property, { seed: 7, numRuns: 300 });
});

test("half an event waits", () => {
  const cutter = eventCutter();
  expect(cutter.push(Buffer.from("data: half\n"))).toEqual([]);
  expect(cutter.pendingBytes).toBe(11);
});
