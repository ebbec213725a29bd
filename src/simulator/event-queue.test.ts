/** Tests the order of pending events against a sorted list. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { EventQueue } from "./event-queue.ts";

test("events come out by time, and of equal times in the order of scheduling; rescheduling moves an event", () => {
  // Few distinct times, so that ties are the rule.
  const entry = fc.record({ time: fc.integer({ min: 0, max: 4 }), slot: fc.integer({ min: 0, max: 7 }) });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 60 }), (entries) => {
      const queue = new EventQueue(8);
      let expected: { time: number; slot: number; sequence: number }[] = [];
      entries.forEach(({ time, slot }, sequence) => {
        queue.schedule(slot, time);
        expected = [...expected.filter((other) => other.slot !== slot), { time, slot, sequence }];
      });
      expected.sort((a, b) => a.time - b.time || a.sequence - b.sequence);
      const found: { time: number; slot: number }[] = [];
      while (queue.next()) found.push({ time: queue.time, slot: queue.slot });
      expect(found).toEqual(expected.map(({ time, slot }) => ({ time, slot })));
    }),
    { seed: 41 },
  );
});

test("an event put at infinity never comes", () => {
  const queue = new EventQueue(2);
  queue.schedule(0, 5);
  queue.schedule(0, Number.POSITIVE_INFINITY);
  queue.schedule(1, 7);
  expect([queue.next(), queue.time, queue.slot]).toEqual([true, 7, 1]);
  expect(queue.next()).toBe(false);
});
