/**
 * Notices that nothing is heard from the rank that is waited for.
 * Knows: when the wait began, when something was last heard, what is usual. Does not know: clocks, sockets; it is asked regularly.
 */
export interface SilenceWatch {
  /** From now on `peer` is waited for. */
  begin(peer: number, now: number): void;
  end(): void;
  /** A rank that computes is silent that long; silence is counted in multiples of it. */
  computed(seconds: number): void;
  waitingFor(): number | undefined;
  /** Asked every so often with when the peer was last heard: `silent` once per wait, `lost` when it went on four times as long. */
  check(now: number, heardAt: number): "silent" | "lost" | undefined;
}

const busyFactor = 5;
const lostFactor = 4;

/** All times in seconds of one monotonic clock. */
export function watchSilence(silentSeconds: number): SilenceWatch {
  let wait: { peer: number; since: number; doubts: number; isSaid: boolean } | undefined;
  let longest = 0;
  return {
    begin(peer, now) {
      wait = { peer, since: now, doubts: 0, isSaid: false };
    },
    end() {
      wait = undefined;
    },
    computed(seconds) {
      longest = Math.max(longest, seconds);
    },
    waitingFor: () => wait?.peer,
    check(now, heardAt) {
      if (wait === undefined) return undefined;
      const silence = now - Math.max(heardAt, wait.since);
      const limit = Math.max(silentSeconds, busyFactor * longest);
      // A process that stood still itself wakes up before it has read what came meanwhile: one look is no evidence.
      wait.doubts = silence > limit ? wait.doubts + 1 : 0;
      if (wait.doubts < 2) return undefined;
      if (silence > lostFactor * limit) return "lost";
      if (wait.isSaid) return undefined;
      wait.isSaid = true;
      return "silent";
    },
  };
}
