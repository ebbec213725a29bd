/** Checks when silence counts, in made-up time. */
import { expect, test } from "vitest";
import { watchSilence } from "./silence.ts";

test("silence is said once, and lost when it goes on four times as long", () => {
  const watch = watchSilence(2);
  expect(watch.check(100, 0), "nobody is waited for").toBeUndefined();
  watch.begin(3, 100);
  const found = [100, 101.9, 102.1, 102.3, 102.5, 107.9, 108.1, 108.3].map((now) => watch.check(now, 50));
  expect(found).toEqual([undefined, undefined, undefined, "silent", undefined, undefined, "lost", "lost"]);
  expect(watch.waitingFor()).toBe(3);
});

test("a byte heard ends it; a new wait begins anew", () => {
  const watch = watchSilence(2);
  watch.begin(1, 0);
  expect([watch.check(3, 0), watch.check(3.2, 3.1), watch.check(4, 3.1)]).toEqual([undefined, undefined, undefined]);
  watch.end();
  expect(watch.check(90, 0)).toBeUndefined();
  watch.begin(1, 90);
  expect(watch.check(91, 0)).toBeUndefined();
});

test("a process that stood still itself accuses nobody at its first look", () => {
  const watch = watchSilence(2);
  watch.begin(1, 0);
  expect(watch.check(60, 0)).toBeUndefined();
  expect(watch.check(60.2, 60.1)).toBeUndefined();
});

test("ranks that compute long are silent long", () => {
  const watch = watchSilence(2);
  watch.computed(3);
  watch.begin(1, 0);
  expect([watch.check(14, 0), watch.check(14.9, 0)]).toEqual([undefined, undefined]);
  expect([watch.check(15.1, 0), watch.check(15.3, 0)]).toEqual([undefined, "silent"]);
});
