/** Tests `plan fleet` on the story's case: that the answer follows from the inputs, and how it is printed. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { plannerEstimators } from "../planner/fleet-estimates.ts";
import { allocateFleet, planFleet } from "../planner/fleet-solve.ts";
import { readFleet, simulate } from "./plan-fleet.ts";
import { fleetAnswer, fleetTables } from "./render/fleet-plan.ts";
import { wrapped } from "./render/table.ts";

const example = resolve(import.meta.dirname, "../../examples/r2-dilemma/fleet.yaml");
const text = readFileSync(example, "utf8");
const folder = mkdtempSync(join(tmpdir(), "dualgauge-fleet-"));
afterAll(() => rmSync(folder, { recursive: true }));

function fleetFrom(contents: string) {
  const file = join(folder, "fleet.yaml");
  writeFileSync(file, contents);
  return readFleet(file);
}

describe("the story's case", () => {
  // One size each keeps the search short; the answer is the same.
  const small = text.replace("confidence: 0.8", "confidence: 0.8\n    sizes: [2048]");

  test("trains on the pool that has carried runs to their end, serves on Ascend too, and prints within 100 columns", async () => {
    const fleet = fleetFrom(small);
    const plan = await planFleet(fleet, plannerEstimators());
    expect(plan.allocation.jobs[0]).toMatchObject({ job: "r2", lateDays: 0 });
    expect(plan.allocation.jobs[0]?.pools.every((pool) => !pool.startsWith("ascend"))).toBe(true);
    expect(plan.allocation.serving.map(({ pool }) => pool)).toContain("ascend-910c");
    expect(plan.options.rejected.map(({ pool }) => pool).sort()).toEqual(["ascend-910b", "ascend-910c", "h100"]);
    const answer = wrapped(fleetAnswer(fleet, plan, new Map()));
    const lines = [...answer, ...fleetTables(fleet, plan, new Map())];
    for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(100);
    expect(fleetAnswer(fleet, plan, new Map())).toMatch(/^h800.* trains? r2 on up to [\d,]+ devices, done 2025-/);
    expect(lines.join("\n")).toMatch(/h800 proves unfit for training: .* more/s);
  });

  test("other inputs give another answer: Ascend with finished runs and no missing operators, and no H800", async () => {
    const changed = small
      .replace("devices: 2560", "devices: 0")
      .replace(
        /missingOperators: \[npu_mla_backward\]\n\s+portDaysEach: 20\n\s+runsAttempted: 1\n\s+runsCompleted: 0/,
        "runsAttempted: 8\n      runsCompleted: 8",
      );
    expect(changed).not.toBe(small);
    const { jobs } = await allocateFleet(fleetFrom(changed), plannerEstimators());
    expect(jobs[0]?.pools).toContain("ascend-910c");
  });
});

test("a run's spares are finite: with fewer of them, or slower repair, it ends later", () => {
  const fleet = readFleet(example);
  const run = {
    ...{ startDay: 0, productiveSeconds: 30 * 86_400, nodes: 256, spareNodes: 5, repairSeconds: 86_400 },
    ...{ failuresPerNodeDay: 4e-3, rateShape: 50, checkpointStallSeconds: 60, downSeconds: 900 },
  };
  const median = (change: Partial<typeof run>): number =>
    simulate(fleet, [{ job: "r2", run: { ...run, ...change } }], 1).get("r2")?.days.p50 ?? 0;
  const usual = median({});
  expect(median({ spareNodes: 0 })).toBeGreaterThan(1.3 * usual);
  expect(median({ repairSeconds: 10 * 86_400 })).toBeGreaterThan(1.3 * usual);
  expect(median({ spareNodes: 1000 })).toBeLessThanOrEqual(usual);
});

describe("a file that is no fleet", () => {
  test.each([
    ["no YAML", "pools: [", /not YAML/],
    ["nested beyond sense", "[".repeat(20_000), /not YAML/],
    [
      "aliases that multiply",
      `a: &a [1,1,1,1,1,1,1,1,1,1]\n${"bcdefghi".replace(/./g, (c, i) => `${c}: &${c} [${Array(10).fill(`*${"abcdefgh"[i]}`).join()}]\n`)}`,
      /not YAML|unknown key/,
    ],
    ["huge", `# ${"x".repeat(1_100_000)}`, /larger than 1 MB/],
  ])("%s is refused in one line", (_name, contents, expected) => {
    expect(() => fleetFrom(contents)).toThrow(expected);
  });

  test("a missing file says so", () => {
    expect(() => readFleet(join(folder, "none.yaml"))).toThrow(/cannot be read/);
  });
});
