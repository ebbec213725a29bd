/** Tests the breaker on sequences of outcomes, hand-made and random. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Health } from "./fleet-file.ts";
import { begin, freshHealth, type HealthState, mayTake, type Outcome, observe } from "./health.ts";

const policy = Health.parse({ failures: 3, openSeconds: 2, openSecondsMax: 10 });
const after = (outcomes: readonly Outcome[], from = freshHealth(policy), now = 0): HealthState =>
  outcomes.reduce((state, outcome) => observe(state, outcome, { now, policy }), from);

test("three failures in a row open it, three with a success between do not", () => {
  expect(after(["failed", "garbled", "empty"])).toMatchObject({
    breaker: "open",
    notBefore: 2,
    reason: "empty 3 times in a row",
  });
  expect(after(["failed", "failed", "ok", "failed", "failed"]).breaker).toBe("closed");
});

test("half of twenty opens it too, whatever lies between", () => {
  const half = Array.from({ length: 10 }, (): Outcome[] => ["failed", "ok"]).flat();
  expect(after([...half, "slow"])).toMatchObject({ breaker: "open", reason: "10 of 20 answers were bad" });
});

test("one trial after the wait; a failed one doubles the wait, a good one closes", () => {
  const open = after(["failed", "failed", "failed"]);
  expect(mayTake(open, { now: 1.9, inFlight: 0 })).toBe(false);
  expect(mayTake(open, { now: 2, inFlight: 0 })).toBe(true);
  const trial = begin(open);
  expect(mayTake(trial, { now: 2, inFlight: 1 })).toBe(false);
  const again = observe(trial, "failed", { now: 2, policy });
  expect(again).toMatchObject({ breaker: "open", notBefore: 6 });
  expect(observe(begin(again), "ok", { now: 6, policy })).toEqual(freshHealth(policy));
});

test("a full backend waits as it asked and stays closed", () => {
  const busy = observe(freshHealth(policy), "busy", { now: 5, policy, retryAfterSeconds: 3 });
  expect(busy).toMatchObject({ breaker: "closed", failuresInRow: 0, notBefore: 8 });
});

test("whatever happened, waits are bounded and a good answer heals", () => {
  const outcome = fc.constantFrom<Outcome>("ok", "failed", "busy", "empty", "garbled", "slow");
  const property = fc.property(fc.array(outcome, { maxLength: 80 }), (outcomes) => {
    let now = 0;
    let state = freshHealth(policy);
    for (const each of outcomes) {
      expect(state.notBefore - now).toBeLessThanOrEqual(policy.openSecondsMax);
      now = Math.max(now, state.notBefore);
      state = observe(begin(state), each, { now, policy });
    }
    now = Math.max(now, state.notBefore);
    expect(mayTake(state, { now, inFlight: 0 })).toBe(true);
    expect(mayTake(observe(begin(state), "ok", { now, policy }), { now, inFlight: 5 })).toBe(true);
  });
  fc.assert(property, { seed: 8, numRuns: 500 });
});
