/**
 * One optimizer step over an arena: AdamW on what has a gradient, the sign of the load on routing biases.
 * Knows: which parameter is updated how. Does not know: where the gradient came from.
 */
import type { Train } from "../spec/run-file.ts";
import { type Arena, type Stretch, tensorOf } from "./arena.ts";
import type { Kernels } from "./kernels.ts";
import { gradientScale, learningRate } from "./schedule.ts";

/** Per parameter updated by gradient, in order: where a non-finite value is tells what broke. */
export interface GradientNorm {
  /** L2 norm of the sum over micro-batches; not finite where an element is not. */
  readonly sumNorm: number;
  /** The first parameter with a NaN or Inf in its gradient. */
  readonly notFinite: string | undefined;
}

/** L2 norm of an accumulator, parameter by parameter in the layout's order, in float64. */
export function gradientNorm(kernels: Kernels, arena: Arena, accumulator: Stretch): GradientNorm {
  let squares = 0;
  let notFinite: string | undefined;
  for (const slot of arena.layout.parameters) {
    if (slot.spec.update === "routing-bias") continue;
    const square = kernels.squaredNorm(accumulator.bytes + slot.offset * 4, slot.padded);
    if (!Number.isFinite(square)) notFinite ??= slot.name;
    squares += square;
  }
  for (const slot of arena.layout.sums) {
    if (!tensorOf(accumulator, slot).every(Number.isFinite)) notFinite ??= slot.name;
  }
  return { sumNorm: notFinite === undefined ? Math.sqrt(squares) : Number.NaN, notFinite };
}

/** Applies step `step` (from 1) to the parameters; `accumulator` holds the sum over all micro-batches and is left as it is. */
export function update(
  { kernels, arena }: { kernels: Kernels; arena: Arena },
  accumulator: Stretch,
  told: { train: Train; step: number; microBatches: number; sumNorm: number },
): { gradNorm: number } {
  const { train, step } = told;
  const { scale, norm } = gradientScale(told.sumNorm, told.microBatches, train.gradientClip);
  const { beta1, beta2, epsilon } = train;
  const rate = learningRate(train, step);
  for (const slot of arena.layout.parameters) {
    if (slot.spec.update === "routing-bias") continue;
    const weightDecay = slot.spec.update === "gradient" ? train.weightDecay : 0;
    const at = slot.offset * 4;
    kernels.adamw(
      {
        ...{ parameters: arena.parameters.bytes + at, m: arena.m.bytes + at, v: arena.v.bytes + at },
        ...{ gradient: accumulator.bytes + at, count: slot.padded },
      },
      { gradientScale: scale, learningRate: rate, weightDecay, beta1, beta2, epsilon, step },
    );
  }
  balance(arena, accumulator, train.routingBiasSpeed);
  return { gradNorm: norm };
}

/**
 * Raises the routing bias of experts with less than the mean load and lowers it for those with more, by a fixed step
 * (auxiliary-loss-free balancing, DeepSeek-V3 report §2.1.2, https://arxiv.org/abs/2412.19437).
 */
function balance(arena: Arena, accumulator: Stretch, speed: number): void {
  const biases = arena.layout.parameters.filter(({ spec }) => spec.update === "routing-bias");
  const loads = arena.layout.sums.filter(({ name }) => name.startsWith("load/"));
  for (const slot of biases) {
    const layer = /layers\.(\d+)\./.exec(slot.name)?.[1];
    const load = loads.find(({ name }) => name === `load/${layer}`);
    if (load === undefined) throw new Error(`no load for routing bias ${slot.name}`);
    const bias = tensorOf(arena.parameters, slot);
    const tokens = tensorOf(accumulator, load);
    const mean = tokens.reduce((sum, count) => sum + count, 0) / tokens.length;
    for (let expert = 0; expert < bias.length; expert++) {
      bias[expert] = bias[expert]! + speed * Math.sign(mean - tokens[expert]!);
    }
  }
}
