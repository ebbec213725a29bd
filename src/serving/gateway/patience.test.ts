/** Tests time limits on a clock that the test moves. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { patience } from "./patience.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());
const open = () => {
  const over: string[] = [];
  return { over, waiting: patience((reason) => over.push(reason)) };
};

test("a limit is over after its time, once, and says so", () => {
  const { over, waiting } = open();
  waiting.start(2, "no token in");
  vi.advanceTimersByTime(1999);
  expect(over).toEqual([]);
  vi.advanceTimersByTime(2);
  expect(over).toEqual(["no token in 2 s"]);
  vi.advanceTimersByTime(100_000);
  expect(over.length).toBe(1);
});

test("what comes starts it anew; a shorter one replaces a longer one; an ended one is over never", () => {
  const { over, waiting } = open();
  waiting.start(60, "no token in");
  waiting.start(5, "no token for");
  for (let n = 0; n < 50; n++) {
    vi.advanceTimersByTime(4000);
    waiting.start(5, "no token for");
  }
  expect(over).toEqual([]);
  vi.advanceTimersByTime(4999);
  expect(over).toEqual([]);
  vi.advanceTimersByTime(2);
  expect(over).toEqual(["no token for 5 s"]);
  waiting.start(5, "no token for");
  waiting.end();
  vi.advanceTimersByTime(100_000);
  expect(over.length).toBe(1);
});

test("a process that stood still gives the other side that time again, at most the limit once", () => {
  let milliseconds = 0;
  vi.spyOn(performance, "now").mockImplementation(() => milliseconds);
  const { over, waiting } = open();
  waiting.start(5, "no token for");
  milliseconds = 8000; // The timer fires 3 s late.
  vi.advanceTimersByTime(5000);
  expect(over).toEqual([]);
  milliseconds = 11_000;
  vi.advanceTimersByTime(3000);
  expect(over).toEqual(["no token for 5 s"]);
});
