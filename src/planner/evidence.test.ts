/** Tests how a pool's evidence moves the chance that it completes a run. */
import { describe, expect, test } from "vitest";
import { completionBelief, PoolEvidence, type RunOnPool, updateRate } from "./evidence.ts";

const day = 86400;
const run: RunOnPool = {
  platform: "ascend",
  nodes: 256,
  productiveSeconds: 60 * day,
  deadlineSeconds: 90 * day,
  checkpointStallSeconds: 60,
  downSeconds: 900,
  exposedCommunicationShare: 0.3,
};
const belief = (evidence: Partial<PoolEvidence>, question: Partial<RunOnPool> = {}) =>
  completionBelief({ ...run, ...question }, PoolEvidence.parse(evidence));

test("the posterior of a rate is the prior's counts plus the pool's", () => {
  expect(updateRate({ shape: 2, nodeDays: 400 }, { faults: 3, nodeDays: 600 })).toEqual({ shape: 5, nodeDays: 1000 });
});

describe("a pool that has never finished a run", () => {
  test("gets a probability with an interval that holds it, from the prior alone", () => {
    const { probability, interval } = belief({});
    expect(probability).toBeGreaterThan(interval[0]);
    expect(probability).toBeLessThan(interval[1]);
    expect(interval[1] - interval[0]).toBeGreaterThan(0.3);
  });

  test("is believed less with every run that is abandoned, more with every one carried through", () => {
    const chances = [0, 1, 2, 5].map((runsAttempted) => belief({ runsAttempted }).probability);
    expect([...chances].sort((a, b) => b - a)).toEqual(chances);
    expect(belief({ runsAttempted: 5, runsCompleted: 5 }).probability).toBeGreaterThan(chances[0]!);
    expect(belief({ runsAttempted: 5 }).wanted.join()).toMatch(/\d+ runs carried to the end here/);
  });

  test("is believed less the more faults its burn-in saw; clean node-days narrow the rate", () => {
    const rates = [0, 10, 100, 1000].map((faults) => belief({ faults, nodeDays: 500 }));
    const chances = rates.map(({ probability }) => probability);
    expect([...chances].sort((a, b) => b - a)).toEqual(chances);
    expect(chances[3]).toBeLessThan(0.01);
    const width = ({ ratePerNodeDay: { interval } }: ReturnType<typeof belief>): number => interval[1] - interval[0];
    expect(width(belief({ nodeDays: 5000, faults: 19 }))).toBeLessThan(width(belief({})) / 3);
  });
});

test("another platform's finished runs count: the same evidence is worth more on nvidia", () => {
  expect(belief({}, { platform: "nvidia" }).parts.platform).toBeGreaterThan(belief({}).parts.platform);
});

test("a missing operator blocks a run until it is ported, and porting takes days from the deadline", () => {
  const blocked = belief({ missingOperators: ["aten::_grouped_mm", "aten::scatter_reduce"] });
  expect(blocked.probability).toBe(0);
  expect(blocked.wanted[0]).toMatch(/2 missing operators ported \(aten::_grouped_mm/);
  const ported = belief({ missingOperators: ["aten::_grouped_mm"], portDaysEach: 26 });
  expect(ported).toMatchObject({ portDays: 26 });
  expect(ported.probability).toBeGreaterThan(0);
  expect(ported.probability).toBeLessThan(belief({}).probability);
});

test("slow links stretch a step by the share of it that waits for them", () => {
  const { stretch, parts } = belief({ linkShare: 0.4 });
  expect(stretch).toBeCloseTo(1 + 0.3 * 1.5, 12);
  expect(parts.faults).toBeLessThan(belief({}).parts.faults);
  expect(belief({ linkShare: 1.2 }).stretch).toBe(1);
});
