/**
 * What a step multiplies its gradient and its learning rate with: warm-up, cosine, clipping.
 * Knows: the run file's `train`. Does not know: tensors.
 */
import type { Train } from "../spec/run-file.ts";

type Rates = Pick<Train, "steps" | "learningRate" | "minLearningRate" | "warmupSteps">;

/**
 * Learning rate of `step` (from 1): linear to `learningRate` at step `warmupSteps`, then half a cosine down to
 * `minLearningRate` (a tenth of the peak where none is given) at the last step (Loshchilov & Hutter 2017, without restarts).
 */
export function learningRate(train: Rates, step: number): number {
  const { steps, warmupSteps, learningRate: peak } = train;
  if (step <= warmupSteps) return (peak * step) / warmupSteps;
  const floor = train.minLearningRate ?? peak / 10;
  const share = steps === warmupSteps ? 1 : Math.min(1, (step - warmupSteps) / (steps - warmupSteps));
  return floor + ((peak - floor) * (1 + Math.cos(Math.PI * share))) / 2;
}

/**
 * What the summed gradient is multiplied with: 1/`microBatches` makes the mean, and where the mean's L2 norm is above
 * `clip` it is scaled down to it (Pascanu et al. 2013). `clip` 0 does not clip.
 */
export function gradientScale(sumNorm: number, microBatches: number, clip: number): { scale: number; norm: number } {
  const norm = sumNorm / microBatches;
  return { norm, scale: clip > 0 && norm > clip ? clip / norm / microBatches : 1 / microBatches };
}
