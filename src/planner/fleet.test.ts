/** Tests what FLEET.yaml may say and how it is refused. */
import { describe, expect, test } from "vitest";
import { BadInput } from "../spec/bad-input.ts";
import { dateAfter, devicesIn, parseFleet } from "./fleet.ts";

const file = {
  name: "two",
  start: "2025-02-01",
  periods: { count: 4, days: 30 },
  pools: {
    a: { accelerator: "h800-sxm", devices: 64, dollarsPerDeviceHour: 2, arrivals: [{ at: "2025-03-01", devices: 8 }] },
    b: { accelerator: "ascend-910b3", devices: 128, dollarsPerDeviceHour: 1 },
  },
  jobs: {
    j: { model: "deepseek-v3", tokens: 1e12, globalBatch: 1024, deadline: "2025-05-02", lateDollarsPerDay: 1000 },
  },
};

function problems(change: (copy: typeof file & Record<string, unknown>) => void): string[] {
  const copy: typeof file & Record<string, unknown> = structuredClone(file);
  change(copy);
  try {
    parseFleet(copy, "fleet.yaml");
  } catch (error) {
    if (error instanceof BadInput) return [...error.problems];
    throw error;
  }
  return [];
}

test("dates become days after the start, spellings become catalog entries, arrivals count from their period on", () => {
  const fleet = parseFleet(file, "fleet.yaml");
  expect(fleet.jobs[0]).toMatchObject({ deadlineDay: 90, earliestDay: 0 });
  expect(fleet.pools[1]?.chip.platform).toBe("ascend");
  const [a] = fleet.pools;
  // 1 March is day 28: it is there when the second period starts on day 30.
  expect([0, 1, 3].map((period) => devicesIn(fleet, a!, period))).toEqual([64, 72, 72]);
  expect(dateAfter("2024-02-28", 2)).toBe("2024-03-01");
});

describe("refused in one line each, with where and how to mend", () => {
  test.each<[string, (copy: typeof file & Record<string, unknown>) => void, RegExp]>([
    [
      "an unknown key",
      (f) => Object.assign(f.pools.a, { device: 3 }),
      /fleet.yaml pools.a.device: unknown key; did you mean devices\?/,
    ],
    [
      "an unknown key of evidence",
      (f) => Object.assign(f.pools.a, { evidence: { nodedays: 3 } }),
      /pools.a.evidence.nodedays: .*did you mean nodeDays/,
    ],
    ["an unknown section", (f) => Object.assign(f, { job: {} }), /fleet.yaml job: unknown key; did you mean jobs\?/],
    [
      "an unknown chip",
      (f) => Object.assign(f.pools.a, { accelerator: "h801-sxm" }),
      /pools.a.accelerator: unknown accelerator h801-sxm; did you mean/,
    ],
    ["an unknown model", (f) => Object.assign(f.jobs.j, { model: "deepseek-v33" }), /jobs.j.model: unknown model/],
    [
      "an unknown reliability record",
      (f) => Object.assign(f.pools.a, { reliability: "rsc-3-a100" }),
      /did you mean rsc-[12]-a100/,
    ],
    [
      "a deadline before the start",
      (f) => Object.assign(f.jobs.j, { deadline: "2025-01-01" }),
      /jobs.j.deadline: .*later date/,
    ],
    ["a date that is none", (f) => Object.assign(f.jobs.j, { deadline: "2025-02-30" }), /jobs.j.deadline/],
    ["a negative count", (f) => Object.assign(f.pools.a, { devices: -1 }), /pools.a.devices/],
    ["an absurd count", (f) => Object.assign(f.pools.a, { devices: 1e12 }), /pools.a.devices/],
    ["not a number", (f) => Object.assign(f.jobs.j, { tokens: Number.NaN }), /jobs.j.tokens/],
    ["a job after itself", (f) => Object.assign(f.jobs.j, { after: ["j"] }), /jobs.j.after: no other job j/],
    ["nothing to plan", (f) => Object.assign(f, { jobs: {} }), /neither a job nor a service/],
    [
      "more runs completed than begun",
      (f) => Object.assign(f.pools.a, { evidence: { runsCompleted: 2 } }),
      /pools.a.evidence: more runs completed than attempted/,
    ],
  ])("%s", (_name, change, expected) => {
    const found = problems(change);
    expect(found.length).toBeGreaterThan(0);
    expect(found.join("\n")).toMatch(expected);
    for (const problem of found) expect(problem).not.toContain("\n");
  });

  test("all problems at once, not only the first", () => {
    const found = problems((f) => {
      Object.assign(f.pools.a, { accelerator: "h801" });
      Object.assign(f.jobs.j, { model: "no-such-model" });
    });
    expect(found).toHaveLength(2);
  });

  test.each([[null], [[]], ["text"], [42]])("%j instead of a fleet", (value) => {
    expect(() => parseFleet(value, "fleet.yaml")).toThrow(BadInput);
  });
});
