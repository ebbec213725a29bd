/** Tests the repair shop against a plain first-come-first-served queue that handles every end as an event. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { RepairShop } from "./repair-shop.ts";

/** Ends of repairs by `crews` crews, one node after the other. */
function endsByHand(arrivals: readonly { at: number; seconds: number }[], crews: number): number[] {
  const free = new Array<number>(crews).fill(0);
  return arrivals.map(({ at, seconds }) => {
    free.sort((a, b) => a - b);
    free[0] = Math.max(at, free[0] ?? 0) + seconds;
    return free[0];
  });
}

test("repairs end when a first-come-first-served queue says so, whatever the number of crews", () => {
  const visit = fc.record({ gap: fc.integer({ min: 0, max: 20 }), seconds: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(fc.array(visit, { maxLength: 120 }), fc.integer({ min: 1, max: 8 }), (visits, crews) => {
      let now = 0;
      const arrivals = visits.map(({ gap, seconds }) => {
        now += gap;
        return { at: now, seconds };
      });
      const shop = new RepairShop();
      shop.reset(visits.length, crews);
      for (const { at, seconds } of arrivals) {
        expect(shop.takeSpare(at)).toBe(true);
        shop.takeIn(at, seconds);
      }
      const ends = endsByHand(arrivals, crews).sort((a, b) => a - b);
      // All spares are taken; those that come back by `now` are back, the others come one by one.
      const back = ends.filter((end) => end <= now).length;
      for (let i = 0; i < back; i++) expect(shop.takeSpare(now)).toBe(true);
      expect(shop.takeSpare(now)).toBe(false);
      for (const [i, end] of ends.slice(back).entries()) {
        // Of nodes that come back together, the first look counts all.
        if (end !== ends[back + i - 1]) expect(shop.nextEnd()).toBe(end);
        expect(shop.takeSpare(end)).toBe(true);
      }
      expect(shop.nextEnd()).toBe(Number.POSITIVE_INFINITY);
    }),
    { seed: 43 },
  );
});

test("without a limit there is always a spare", () => {
  const shop = new RepairShop();
  shop.reset(undefined, undefined);
  expect(shop.matters).toBe(false);
  for (let i = 0; i < 1000; i++) expect(shop.takeSpare(i)).toBe(true);
});
