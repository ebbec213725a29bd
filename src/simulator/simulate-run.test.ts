/** Tests the simulator against closed forms where they hold, and each mechanism by what it alone changes. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { completionDistribution, simulateRun } from "./completion.ts";
import type { RunQuestionInput } from "./run-question.ts";

const day = 86400;
const relative = (value: number, expected: number): number => Math.abs(value / expected - 1);

/** Mean wall seconds of `replicas` runs. */
function meanWall(question: RunQuestionInput, replicas: number, seed: number): number {
  let sum = 0;
  for (let i = 0; i < replicas; i++) sum += simulateRun(question, seed + i).wallSeconds;
  return sum / replicas;
}

describe("closed forms", () => {
  test("mean completion is Daly's within 2 %, from one fault in a hundred segments to one in each", () => {
    // E = N · e^(λR) · (e^(λ(τ+C)) − 1) / λ: Daly 2006, https://doi.org/10.1016/j.future.2004.11.016, equation 13;
    // faults may fall into the restart too.
    const cases = fc.record({
      faultsPerSegment: fc.double({ min: 0.01, max: 1, noNaN: true }),
      stallShare: fc.double({ min: 0, max: 0.3, noNaN: true }),
      restartShare: fc.double({ min: 0, max: 0.5, noNaN: true }),
      interval: fc.integer({ min: 100, max: 10_000 }),
      seed: fc.nat(1_000_000),
    });
    fc.assert(
      fc.property(cases, ({ faultsPerSegment, stallShare, restartShare, interval, seed }) => {
        const stall = stallShare * interval;
        const down = restartShare * interval;
        const hazard = faultsPerSegment / (interval + stall);
        const segments = 400;
        const question: RunQuestionInput = {
          productiveSeconds: segments * interval,
          checkpoint: { stallSeconds: stall, intervalSeconds: interval },
          pools: [
            {
              nodes: 100,
              failuresPerNodeDay: (hazard * day) / 100,
              detectSeconds: down / 4,
              restartSeconds: (down * 3) / 4,
            },
          ],
        };
        const daly = (segments * Math.exp(hazard * down) * Math.expm1(hazard * (interval + stall))) / hazard;
        expect(relative(meanWall(question, 200, seed), daly)).toBeLessThan(0.02);
      }),
      { seed: 46, numRuns: 30 },
    );
  });

  test("goodput is 1 / (1 + C/τ + λ(τ/2 + D + R)) within 2 % while faults are rare", () => {
    const question: RunQuestionInput = {
      productiveSeconds: 90 * day,
      checkpoint: { stallSeconds: 60, intervalSeconds: 3600 },
      pools: [{ nodes: 500, failuresPerNodeDay: 3.8e-3, detectSeconds: 300, restartSeconds: 600 }],
    };
    const hazard = (500 * 3.8e-3) / day;
    const expected = 1 / (1 + 60 / 3600 + hazard * (1800 + 900));
    const { goodput, failuresExpected, days } = completionDistribution(question, 200, 1);
    expect(relative(goodput, expected)).toBeLessThan(0.02);
    expect(relative(failuresExpected, (hazard * 90 * day) / expected)).toBeLessThan(0.02);
    expect(days.p10).toBeLessThan(days.p50);
    expect(days.p50).toBeLessThan(days.p90);
  });

  test("a run without spares waits for the repair: availability is that of one node in series", () => {
    const question: RunQuestionInput = {
      productiveSeconds: 200 * day,
      checkpoint: { stallSeconds: 0, intervalSeconds: 60 },
      pools: [
        ...[
          {
            nodes: 10,
            failuresPerNodeDay: 0.002,
            spares: 0,
            repairSeconds: 4 * day,
            detectSeconds: 0,
            restartSeconds: 0,
          },
        ],
      ],
    };
    const leaving = 1 - (54 + 35 + 7 + 2) / 419;
    // While the run waits the other nodes can fail too: 10 repairs in parallel, so E[wait] is that of a busy period.
    const { lostShare, goodput } = completionDistribution(question, 400, 2);
    const load = 10 * 0.002 * leaving * 4;
    expect(relative(goodput, Math.exp(-load))).toBeLessThan(0.02);
    expect(relative(lostShare.waitingSeconds, 1 - Math.exp(-load))).toBeLessThan(0.1);
  });
});

describe("mechanisms", () => {
  const base: RunQuestionInput = {
    productiveSeconds: 60 * day,
    checkpoint: { stallSeconds: 30, intervalSeconds: 1800 },
    pools: [{ name: "a", nodes: 1000, failuresPerNodeDay: 4e-3 }],
  };
  const pool = (extra: Partial<RunQuestionInput["pools"][number]>): RunQuestionInput => ({
    ...base,
    pools: [{ ...base.pools[0]!, ...extra }],
  });

  test("equal seeds give equal outcomes, other seeds others; seconds and faults add up", () => {
    const question = pool({
      spares: 3,
      lemons: { share: 0.02, rateFactor: 10, evictAfterFailures: 2 },
      stragglers: { perNodeDay: 1e-4, slowdown: 0.1, detectSeconds: 7200 },
      outages: { perDay: 0.2, seconds: 3600 },
      maintenance: { perDay: 0.1, seconds: 1800 },
    });
    const outcome = simulateRun(question, 7);
    expect(simulateRun(question, 7)).toEqual(outcome);
    expect(simulateRun(question, 8)).not.toEqual(outcome);
    expect(Object.values(outcome.faultsByCause).reduce((a, b) => a + b, 0)).toBe(
      outcome.faults + outcome.faultsWhileWaiting,
    );
    const { checkpointSeconds, reworkSeconds, restartSeconds, waitingSeconds, slowSeconds } = outcome.lost;
    const lost = checkpointSeconds + reworkSeconds + restartSeconds + waitingSeconds + slowSeconds;
    expect(outcome.completed).toBe(true);
    expect(lost + outcome.goodput * outcome.wallSeconds).toBeCloseTo(outcome.wallSeconds, 3);
    for (const seconds of Object.values(outcome.lost)) expect(seconds).toBeGreaterThan(0);
    expect(outcome.plannedStops).toBeGreaterThan(0);
    expect(outcome.stragglersSwapped).toBeGreaterThan(0);
    expect(outcome.lemonsEvicted).toBeGreaterThan(0);
    expect(outcome.faultsByCause["pool outage"]).toBeGreaterThan(0);
  });

  test("without faults the run takes its time and its checkpoints", () => {
    const { wallSeconds, goodput, faults } = simulateRun(pool({ failuresPerNodeDay: 0 }), 1);
    expect(wallSeconds).toBe(60 * day + ((60 * day) / 1800) * 30);
    expect(faults).toBe(0);
    expect(goodput).toBeCloseTo(1800 / 1830, 9);
  });

  test("young nodes fail as often as the integral of their rate says", () => {
    const question = { ...pool({ infantMortality: { excess: 3, decaySeconds: 10 * day } }), horizonSeconds: 30 * day };
    const { failuresExpected } = completionDistribution(question, 200, 3);
    const nodeDays = 30 + 3 * 10 * (1 - Math.exp(-3));
    expect(relative(failuresExpected, 1000 * 4e-3 * nodeDays)).toBeLessThan(0.02);
  });

  test("lemons keep the mean rate until they are evicted, and then the rate falls to that of the others", () => {
    const lemons = { share: 0.05, rateFactor: 20 };
    const kept = completionDistribution({ ...pool({ lemons }), horizonSeconds: 50 * day }, 200, 4).failuresExpected;
    expect(relative(kept, 1000 * 4e-3 * 50)).toBeLessThan(0.02);
    const evicted = { ...pool({ lemons: { ...lemons, evictAfterFailures: 1 } }), horizonSeconds: 50 * day };
    const healthy = 4e-3 / (0.95 + 0.05 * 20);
    // 50 lemons, each failing once at 20 × the healthy rate before it goes.
    const expected = 950 * healthy * 50 + 50 * (1 - Math.exp(-20 * healthy * 50)) + 50 * healthy * 50;
    expect(relative(completionDistribution(evicted, 200, 4).failuresExpected, expected)).toBeLessThan(0.04);
  });

  test("a straggler slows the run by its slowdown for as long as it is not found", () => {
    const stragglers = { perNodeDay: 5e-4, slowdown: 0.2, detectSeconds: 0.5 * day };
    const question = pool({ failuresPerNodeDay: 0, stragglers, restartSeconds: 0 });
    const load = 1000 * 5e-4 * 0.5;
    const slow = (load / (1 + load)) * 0.2;
    const free = { ...question, checkpoint: { stallSeconds: 0, intervalSeconds: 1800 } };
    expect(relative(completionDistribution(free, 100, 5).goodput, 1 - slow)).toBeLessThan(0.02);
  });

  test("a platform that keeps failing is left for the next pool, which finishes the run", () => {
    const hopeless = { name: "a", nodes: 1000, failuresPerNodeDay: 2 };
    const sound = { name: "b", nodes: 500, failuresPerNodeDay: 2e-3, relativeSpeed: 0.7 };
    const alone = completionDistribution({ ...base, pools: [hopeless], deadlineSeconds: 120 * day }, 20, 6);
    expect(alone.probabilityByDeadline).toBe(0);
    expect(alone.days.p50).toBe(Number.POSITIVE_INFINITY);
    const both: RunQuestionInput = { ...base, pools: [hopeless, sound], failover: {}, deadlineSeconds: 120 * day };
    const outcome = simulateRun(both, 6);
    expect(outcome).toMatchObject({ completed: true, finalPool: "b", failovers: 1 });
    expect(completionDistribution(both, 20, 6).probabilityByDeadline).toBe(1);
  });

  test("a run that waits too long for a node moves on", () => {
    const scarce = { name: "a", nodes: 1000, failuresPerNodeDay: 4e-3, spares: 0, repairSeconds: 30 * day };
    const question: RunQuestionInput = {
      ...base,
      pools: [scarce, { name: "b", nodes: 1000, failuresPerNodeDay: 1e-4 }],
      failover: { waitSeconds: day },
    };
    const outcome = simulateRun(question, 9);
    expect(outcome).toMatchObject({ completed: true, finalPool: "b" });
    expect(outcome.lost.waitingSeconds).toBeCloseTo(day, 6);
  });

  test("an uncertain rate widens the spread and leaves the mean of faults", () => {
    const sharp = completionDistribution(pool({}), 300, 10);
    const vague = completionDistribution({ ...pool({}), rateShape: 2 }, 300, 10);
    expect(vague.days.p90 - vague.days.p10).toBeGreaterThan(3 * (sharp.days.p90 - sharp.days.p10));
  });

  test("questions out of bounds are refused", () => {
    for (const bad of [{ nodes: 0 }, { nodes: 1.5 }, { failuresPerNodeDay: Number.NaN }, { nodes: 1e12 }])
      expect(() => simulateRun(pool(bad), 1)).toThrow();
    expect(() => completionDistribution(base, 0, 1)).toThrow(RangeError);
  });
});
