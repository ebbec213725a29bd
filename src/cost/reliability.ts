/**
 * What failures cost a run on average, in closed form, and when it is likely to be done.
 * Knows: rates, checkpoints, restarts. Does not know: causes, spares, queues; the simulator does.
 */

/** Seconds and rates of a run's failures and checkpoints. */
export interface FailureCosts {
  /** Failures that stop the whole run, per second. */
  readonly failuresPerSecond: number;
  readonly checkpointSeconds: number;
  /** From the failure until somebody has noticed. */
  readonly detectSeconds: number;
  /** From noticing until the first new step. */
  readonly restartSeconds: number;
}

export interface Goodput {
  /** Productive time over wall time (ETTR), in (0, 1]. */
  readonly goodput: number;
  /** Seconds between checkpoints that make it largest. */
  readonly checkpointIntervalSeconds: number;
}

/**
 * ETTR ≈ 1 / [1 + C/τ + λ(τ/2 + R + D)] at τ* = √(2C/λ) (Young 1974, doi:10.1145/361147.361115; Kokolis et al. 2024,
 * arXiv:2410.21680 §5). Holds while λ(τ + R + D) is well below 1. No failures: goodput 1 and no checkpoints wanted.
 */
export function goodputClosedForm({
  failuresPerSecond,
  checkpointSeconds,
  detectSeconds,
  restartSeconds,
}: FailureCosts): Goodput {
  if (failuresPerSecond <= 0) return { goodput: 1, checkpointIntervalSeconds: Number.POSITIVE_INFINITY };
  const interval = Math.sqrt((2 * checkpointSeconds) / failuresPerSecond);
  const overhead = checkpointSeconds / interval + failuresPerSecond * (interval / 2 + restartSeconds + detectSeconds);
  return { goodput: 1 / (1 + overhead), checkpointIntervalSeconds: interval };
}

/** Days until a run is done. */
export interface Completion {
  readonly days: { readonly p10: number; readonly p50: number; readonly p90: number };
  /** Failures expected until it is done. */
  readonly failuresExpected: number;
  /** P(done within the deadline); null without one. */
  readonly probabilityByDeadline: number | null;
}

/**
 * Completion of `productiveSeconds` of work: each of a Poisson number of failures loses up to an interval plus the restart,
 * and the step time itself is only known to `stepDeviation` (relative standard deviation of the model's error) while
 * failure rates of real pools vary by `rateDeviation` about their class. A lognormal with the matching mean and variance.
 */
export function completion(
  productiveSeconds: number,
  costs: FailureCosts,
  {
    stepDeviation,
    rateDeviation,
    deadlineSeconds,
  }: { stepDeviation: number; rateDeviation: number; deadlineSeconds: number | null },
): Completion {
  const { goodput, checkpointIntervalSeconds } = goodputClosedForm(costs);
  const mean = productiveSeconds / goodput;
  const failures = costs.failuresPerSecond * mean;
  const perFailure = failures > 0 ? checkpointIntervalSeconds / 2 + costs.restartSeconds + costs.detectSeconds : 0;
  const lost = failures * perFailure;
  const poisson = failures > 0 ? (failures * (perFailure ** 2 + checkpointIntervalSeconds ** 2 / 12)) / mean ** 2 : 0;
  const variance = stepDeviation ** 2 + poisson + ((lost / mean) * rateDeviation) ** 2;
  const sigma = Math.sqrt(Math.log(1 + variance));
  const middle = Math.log(mean) - sigma ** 2 / 2;
  const quantile = (z: number): number => Math.exp(middle + z * sigma) / 86400;
  return {
    days: { p10: quantile(-1.2815515655), p50: quantile(0), p90: quantile(1.2815515655) },
    failuresExpected: failures,
    probabilityByDeadline: deadlineSeconds === null ? null : probabilityBelow(Math.log(deadlineSeconds), middle, sigma),
  };
}

function probabilityBelow(value: number, middle: number, sigma: number): number {
  if (sigma === 0) return value >= middle ? 1 : 0;
  return normalBelow((value - middle) / sigma);
}

/** P(standard normal < z), Abramowitz & Stegun 26.2.17, error below 7.5e-8. */
export function normalBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail =
    (Math.exp(-(z * z) / 2) / Math.sqrt(2 * Math.PI)) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z >= 0 ? 1 - tail : tail;
}
