/** The real supervisor through seeded faults: every one strikes, nothing forbidden happens, the weights are the undisturbed ones. */
import { describe, expect, test } from "vitest";
import { mishapRun, mishapSteps, restlessRun, scheduleSteps, tenFaults } from "./schedule.ts";
import { type SimulationResult, simulate, simulatedRun } from "./simulate.ts";

const replay = (seed: number): string => `replay: npm run simulate -- --seed ${seed}`;

const blocks = (seeds: number, size: number): number[][] =>
  Array.from({ length: seeds / size }, (_, block) => [block * size]);

async function weightsOf(steps: number): Promise<string | null | undefined> {
  const { state } = await simulate({ seed: 0, file: simulatedRun({ steps }) });
  return state.finished?.weightsSha256;
}

function expectGood(result: SimulationResult, seed: number): void {
  expect(result.violations, replay(seed)).toEqual([]);
  expect(result.state.phase, `${result.state.reasons.join("\n")}\n${replay(seed)}`).toBe("finished");
}

describe("ten faults over two pools", () => {
  test.each(blocks(400, 40))("seeds from %i on", async (from) => {
    const undisturbed = await weightsOf(scheduleSteps);
    expect(undisturbed).toMatch(/^[0-9a-f]{16}$/);
    for (let seed = from; seed < from + 40; seed++) {
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

describe("the whole run directory is full for a while, so that workers cannot say that they are well", () => {
  const full = (seed: number, from: number) => ({
    ...{ from, to: from + 1 + (seed % 40), leftoverBytes: 97 * (seed % 60), silencesWorkers: true },
  });

  test.each(blocks(150, 50))("a healthy run is left alone, seeds from %i on", async (from) => {
    for (let seed = from; seed < from + 50; seed++) {
      const file = simulatedRun({ steps: scheduleSteps, workers: 1 + (seed % 4) });
      const result = await simulate({ seed, file, diskFull: full(seed, 0.5 + (seed % 12)) });
      expectGood(result, seed);
      expect(result.state.faults, replay(seed)).toEqual([]);
      expect(result.state.attempts, replay(seed)).toBe(1);
      // With enough of a page left over it is told at once, else when there is space again; once in any case.
      const told = result.events.filter(({ type }) => type === "blinded" || type === "sighted");
      expect(
        told.map(({ type }) => type),
        `was never full; ${replay(seed)}`,
      ).toEqual(["blinded", "sighted"]);
    }
  });

  test("through faults it ends the same", async () => {
    const undisturbed = await weightsOf(scheduleSteps);
    for (let seed = 0; seed < 60; seed++) {
      const result = await simulate({ seed, file: tenFaults(seed), diskFull: full(seed, 0.2 + 0.5 * seed) });
      expectGood(result, seed);
      expect(result.state.finished?.weightsSha256, replay(seed)).toBe(undisturbed);
    }
  });
});

test("no file can be opened for a while, at any time: nothing is done meanwhile, and the run ends the same", async () => {
  const undisturbed = await weightsOf(scheduleSteps);
  for (let seed = 0; seed < 60; seed++) {
    const from = 0.2 + 0.5 * seed;
    const noDescriptors = { from, to: from + 1 + (seed % 40) };
    const result = await simulate({ seed, file: tenFaults(seed), noDescriptors });
    expectGood(result, seed);
    expect(result.state.finished?.weightsSha256, replay(seed)).toBe(undisturbed);
    const started = result.events[0]?.at ?? 0;
    const meanwhile = result.events.filter(({ at }) => at - started > from + 0.3 && at - started < noDescriptors.to);
    expect(meanwhile.filter(({ type }) => type === "launch-intended" || type === "decided")).toEqual([]);
    const healthy = await simulate({ seed, file: simulatedRun({ steps: scheduleSteps }), noDescriptors });
    expectGood(healthy, seed);
    expect(healthy.state.faults, replay(seed)).toEqual([]);
  }
});

describe("what no run file can ask for, with the supervisor killed as well", () => {
  test.each(blocks(600, 100))("seeds from %i on", async (from) => {
    const undisturbed = await weightsOf(mishapSteps);
    for (let seed = from; seed < from + 100; seed++) {
      const run = mishapRun(seed);
      const result = await simulate(run);
      const command = `${replay(seed)} --kind mishaps`;
      expect(result.violations, command).toEqual([]);
      expect(result.state.phase, `${result.state.reasons.join("\n")}\n${command}`).toBe("finished");
      expect(result.state.finished?.weightsSha256, command).toBe(undisturbed);
      for (const { kind, fired } of run.mishaps) expect(fired, `${kind} did not strike; ${command}`).toBeGreaterThan(0);
    }
  });
});

describe("a healthy run, however restless", () => {
  test.each(blocks(1000, 100))("seeds from %i on", async (from) => {
    for (let seed = from; seed < from + 100; seed++) {
      const result = await simulate(restlessRun(seed));
      const command = `${replay(seed)} --kind restless`;
      expect(result.violations, command).toEqual([]);
      expect(result.state.phase, `${result.state.reasons.join("\n")}\n${command}`).toBe("finished");
      expect(result.state.faults, `a false alarm; ${command}`).toEqual([]);
      expect(result.state.attempts, command).toBe(1);
    }
  });
});
