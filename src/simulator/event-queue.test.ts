/** Tests the order of pending events against a sorted list. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { EventQueue, HEAP } from "./event-queue.ts";

test("events come out by time, and of equal times in the order of scheduling", () => {
  // Few distinct times, so that ties are the rule.
  const entry = fc.record({ time: fc.integer({ min: 0, max: 9 }), slot: fc.integer({ min: HEAP, max: 3 }) });
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 200 }), (entries) => {
      const queue = new EventQueue(4);
      let expected: { time: number; slot: number; sequence: number }[] = [];
      entries.forEach(({ time, slot }, sequence) => {
        if (slot === HEAP) queue.push(time);
        else {
          queue.schedule(slot, time);
          expected = expected.filter((other) => other.slot !== slot);
        }
        expected.push({ time, slot, sequence });
      });
      expected.sort((a, b) => a.time - b.time || a.sequence - b.sequence);
      const found: { time: number; slot: number }[] = [];
      while (queue.next()) found.push({ time: queue.time, slot: queue.slot });
      expect(found).toEqual(expected.map(({ time, slot }) => ({ time, slot })));
    }),
    { seed: 41 },
  );
});

test("pushing between pops keeps the order", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 1, maxLength: 300 }), (delays) => {
      const queue = new EventQueue(1);
      let now = 0;
      let pops = 0;
      for (const delay of delays) {
        queue.push(now + delay);
        if (pops++ % 3 === 0 && queue.next()) {
          expect(queue.time).toBeGreaterThanOrEqual(now);
          now = queue.time;
        }
      }
      while (queue.next()) {
        expect(queue.time).toBeGreaterThanOrEqual(now);
        now = queue.time;
      }
      expect(queue.heaped).toBe(0);
    }),
    { seed: 42 },
  );
});
