/** The real supervisor through seeded faults: every one strikes, nothing forbidden happens, the weights are the undisturbed ones. */
import { describe, expect, test } from "vitest";
import type { Temper } from "../../src/launcher/simulated-cluster.ts";
import { random } from "../../src/spec/random.ts";
import { scheduleSteps, tenFaults } from "./schedule.ts";
import { type SimulationResult, simulate, simulatedRun } from "./simulate.ts";

const replay = (seed: number): string => `replay: npm run simulate -- --seed ${seed}`;

async function weightsOf(steps: number): Promise<string | null | undefined> {
  const { state } = await simulate({ seed: 0, file: simulatedRun({ steps }) });
  return state.finished?.weightsSha256;
}

function expectGood(result: SimulationResult, seed: number): void {
  expect(result.violations, replay(seed)).toEqual([]);
  expect(result.state.phase, `${result.state.reasons.join("\n")}\n${replay(seed)}`).toBe("finished");
}

describe("ten faults over two pools", () => {
  test.each(Array.from({ length: 10 }, (_, block) => [block * 20]))("seeds from %i on", async (from) => {
    const undisturbed = await weightsOf(scheduleSteps);
    expect(undisturbed).toMatch(/^[0-9a-f]{16}$/);
    for (let seed = from; seed < from + 20; seed++) {
      const result = await simulate({ seed, file: tenFaults(seed) });
      expectGood(result, seed);
      expect(result.state.strikes.length, `a fault did not strike; ${replay(seed)}`).toBe(10);
      expect(result.state.finished?.weightsSha256, replay(seed)).toBe(undisturbed);
      expect(result.state.failovers, replay(seed)).toBe(1);
    }
  });
});

test("the journal's disk is full for a while, at any time: nothing is decided meanwhile, and the run ends the same", async () => {
  const undisturbed = await weightsOf(scheduleSteps);
  for (let seed = 0; seed < 40; seed++) {
    const from = 0.2 + 0.7 * seed;
    const result = await simulate({ seed, file: tenFaults(seed), diskFull: { from, to: from + 1 + (seed % 30) } });
    expectGood(result, seed);
    expect(result.state.finished?.weightsSha256, replay(seed)).toBe(undisturbed);
    const meanwhile = result.events.filter(
      ({ at }) => at - (result.events[0]?.at ?? 0) > from + 0.3 && at - (result.events[0]?.at ?? 0) < from + 1,
    );
    expect(meanwhile, replay(seed)).toEqual([]);
  }
});

describe("a healthy run, however restless", () => {
  test.each(Array.from({ length: 10 }, (_, block) => [block * 20]))("seeds from %i on", async (from) => {
    for (let seed = from; seed < from + 20; seed++) {
      const result = await simulate({
        seed,
        temper: restless(seed),
        file: simulatedRun({ steps: 60, workers: 1 + (seed % 4) }),
      });
      expectGood(result, seed);
      expect(result.state.faults, `a false alarm; ${replay(seed)}`).toEqual([]);
      expect(result.state.attempts, replay(seed)).toBe(1);
    }
  });
});

/** Jitter, compile pauses, slow checkpoints and evaluation pauses as healthy jobs show them. */
function restless(seed: number): Temper {
  const dice = random(seed, "temper");
  return {
    jitter: 0.3 * dice.uniform(),
    pauseChance: 0.1 * dice.uniform(),
    pauseSeconds: 60 * dice.uniform(),
    startSeconds: 90 * dice.uniform(),
    stepSeconds: 0.05 + 2 * dice.uniform(),
  };
}
