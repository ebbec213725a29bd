/** Tests the planner's closed form of completion against the simulator. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { completionMoments, completionQuantile, probabilityWithin } from "../planner/evidence-completion.ts";
import { RunQuestion } from "./run-question.ts";
import { RunSimulator } from "./simulate-run.ts";

const day = 86400;

test("mean, spread and P(done by a deadline) in closed form are those of 2,000 simulated runs", () => {
  const cases = fc.record({
    nodes: fc.integer({ min: 20, max: 4000 }),
    perNodeDay: fc.double({ min: 1e-3, max: 2e-2, noNaN: true }),
    days: fc.integer({ min: 5, max: 60 }),
    stall: fc.integer({ min: 5, max: 120 }),
    seed: fc.nat(1e6),
  });
  fc.assert(
    fc.property(cases, ({ nodes, perNodeDay, days, stall, seed }) => {
      const hazard = (nodes * perNodeDay) / day;
      fc.pre(hazard * 600 < 0.5);
      // The closed form counts a broken last interval as its share of one; whole intervals compare exactly.
      const intervalSeconds = Math.max(10, Math.sqrt((2 * stall) / hazard));
      const run = {
        productiveSeconds: Math.max(1, Math.round((days * day) / intervalSeconds)) * intervalSeconds,
        hazard,
        checkpointStallSeconds: stall,
        checkpointIntervalSeconds: intervalSeconds,
        downSeconds: 600,
      };
      const { leastSeconds, meanSeconds, varianceSeconds2 } = completionMoments(run);
      const simulator = new RunSimulator(
        RunQuestion.parse({
          productiveSeconds: run.productiveSeconds,
          checkpoint: { stallSeconds: stall, intervalSeconds },
          pools: [{ nodes, failuresPerNodeDay: perNodeDay, detectSeconds: 100, restartSeconds: 500 }],
        }),
      );
      const walls = Array.from({ length: 2000 }, (_, i) => simulator.run(seed + i).wallSeconds).sort((a, b) => a - b);
      const mean = walls.reduce((sum, wall) => sum + wall, 0) / walls.length;
      expect(Math.abs(mean / meanSeconds - 1)).toBeLessThan(0.02);
      const deviation = Math.sqrt(walls.reduce((sum, wall) => sum + (wall - mean) ** 2, 0) / walls.length);
      expect(Math.abs(deviation / Math.sqrt(varianceSeconds2) - 1)).toBeLessThan(0.15);
      for (const p of [0.1, 0.5, 0.9]) {
        const deadline = completionQuantile(run, p);
        if (deadline <= leastSeconds * 1.0001) continue;
        const share = walls.filter((wall) => wall <= deadline).length / walls.length;
        expect(Math.abs(share - probabilityWithin(run, deadline))).toBeLessThan(0.05);
      }
    }),
    { seed: 47, numRuns: 12 },
  );
});
