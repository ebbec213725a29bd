/**
 * Completion of a run at a known fault rate, in closed form: mean, variance and P(done by a deadline).
 * Knows: the renewal process of checkpointed work. Does not know: where the rate comes from, spares, failover; for those
 * there is the simulator, which agrees with this where both apply.
 */
import { gammaProbability, gammaQuantile } from "./evidence-distributions.ts";

export interface CheckpointedRun {
  /** Seconds of work without faults and checkpoints. */
  productiveSeconds: number;
  /** Faults per second that stop the run (≥ 0). */
  hazard: number;
  checkpointStallSeconds: number;
  /** From a fault to the first step after it; faults in it start it over. */
  downSeconds: number;
  /** Left out: √(2 · stall / hazard), at least 10 s (Young 1974, https://doi.org/10.1145/361147.361115). */
  checkpointIntervalSeconds?: number;
}

export interface CompletionMoments {
  intervalSeconds: number;
  /** Seconds without any fault: what the run takes at least. */
  leastSeconds: number;
  meanSeconds: number;
  varianceSeconds2: number;
}

/**
 * Mean and variance of the seconds to completion. A segment of length L succeeds with p = e^(−λL); each failed try costs a
 * truncated exponential and a down time that itself must pass without fault. The mean is Daly's (2006, equation 13,
 * https://doi.org/10.1016/j.future.2004.11.016). Infinite when a segment has less than one chance in e^50.
 */
export function completionMoments(run: CheckpointedRun): CompletionMoments {
  const { productiveSeconds, hazard, checkpointStallSeconds: stall, downSeconds } = run;
  const optimum = hazard === 0 ? productiveSeconds : Math.sqrt((2 * stall) / hazard);
  const interval = Math.min(productiveSeconds, run.checkpointIntervalSeconds ?? Math.max(10, optimum));
  const segments = productiveSeconds / interval;
  const length = interval + stall;
  const leastSeconds = segments * length;
  if (hazard === 0) return { intervalSeconds: interval, leastSeconds, meanSeconds: leastSeconds, varianceSeconds2: 0 };
  if (hazard * Math.max(length, downSeconds) > 50)
    return { intervalSeconds: interval, leastSeconds, meanSeconds: Number.POSITIVE_INFINITY, varianceSeconds2: 0 };
  const success = Math.exp(-hazard * length);
  const failure = -Math.expm1(-hazard * length);
  const failedTries = failure / success;
  // Truncated exponential on [0, L], and the time until `downSeconds` pass undisturbed.
  const tryMean = 1 / hazard - (length * success) / failure;
  const tryVariance = 1 / hazard ** 2 - (length ** 2 * success) / failure ** 2;
  const growth = hazard * downSeconds;
  const downMean = Math.expm1(growth) / hazard;
  const downVariance = (Math.exp(2 * growth) - 2 * growth * Math.exp(growth) - 1) / hazard ** 2;
  const costMean = tryMean + downMean;
  const meanSeconds = segments * (length + failedTries * costMean);
  const perSegment = failedTries * (tryVariance + downVariance) + (failure / success ** 2) * costMean ** 2;
  return { intervalSeconds: interval, leastSeconds, meanSeconds, varianceSeconds2: segments * Math.max(0, perSegment) };
}

/**
 * P(the run is done within `seconds`). With the chance e^(−λ · least) no fault comes and the run takes its least time;
 * otherwise the time lost is taken as gamma with the mean and variance that remain.
 */
export function probabilityWithin(run: CheckpointedRun, seconds: number): number {
  const { leastSeconds, noFault, shape, scaleSeconds } = lostTime(run);
  if (seconds < leastSeconds) return 0;
  if (shape === undefined) return noFault;
  return noFault + (1 - noFault) * gammaProbability(shape, (seconds - leastSeconds) / scaleSeconds);
}

/** Seconds within which the run is done with `probability` (in (0, 1)); Infinity when it never is. */
export function completionQuantile(run: CheckpointedRun, probability: number): number {
  const { leastSeconds, noFault, shape, scaleSeconds } = lostTime(run);
  if (probability <= noFault) return leastSeconds;
  if (shape === undefined) return Number.POSITIVE_INFINITY;
  return leastSeconds + gammaQuantile(shape, (probability - noFault) / (1 - noFault)) * scaleSeconds;
}

/** Distribution of the seconds lost given that at least one fault comes; no `shape` when that never or always ends the run. */
function lostTime(run: CheckpointedRun) {
  const { leastSeconds, meanSeconds, varianceSeconds2 } = completionMoments(run);
  if (meanSeconds === Number.POSITIVE_INFINITY) return { leastSeconds, noFault: 0, shape: undefined, scaleSeconds: 0 };
  const lost = meanSeconds - leastSeconds;
  if (lost <= 0 || varianceSeconds2 <= 0) return { leastSeconds, noFault: 1, shape: undefined, scaleSeconds: 0 };
  const noFault = Math.exp(-run.hazard * leastSeconds);
  const mean = lost / (1 - noFault);
  const variance = Math.max((varianceSeconds2 + lost ** 2) / (1 - noFault) - mean ** 2, 1e-9 * mean ** 2);
  return { leastSeconds, noFault, shape: mean ** 2 / variance, scaleSeconds: variance / mean };
}
