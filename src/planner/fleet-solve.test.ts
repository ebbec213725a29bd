/** Tests the fleet's program against enumeration of all plans, and its prices against arithmetic. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseFleet } from "./fleet.ts";
import { concaveHull, type FleetEstimators } from "./fleet-options.ts";
import { allocateFleet, planFleet } from "./fleet-solve.ts";

/** Speeds by pool instead of a cost model: the program is on trial here, not the estimates. */
function speeds(training: Record<string, number>, serving: Record<string, number> = {}): FleetEstimators {
  return {
    training: ({ pool, devices }) => ({
      tokensPerSecond: (training[pool.id] ?? 1) * devices,
      layout: "dp",
      exposedCommunicationShare: 0,
      basis: "given",
    }),
    serving: ({ pool }) => ({ outputTokensPerSecondPerDevice: serving[pool.id] ?? 1, unitDevices: 1, basis: "given" }),
  };
}

/** Pools with so much evidence of sound runs and so few faults that neither changes a speed by a hundredth of a percent. */
const sound = { nodeDays: 1e9, faults: 1, runsAttempted: 100_000, runsCompleted: 100_000 };
const pool = (devices: number, dollarsPerDeviceHour: number) => ({
  ...{ accelerator: "h800-sxm", devices, dollarsPerDeviceHour, spareShare: 0, evidence: sound },
  ...{ checkpointStallSeconds: 0.001, downSeconds: 0 },
});

describe("one job on two pools and three periods", () => {
  const cases = fc.record({
    speed: fc.tuple(fc.integer({ min: 20, max: 200 }), fc.integer({ min: 20, max: 200 })),
    price: fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
    deadline: fc.integer({ min: 1, max: 30 }),
    lateDollarsPerDay: fc.integer({ min: 0, max: 40_000 }),
    bringUpDays: fc.integer({ min: 0, max: 3 }),
  });
  const size = 64;
  const days = 10;

  test("costs what the cheapest of all 27 plans costs", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ speed, price, deadline, lateDollarsPerDay, bringUpDays }) => {
        // Twelve days of work at speed 100.
        const tokens = 100 * size * 86_400 * 12;
        const job = {
          ...{ model: "deepseek-v3", tokens, globalBatch: 512, deadline, lateDollarsPerDay, bringUpDays },
          ...{ unfinishedDollars: 200_000, sizes: [size] },
        };
        const fleet = parseFleet(
          {
            ...{ name: "two", start: "2025-01-01", periods: { count: 3, days } },
            pools: { a: pool(size, price[0]), b: pool(size, price[1]) },
            jobs: { j: job },
          },
          "fleet.yaml",
        );
        const allocation = await allocateFleet(fleet, speeds({ a: speed[0], b: speed[1] }));
        let cheapest = Number.POSITIVE_INFINITY;
        for (let plan = 0; plan < 27; plan++) {
          const choice = [plan % 3, Math.floor(plan / 3) % 3, Math.floor(plan / 9)];
          cheapest = Math.min(cheapest, costOf(choice, { speed, price, deadline, lateDollarsPerDay, bringUpDays }));
        }
        // Early completion breaks ties at a ten-thousandth of a late day.
        expect(Math.abs(allocation.costDollars - cheapest)).toBeLessThan(1 + lateDollarsPerDay * 30 * 1e-4);
      }),
      { seed: 61, numRuns: 12 },
    );
  });

  function costOf(
    choice: readonly number[],
    {
      speed,
      price,
      deadline,
      lateDollarsPerDay,
      bringUpDays,
    }: {
      speed: readonly [number, number];
      price: readonly [number, number];
      deadline: number;
      lateDollarsPerDay: number;
      bringUpDays: number;
    },
  ): number {
    let cost = 0;
    let work = 0;
    const firstLate = Math.max(0, Math.floor(deadline / days) - 1);
    choice.forEach((which, period) => {
      const at = which === 0 ? undefined : which - 1;
      if (at !== undefined) {
        const perDay = (speed[at] ?? 0) / 100 / 12 / 1.00003;
        const started = choice[period - 1] !== which;
        work += perDay * (days - (started ? bringUpDays : 0));
        cost += size * (price[at] ?? 0) * 24 * days;
      }
      if (work < 1 - 1e-9 && period >= firstLate) cost += lateDollarsPerDay * days;
    });
    return work < 1 - 1e-9 ? cost + 200_000 : cost;
  }
});

describe("prices and what-ifs", () => {
  const service = {
    model: "deepseek-v3",
    ...{ inputTokens: 1000, outputTokens: 1000, outputTokensPerSecond: 100_000, unservedDollarsPerMillionTokens: 2 },
  };
  const fleetOf = (pools: object, jobs: object = {}, services: object = { api: service }) =>
    parseFleet(
      { name: "two", start: "2025-01-01", periods: { count: 2, days: 10 }, pools, jobs, services },
      "fleet.yaml",
    );

  test("a scarce chip is worth what it serves less what it costs to run; a plentiful one nothing", async () => {
    // 64 a-devices serve 64,000 of 100,000; b serves the rest at a price at which tokens are better left unserved.
    const fleet = fleetOf({ a: pool(64, 3), b: pool(512, 9) });
    const { shadowPrices, allocation } = await planFleet(fleet, speeds({}, { a: 1000, b: 1000 }));
    const hours = 20 * 24;
    const perDevice = (1000 * 3600 * hours * 2) / 1e6 - 3 * hours;
    expect(shadowPrices[0]?.dollarsPerDevice).toBeCloseTo(perDevice, 3);
    expect(shadowPrices[0]?.dualDollarsPerDevice).toBeCloseTo(perDevice, 3);
    expect(shadowPrices[1]?.dollarsPerDevice).toBe(0);
    expect(allocation.unservedShare.api).toBeCloseTo(0.36, 9);
  });

  test("chips are bought when they earn their price in time, and not more than there are", async () => {
    const supply = (dollarsPerDevice: number) => ({ devices: 10, dollarsPerDevice, leadDays: 10 });
    // They come for the second period: 240 hours of 1000 tokens/s at $2 per million are $1,728, less $720 to run them.
    const worth = (1000 * 3600 * 240 * 2) / 1e6 - 3 * 240;
    const cheap = await planFleet(
      fleetOf({ a: { ...pool(64, 3), supply: supply(worth - 1) } }),
      speeds({}, { a: 1000 }),
    );
    expect(cheap.allocation.bought.a).toBeCloseTo(10, 6);
    const dear = await planFleet(
      fleetOf({ a: { ...pool(64, 3), supply: supply(worth + 1) } }),
      speeds({}, { a: 1000 }),
    );
    expect(dear.allocation.bought.a).toBeUndefined();
  });

  test("a pool that nobody trusts is refused with its chance, and the plan says what its fitness would be worth", async () => {
    const doubtful = { ...pool(512, 1), accelerator: "ascend-910c", evidence: { runsAttempted: 5 } };
    const tokens = 100 * 64 * 86_400 * 8;
    const job = {
      model: "deepseek-v3",
      tokens,
      globalBatch: 512,
      deadline: 20,
      lateDollarsPerDay: 10_000,
      bringUpDays: 0,
    };
    const fleet = fleetOf({ a: pool(64, 3), b: doubtful }, { j: job }, {});
    const plan = await planFleet(fleet, speeds({ a: 100, b: 100 }));
    expect(plan.allocation.jobs[0]).toMatchObject({ pools: ["a"], lateDays: 0 });
    expect(plan.options.rejected[0]?.reason).toMatch(/P\(one full run completes\) is \d+ %, below the 50 % asked for/);
    expect(plan.ifFit[0]).toMatchObject({ pool: "b" });
    expect(plan.ifFit[0]?.lessDollars).toBeGreaterThan(0);
    expect(plan.ifUnfit[0]?.pool).toBe("a");
    expect(plan.ifUnfit[0]?.allocation.jobs[0]?.pools).toEqual([]);
    expect(plan.ifUnfit[0]?.moreDollars).toBeGreaterThan(0);
  });

  test("a job waits for the one that it comes after", async () => {
    const job = {
      model: "deepseek-v3",
      tokens: 100 * 64 * 86_400 * 5,
      globalBatch: 512,
      deadline: 20,
      lateDollarsPerDay: 10_000,
    };
    const jobs = { first: { ...job, bringUpDays: 0 }, second: { ...job, bringUpDays: 0, after: ["first"] } };
    const { allocation } = await planFleet(
      fleetOf({ a: pool(64, 3), b: pool(64, 3) }, jobs, {}),
      speeds({ a: 100, b: 100 }),
    );
    const [first, second] = allocation.jobs;
    expect(first?.finishDay).toBeLessThanOrEqual(10);
    expect(second?.finishDay).toBeGreaterThan(10);
  });
});

test("the hull keeps the sizes that no mixture of two others beats, smallest first", () => {
  const points = fc.array(
    fc.record({ devices: fc.integer({ min: 1, max: 99 }), workPerDay: fc.integer({ min: 1, max: 99 }) }),
    {
      minLength: 1,
      maxLength: 9,
    },
  );
  fc.assert(
    fc.property(points, (given) => {
      const byDevices = [...new Map(given.map((point) => [point.devices, point])).values()];
      const hull = concaveHull(byDevices);
      expect(hull[0]?.devices).toBe(Math.min(...byDevices.map(({ devices }) => devices)));
      const slopes = hull.slice(1).map((b, i) => (b.workPerDay - hull[i]!.workPerDay) / (b.devices - hull[i]!.devices));
      for (const [i, slope] of slopes.entries()) expect(slope).toBeLessThan(slopes[i - 1] ?? Number.POSITIVE_INFINITY);
      // Every point lies on or below the hull.
      for (const { devices, workPerDay } of byDevices) {
        const right = hull.findIndex((h) => h.devices >= devices);
        const [a, b] = [hull[right - 1], hull[right]];
        const at =
          b === undefined
            ? (hull.at(-1)?.workPerDay ?? 0)
            : a === undefined
              ? b.workPerDay
              : a.workPerDay + ((b.workPerDay - a.workPerDay) * (devices - a.devices)) / (b.devices - a.devices);
        expect(workPerDay).toBeLessThanOrEqual(at + 1e-9);
      }
    }),
    { seed: 62 },
  );
});
