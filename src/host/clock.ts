/**
 * Time as everything that waits or measures sees it.
 * Knows: the host's two clocks. Does not know: what is waited for. Only monotonic time decides; wall time is for people.
 */
export interface Clock {
  /** CLOCK_MONOTONIC; comparable between processes of one host and boot. */
  monotonicSeconds(): number;
  /** Seconds since 1970; may jump. */
  wallSeconds(): number;
  /** Resolves after `seconds`, or as soon as `wake` resolves. */
  wait(seconds: number, wake?: Promise<unknown>): Promise<void>;
}

export const systemClock: Clock = {
  monotonicSeconds: () => Number(process.hrtime.bigint()) / 1e9,
  wallSeconds: () => Date.now() / 1000,
  wait(seconds, wake) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      wake?.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  },
};
