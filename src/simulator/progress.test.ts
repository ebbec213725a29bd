/** Tests the arithmetic of the checkpoint cycle against a clock that ticks second by second. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Progress } from "./progress.ts";

/** The same cycle, one second at a time, as its definition reads. */
class Ticking {
  work = 0;
  durable = 0;
  private position = 0;
  private pending: { work: number; durableAt: number }[] = [];
  private readonly cycle: { interval: number; stall: number; persist: number };
  constructor(cycle: { interval: number; stall: number; persist: number }) {
    this.cycle = cycle;
  }
  tick(now: number, speed: number): void {
    const { interval, stall, persist } = this.cycle;
    if (this.position < interval) this.work += speed;
    this.position++;
    if (this.position === interval + stall) {
      this.position = 0;
      this.pending.push({ work: this.work, durableAt: now + 1 + persist });
    }
    for (const snapshot of this.pending) if (snapshot.durableAt <= now + 1) this.durable = snapshot.work;
  }
}

const cycles = fc
  .record({
    interval: fc.integer({ min: 1, max: 20 }),
    stall: fc.integer({ min: 0, max: 6 }),
    persist: fc.integer({ min: 0, max: 20 }),
  })
  .filter(({ interval, persist }) => persist <= interval);
const stretches = fc.array(fc.record({ seconds: fc.integer({ min: 1, max: 90 }), speed: fc.constantFrom(1, 0.5, 2) }), {
  minLength: 1,
  maxLength: 12,
});

test("advancing in strides is advancing second by second", () => {
  fc.assert(
    fc.property(cycles, stretches, (cycle, strides) => {
      const progress = Object.assign(new Progress(), cycle);
      const ticking = new Ticking(cycle);
      let now = 0;
      for (const { seconds, speed } of strides) {
        progress.advance(now, now + seconds, speed);
        for (let i = 0; i < seconds; i++) ticking.tick(now + i, speed);
        now += seconds;
        expect(progress.work).toBe(ticking.work);
        expect(progress.durable).toBe(ticking.durable);
        expect(progress.computeSeconds + progress.stallSeconds).toBe(now);
      }
    }),
    { seed: 44 },
  );
});

test("the seconds until an amount of work are those after which it is done and in a snapshot", () => {
  fc.assert(
    fc.property(cycles, fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 200 }), (cycle, lead, more) => {
      const progress = Object.assign(new Progress(), { ...cycle, persist: 0 });
      progress.advance(0, lead, 1);
      const total = progress.work + more;
      const seconds = progress.secondsUntil(total, 1);
      // The last snapshot comes when the work is done, not at the end of a whole interval.
      const short = Object.assign(new Progress(), { ...cycle, persist: 0 });
      short.advance(0, lead + seconds - cycle.stall, 1);
      expect(short.work).toBe(total);
    }),
    { seed: 45 },
  );
});

test("rolling back keeps what is durable and says what is lost", () => {
  const progress = Object.assign(new Progress(), { interval: 10, stall: 2, persist: 3 });
  progress.advance(0, 12 + 7, 1);
  expect([progress.work, progress.durable]).toEqual([17, 10]);
  expect(progress.rollBack()).toBe(7);
  expect(progress.secondsUntil(20, 1)).toBe(12);
  // The snapshot of a write still under way is lost with the rest.
  progress.advance(100, 100 + 12 + 2, 1);
  expect(progress.rollBack()).toBe(12);
});
