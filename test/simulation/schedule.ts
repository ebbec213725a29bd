/**
 * Seeded fault schedules: ten faults over two pools, placed so that every one of them is bound to strike.
 * Knows: which faults end an attempt and which are mended in place. Does not know: what the supervisor does about them.
 */

import { type Random, random } from "../../src/spec/random.ts";
import type { RunFile } from "../../src/spec/run-file.ts";
import { simulatedRun } from "./simulate.ts";

const ending = ["crash", "hang", "exit", "oom", "linkdown"] as const;
const mended = ["nan", "bitflip"] as const;
const bearable = ["slow", "linkslow", "nospace"] as const;

export const scheduleSteps = 40;

/**
 * The ascend pool may show two faults: three that end an attempt (the third makes the run leave it) and two that are
 * mended before; the nvidia pool gets five of any kind in later steps.
 */
export function tenFaults(seed: number): RunFile {
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

function distinctSteps(dice: Random, count: number, { from, below }: { from: number; below: number }): number[] {
  const steps = new Set<number>();
  while (steps.size < count) steps.add(from + dice.below(below - from));
  return [...steps];
}
