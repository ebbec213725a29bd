/**
 * Accuracy on a task with an interval, and whether two sides' right answers differ by more than chance.
 * Knows: counts. Does not know: prompts, models.
 */

export interface Accuracy {
  readonly right: number;
  readonly of: number;
  /** 95 % interval of Wilson 1927 (doi 10.1080/01621459.1927.10502953). */
  readonly low: number;
  readonly high: number;
}

/** 97.5th percentile of the standard normal. */
const z = 1.959963984540054;

export function accuracy(right: number, of: number): Accuracy {
  if (of === 0) return { right, of, low: 0, high: 1 };
  const share = right / of;
  const middle = (share + z ** 2 / (2 * of)) / (1 + z ** 2 / of);
  const half = (z / (1 + z ** 2 / of)) * Math.sqrt((share * (1 - share)) / of + z ** 2 / (4 * of ** 2));
  return { right, of, low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

/**
 * Two-sided exact probability of McNemar 1947 (doi 10.1007/BF02295996) that answers which only one side gets right fall as unevenly as
 * `onlyA` to `onlyB` when either side is as good; 1 where there are none.
 */
export function mcNemar(onlyA: number, onlyB: number): number {
  const discordant = onlyA + onlyB;
  if (discordant === 0) return 1;
  const fewer = Math.min(onlyA, onlyB);
  // Terms C(n, i) / 2^n by their logarithms, so that thousands of prompts do not overflow.
  let [logTerm, sum] = [-discordant * Math.LN2, 0];
  for (let index = 0; index <= fewer; index++) {
    sum += Math.exp(logTerm);
    logTerm += Math.log(discordant - index) - Math.log(index + 1);
  }
  return Math.min(1, 2 * sum);
}
