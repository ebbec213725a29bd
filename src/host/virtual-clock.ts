/**
 * Time for simulations: it passes only while somebody waits, and then in leaps from one scheduled event to the next.
 * Knows: one total order of events, (time, order of scheduling). Does not know: what events do.
 */
import type { Clock } from "./clock.ts";

export interface VirtualClock extends Clock {
  /** Runs `event` when `seconds` have passed; the function returned takes it back. */
  schedule(seconds: number, event: () => void): () => void;
  /** Lets time pass for everybody else while the caller does nothing: a system call that blocks. */
  block(seconds: number): void;
  /** The wall clock is set: it jumps by this much, and monotonic time does not. */
  setWall(bySeconds: number): void;
  /** Ends the wait of whoever waits for a wake-up. */
  wakeUp(): void;
}

interface Scheduled {
  readonly at: number;
  readonly seq: number;
  readonly event: () => void;
  cancelled: boolean;
}

export function virtualClock(startSeconds = 1_000): VirtualClock {
  const heap: Scheduled[] = [];
  let now = startSeconds;
  let seq = 0;
  let woken = false;
  let wallAhead = 1_700_000_000;
  const before = (a: Scheduled, b: Scheduled): boolean => a.at < b.at || (a.at === b.at && a.seq < b.seq);

  const push = (entry: Scheduled): void => {
    let place = heap.push(entry) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || before(above, entry)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = entry;
  };

  const pop = (): Scheduled | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && before(right, left)) child++;
      const smaller = heap[child];
      if (smaller === undefined || before(last, smaller)) break;
      heap[place] = smaller;
      place = child;
    }
    heap[place] = last;
    return first;
  };

  const pass = (until: number, isOver: () => boolean): void => {
    while (!isOver()) {
      const next = heap[0];
      if (next === undefined || next.at > until) {
        now = Math.max(now, until);
        break;
      }
      pop();
      now = Math.max(now, next.at);
      if (!next.cancelled) next.event();
    }
  };

  return {
    monotonicSeconds: () => now,
    wallSeconds: () => wallAhead + now,
    block: (seconds) => pass(now + seconds, () => false),
    setWall(bySeconds) {
      wallAhead += bySeconds;
    },
    schedule(seconds, event) {
      const entry = { at: now + Math.max(0, seconds), seq: seq++, event, cancelled: false };
      push(entry);
      return () => {
        entry.cancelled = true;
      };
    },
    wakeUp() {
      woken = true;
    },
    async wait(seconds, wake) {
      if (wake === undefined) woken = false;
      pass(now + seconds, () => woken && wake !== undefined);
      if (wake !== undefined) woken = false;
    },
  };
}
