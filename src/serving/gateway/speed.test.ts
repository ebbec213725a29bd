/** Tests what is remembered of speeds, and that it fades. */
import { expect, test } from "vitest";
import { createSpeed } from "./speed.ts";

test("speeds are learnt, a slow spell is felt and fades to the usual", () => {
  const speed = createSpeed();
  const answer = (now: number, factor: number): void =>
    speed.measured({ now, firstTokenSeconds: 0.1 * factor, seconds: 0.1 * factor + 0.99 * factor, tokens: 100 });
  for (let now = 0; now < 100; now++) answer(now, 1);
  expect(speed.firstTokenSeconds(99)).toBeCloseTo(0.1, 3);
  expect(speed.secondsPerToken(99)).toBeCloseTo(0.01, 4);
  for (let now = 100; now < 110; now++) answer(now, 10);
  expect(speed.firstTokenSeconds(109)).toBeGreaterThan(0.8);
  expect(speed.usualFirstTokenSeconds).toBeLessThan(0.15);
  expect(speed.firstTokenSeconds(109 + 300)).toBeLessThan(0.15);
});

test("nothing is usual after a few answers", () => {
  const speed = createSpeed();
  for (let now = 0; now < 5; now++) speed.measured({ now, firstTokenSeconds: 1, seconds: 1, tokens: 1 });
  expect(speed.usualFirstTokenSeconds).toBeUndefined();
  expect(speed.firstTokenSeconds(4)).toBeCloseTo(1, 1);
});

test("an answer in one piece is slow when it took far longer than its tokens usually do", () => {
  const speed = createSpeed();
  for (let now = 0; now < 40; now++) speed.measured({ now, firstTokenSeconds: undefined, seconds: 2, tokens: 90 });
  expect(speed.firstTokenSeconds(39) + 90 * speed.secondsPerToken(39)).toBeCloseTo(2, 6);
  expect(speed.slowness({ now: 40, firstTokenSeconds: undefined, seconds: 20, tokens: 90 })).toBeCloseTo(10, 6);
  expect(speed.slowness({ now: 40, firstTokenSeconds: undefined, seconds: 2, tokens: 90 })).toBeCloseTo(1, 6);
});
