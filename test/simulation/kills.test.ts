/** The supervisor is killed after every single append of a run through faults; whoever comes next loses and doubles nothing. */
import { describe, expect, test } from "vitest";
import { random } from "../../src/spec/random.ts";
import { scheduleSteps, tenFaults } from "./schedule.ts";
import { type Kill, type SimulationResult, simulate, simulatedRun } from "./simulate.ts";

const seed = 7;
const undisturbed = await simulate({ seed, file: simulatedRun({ steps: scheduleSteps }) });
const faulty = await simulate({ seed, file: tenFaults(seed) });

function expectSameEnd(result: SimulationResult, replay: string): void {
  expect(result.violations, replay).toEqual([]);
  expect(result.state.phase, replay).toBe("finished");
  expect(result.state.finished?.weightsSha256, replay).toBe(undisturbed.state.finished?.weightsSha256);
  expect(result.state.strikes.length, replay).toBe(10);
}

/** Runs `tenFaults(seed)` with a kill at each append in turn. */
async function killAtEach(when: Kill["when"], from: number, below: number): Promise<void> {
  for (let append = from; append < below; append++) {
    const result = await simulate({ seed, file: tenFaults(seed), kills: [{ append, when }] });
    expectSameEnd(
      result,
      `killed ${when} append ${append}; replay: npm run simulate -- --seed ${seed} --kill ${when}:${append}`,
    );
    expect(result.killed, `nobody was killed ${when} append ${append}`).toBe(1);
  }
}

describe.each(["after", "before", "torn"] as const)("a kill %s each append", (when) => {
  const blocks = 6;
  const size = Math.ceil(faulty.appends / blocks);
  test.each(Array.from({ length: blocks }, (_, block) => [block * size + 1]))("from append %i on", async (from) => {
    expect(faulty.appends).toBeGreaterThan(50);
    await killAtEach(when, from, Math.min(from + size, faulty.appends + 1));
  });
});

test("many kills in one run", async () => {
  for (let round = 0; round < 40; round++) {
    const dice = random(round, "kills");
    const kills = Array.from({ length: 20 }, () => ({
      append: 1 + dice.below(120),
      when: (["before", "after", "torn"] as const)[dice.below(3)] ?? "torn",
    }));
    const result = await simulate({ seed: round, file: tenFaults(round), kills });
    const spelled = kills.map(({ append, when }) => `${when}:${append}`).join(",");
    expectSameEnd(result, `replay: npm run simulate -- --seed ${round} --kill ${spelled}`);
  }
});
