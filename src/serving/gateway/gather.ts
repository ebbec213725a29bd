/**
 * Puts off small works by a moment, all of them with one timer, so that what comes meanwhile can join them.
 * Knows: a timer, how busy this process is. Does not know: what is put off.
 * An idle process has no reason to wait; a busy one answers everybody sooner when it does the same with fewer system calls.
 */
import { performance } from "node:perf_hooks";

export interface Gathering {
  /** How long a work may be put off at `now`, in milliseconds; both of `performance.now()`. */
  moment(now: number): number;
  /** Calls `work` after the moment; once for each time it was given. */
  later(work: () => void): void;
}

export interface GatheringOptions {
  readonly millisecondsMin: number;
  readonly millisecondsMax: number;
  /** Share of the time since it was last asked for which this process was busy, 0 to 1. */
  readonly busy?: () => number;
}

const lookMilliseconds = 50;
/** The moment doubles above the one and halves below the other. */
const busyShare = 0.9;
const calmShare = 0.6;

export function gathering({ millisecondsMin, millisecondsMax, busy = busyLately() }: GatheringOptions): Gathering {
  let works: (() => void)[] = [];
  let milliseconds = millisecondsMin;
  let lookedAt = Number.NEGATIVE_INFINITY;
  const doAll = (): void => {
    const due = works;
    works = [];
    for (const work of due) work();
  };
  return {
    moment(now) {
      if (now - lookedAt >= lookMilliseconds) {
        lookedAt = now;
        const share = busy();
        if (share > busyShare) milliseconds = Math.min(millisecondsMax, 2 * milliseconds);
        else if (share < calmShare) milliseconds = Math.max(millisecondsMin, milliseconds / 2);
      }
      return milliseconds;
    },
    later(work) {
      if (works.push(work) === 1) setTimeout(doAll, milliseconds);
    },
  };
}

function busyLately(): () => number {
  let last = performance.eventLoopUtilization();
  return () => {
    const next = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(next, last);
    last = next;
    return utilization;
  };
}
