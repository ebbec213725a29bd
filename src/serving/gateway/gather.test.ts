/** Tests how long works are put off, on a clock and a load that the test sets. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { gathering } from "./gather.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout"] }));
afterEach(() => void vi.useRealTimers());

test("the moment grows while the process is busy, within its bounds, and shrinks when it is calm", () => {
  let share = 1;
  const gather = gathering({ millisecondsMin: 1, millisecondsMax: 6, busy: () => share });
  const moments = (from: number, to: number): number[] =>
    Array.from({ length: (to - from) / 50 }, (_, n) => gather.moment(from + 50 * n));
  expect(moments(0, 250)).toEqual([2, 4, 6, 6, 6]);
  expect(gather.moment(249)).toBe(6);
  share = 0.7;
  expect(moments(250, 350)).toEqual([6, 6]);
  share = 0.1;
  expect(moments(350, 600)).toEqual([3, 1.5, 1, 1, 1]);
});

test("works given in one moment are done together, in order, each as often as it was given", () => {
  const gather = gathering({ millisecondsMin: 5, millisecondsMax: 5, busy: () => 0 });
  const done: string[] = [];
  const work = (name: string) => (): void => void done.push(name);
  gather.later(work("a"));
  vi.advanceTimersByTime(3);
  gather.later(work("b"));
  expect(done).toEqual([]);
  vi.advanceTimersByTime(2);
  expect(done).toEqual(["a", "b"]);
  gather.later(work("c"));
  vi.advanceTimersByTime(5);
  expect(done).toEqual(["a", "b", "c"]);
});
