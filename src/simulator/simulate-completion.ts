/**
 * The distribution of a run's completion over many seeded replicas.
 * Knows: replicas, quantiles, the deadline. Does not know: what happens inside a replica.
 */
import { secondsPerDay } from "../spec/quantities.ts";
import type { RunQuestion } from "./run-question.ts";
import { type RunOutcome, RunSimulator } from "./simulate-run.ts";

export interface CompletionDistribution {
  /** Replicas simulated; fewer than asked for only when the run faults so often that more would take minutes. */
  replicas: number;
  /** Completion in days; a quantile that falls on replicas which never finished is Infinity. */
  days: { p10: number; p50: number; p90: number };
  probabilityCompleted: number;
  /** P(finished by the deadline), with the 90 % Wilson interval of the sampling error; undefined without a deadline. */
  probabilityByDeadline: number | undefined;
  probabilityInterval: readonly [number, number] | undefined;
  /** Means over replicas. */
  goodput: number;
  /** Faults that interrupt the run, and those of idle nodes while it waits for a repair. */
  failuresExpected: number;
  failuresWhileWaiting: number;
  failoversExpected: number;
  /** Mean share of wall time lost, by reason. */
  lostShare: Record<keyof RunOutcome["lost"], number>;
}

/** Faults over all replicas after which no further replica is started, unless told otherwise (some 10 s of computing). */
const FAULTS_BUDGET = 60_000_000;

/**
 * Simulates `replicas` (≥ 1) runs with seeds that follow from `seed`. Replica i of two questions uses the same draws, so
 * their difference is less noisy than either. No replica starts after `faultsBudget` faults over all. Throws RangeError for `replicas`; the question must be
 * complete and within its bounds (completion.ts checks one and fills its defaults).
 */
export function simulateCompletion(
  question: RunQuestion,
  replicas: number,
  seed: number,
  faultsBudget: number = FAULTS_BUDGET,
): CompletionDistribution {
  if (!Number.isInteger(replicas) || replicas < 1 || replicas > 1e6) throw new RangeError(`replicas ${replicas}`);
  const simulator = new RunSimulator(question);
  const wall: number[] = [];
  const sums = { goodput: 0, faults: 0, idleFaults: 0, failovers: 0, completed: 0, onTime: 0 };
  const lost = { checkpointSeconds: 0, reworkSeconds: 0, restartSeconds: 0, waitingSeconds: 0, slowSeconds: 0 };
  while (wall.length < replicas && sums.faults + sums.idleFaults < faultsBudget) {
    const outcome = simulator.run(seed * 1_000_003 + wall.length);
    wall.push(outcome.completed ? outcome.wallSeconds : Number.POSITIVE_INFINITY);
    sums.goodput += outcome.goodput;
    sums.faults += outcome.faults;
    sums.idleFaults += outcome.faultsWhileWaiting;
    sums.failovers += outcome.failovers;
    if (outcome.completed) sums.completed++;
    if (outcome.completed && outcome.wallSeconds <= (question.deadlineSeconds ?? 0)) sums.onTime++;
    for (const reason of Object.keys(lost) as (keyof typeof lost)[])
      lost[reason] += outcome.lost[reason] / outcome.wallSeconds;
  }
  const count = wall.length;
  wall.sort((a, b) => a - b);
  const hasDeadline = question.deadlineSeconds !== undefined;
  return {
    replicas: count,
    days: { p10: quantile(wall, 0.1), p50: quantile(wall, 0.5), p90: quantile(wall, 0.9) },
    probabilityCompleted: sums.completed / count,
    probabilityByDeadline: hasDeadline ? sums.onTime / count : undefined,
    probabilityInterval: hasDeadline ? wilsonInterval(sums.onTime, count) : undefined,
    goodput: sums.goodput / count,
    failuresExpected: sums.faults / count,
    failuresWhileWaiting: sums.idleFaults / count,
    failoversExpected: sums.failovers / count,
    lostShare: {
      checkpointSeconds: lost.checkpointSeconds / count,
      reworkSeconds: lost.reworkSeconds / count,
      restartSeconds: lost.restartSeconds / count,
      waitingSeconds: lost.waitingSeconds / count,
      slowSeconds: lost.slowSeconds / count,
    },
  };
}

/** Days at probability `p` of ascending wall seconds: the smallest value that at least a share p does not exceed. */
function quantile(sorted: readonly number[], p: number): number {
  return (sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN) / secondsPerDay;
}

/** 90 % interval of a share of `hits` among `count` (Wilson 1927). */
export function wilsonInterval(hits: number, count: number): readonly [number, number] {
  const z = 1.6448536269514722;
  const share = hits / count;
  const scale = 1 + (z * z) / count;
  const centre = (share + (z * z) / (2 * count)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / count + (z * z) / (4 * count * count));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
