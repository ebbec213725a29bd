/**
 * Seeded fault schedules: ten faults over two pools, placed so that every one of them is bound to strike.
 * Knows: which faults end an attempt and which are mended in place. Does not know: what the supervisor does about them.
 */

import { type Mishap, mishap } from "../../src/launcher/simulated-mishap.ts";
import { type Random, random } from "../../src/spec/random.ts";
import type { EngineRunFile } from "../../src/spec/run-file.ts";
import { type Simulation, simulatedRun } from "./simulate.ts";

const ending = ["crash", "hang", "exit", "oom", "linkdown"] as const;
const mended = ["nan", "bitflip"] as const;
const bearable = ["slow", "linkslow", "nospace"] as const;

export const scheduleSteps = 40;

/**
 * The ascend pool may show two faults: three that end an attempt (the third makes the run leave it) and two that are
 * mended before; the nvidia pool gets five of any kind in later steps.
 */
export function tenFaults(seed: number): EngineRunFile {
  const dice = random(seed, "fault schedule");
  const workers = 2 + dice.below(3);
  const last = 14;
  const early = distinctSteps(dice, 4, { from: 2, below: last });
  const late = distinctSteps(dice, 5, { from: last + 2, below: 30 });
  const fault = (kind: string, step: number): object => {
    const flip = kind === "bitflip" && dice.below(2) === 0 ? { target: "checkpoint" } : {};
    return { kind, step, rank: dice.below(workers), ...flip };
  };
  const pick = <T>(kinds: readonly T[]): T => kinds[dice.below(kinds.length)] as T;
  const ascend = [
    ...early.slice(0, 2).map((step) => fault(pick(ending), step)),
    ...early.slice(2).map((step) => fault(pick(mended), step)),
    fault(pick(ending), last),
  ];
  const nvidia = late.map((step) => fault(pick([...ending, ...mended, ...bearable]), step));
  return simulatedRun({
    steps: scheduleSteps,
    workers,
    spares: dice.below(2),
    faults: { ascend, nvidia },
    failover: { maxFaultsPerPool: 2, maxFaultsPerProductiveHour: 1e9 },
  });
}

/** Jitter, compile pauses, slow checkpoints and evaluation pauses as healthy jobs show them. */
export function restlessRun(seed: number): Simulation {
  const dice = random(seed, "temper");
  const temper = {
    jitter: 0.3 * dice.uniform(),
    pauseChance: 0.1 * dice.uniform(),
    pauseSeconds: 60 * dice.uniform(),
    startSeconds: 90 * dice.uniform(),
    stepSeconds: 0.05 + 2 * dice.uniform(),
  };
  return { seed, temper, file: simulatedRun({ steps: 30, workers: 1 + (seed % 4) }) };
}

export const mishapSteps = 20;

/** Up to four mishaps that no run file can ask for, in steps of their own, with a kill of the supervisor or two. */
export function mishapRun(seed: number): Simulation & { mishaps: readonly Mishap[] } {
  const dice = random(seed, "mishaps");
  const workers = 2 + dice.below(2);
  const found = distinctSteps(dice, 1 + dice.below(4), { from: 2, below: mishapSteps });
  const mishaps = found.map((step): Mishap => {
    const rank = dice.below(workers);
    const kinds: readonly Parameters<typeof mishap>[0][] = [
      { kind: "end", code: null, signal: "SIGSEGV", step, rank },
      { kind: "end", code: 0, signal: null, step, rank },
      { kind: "end", code: 1, signal: null, lines: [`RuntimeError: at step ${step}`], step, rank },
      { kind: "stop", step, rank },
      { kind: "stuck", step, rank },
      { kind: "unheard", step, rank },
      { kind: "flap", step, rank },
      { kind: "kill-saving", step },
      { kind: "disk-refuses", detail: "EIO", step },
      { kind: "agent-dies", step },
      { kind: "spike", factor: 8, step },
      { kind: "zombie", step, rank },
    ];
    return mishap(kinds[dice.below(kinds.length)] ?? { kind: "stuck", step, rank });
  });
  const kills = Array.from({ length: dice.below(3) }, () => ({
    append: 1 + dice.below(60),
    when: (["before", "after", "torn"] as const)[dice.below(3)] ?? "torn",
  }));
  const file = simulatedRun({ steps: mishapSteps, workers, spares: dice.below(2) });
  return { seed, mishaps, kills, file };
}

function distinctSteps(dice: Random, count: number, { from, below }: { from: number; below: number }): number[] {
  const steps = new Set<number>();
  while (steps.size < count) steps.add(from + dice.below(below - from));
  return [...steps];
}
