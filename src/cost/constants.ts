/**
 * The free constants of the training cost model: their names, first guesses and plausible spread.
 * Knows: what each constant means. Does not know: fitted values (catalog/calibration.ts), rows or models.
 *
 * A constant is a positive number; fractions (`…Exposed`) are fitted as numbers too and capped at 1 where they are used.
 * A spread of 0 keeps a constant at its guess: earlier fits left it near that, so it is not counted as free.
 * `spread` is the standard deviation of the prior on its logarithm: the fit is pulled to the guess with that strength.
 */
export interface ConstantPrior {
  readonly guess: number;
  readonly spread: number;
  readonly meaning: string;
}

const prior = (guess: number, spread: number, meaning: string): ConstantPrior => ({ guess, spread, meaning });

/** Chips by generation: what one compute kernel reaches is a property of the generation, not of the product name. */
export const chipClasses = ["ampere", "hopper", "blackwell", "blackwellUltra", "ascend", "tpu", "other"] as const;
export type ChipClass = (typeof chipClasses)[number];

/** Software stacks by how they launch, fuse and overlap. */
const fittedStacks = [
  "megatron-2021",
  "megatron-2022",
  "megatron-core",
  "megascale",
  "bridge",
  "fsdp",
  "torchtitan",
  "deepspeed",
  "mindspeed",
  "maxtext",
] as const;
/** DeepSeek's own software is modelled from its report alone (deepseek.ts): no run of it is fitted and it has no constant. */
export const stacks = [...fittedStacks, "deepseek"] as const;
export type Stack = (typeof stacks)[number];

/** How much slower than the model a stack as a whole is: fitted, or 1 where nothing was. */
export function stackScale(constants: Constants, stack: Stack): number {
  return stack === "deepseek" ? 1 : constants[`stack.${stack}`];
}

export const constantPriors = {
  "gemm.ampere": prior(0.86, 0.06, "share of dense peak a large GEMM reaches"),
  "gemm.hopper": prior(0.78, 0.06, "share of dense peak a large GEMM reaches"),
  "gemm.blackwell": prior(0.75, 0.06, "share of dense peak a large GEMM reaches"),
  "gemm.blackwellUltra": prior(0.78, 0.06, "share of dense peak a large GEMM reaches"),
  "gemm.ascend": prior(0.8, 0.1, "share of dense peak a large GEMM reaches"),
  "gemm.tpu": prior(0.75, 0.15, "share of dense peak a large GEMM reaches"),
  "gemm.other": prior(0.7, 0.2, "share of dense peak a large GEMM reaches"),
  "fp8.hopper": prior(0.85, 0.2, "share of the doubled peak that FP8 keeps, relative to bf16"),
  "narrow.blackwell": prior(0.08, 0.5, "time of a product that does not shrink with the width of its format, share"),
  quantize: prior(4, 0.5, "bytes per activation value of casting to 8 or 4 bits"),
  "gemm.operands": prior(0.5, 0.5, "share of operand traffic that a GEMM does not hide"),
  "gemm.prologue": prior(100, 0.5, "depth of a product at which starting and ending its tiles costs as much as itself"),
  "gemm.grouped": prior(3, 0.5, "that depth of grouped expert products, relative to dense ones"),
  "attention.ampere": prior(0.55, 0.3, "share of bf16 peak of fused attention"),
  "attention.hopper": prior(0.5, 0.15, "share of bf16 peak of fused attention"),
  "attention.blackwell": prior(0.5, 0.15, "share of bf16 peak of fused attention"),
  "attention.blackwellUltra": prior(0.6, 0.15, "share of bf16 peak of fused attention"),
  "attention.ascend": prior(0.5, 0.2, "share of bf16 peak of fused attention"),
  "attention.older": prior(0.65, 0.5, "rate of FlashAttention-2 relative to kernels written for Hopper and later"),
  "attention.headDim": prior(24, 0.5, "head width at which fused attention has lost half"),
  softmax: prior(7, 0.4, "bytes per score value of unfused attention, forward"),
  elementwise: prior(18, 0.3, "memory passes over the hidden values of a layer, forward"),
  activation: prior(3, 0.3, "memory passes over the MLP's inner values, forward"),
  scan: prior(8, 1, "memory passes over a recurrent mixer's inner values, forward"),
  "quantize.fp4": prior(1.5, 0.4, "cost of casting to 4 bits relative to 8"),
  uneven: prior(0.5, 0.5, "share of a pipeline's uneven split that its step pays"),
  "moe.permute": prior(6, 0.4, "memory passes over routed tokens, forward"),
  "moe.biases": prior(1.8, 0.3, "passes over routed tokens where experts have biases, relative to without"),
  memory: prior(0.8, 0.08, "share of memory bandwidth that elementwise kernels reach"),
  "link.intra": prior(0.75, 0.15, "share of the scale-up link that collectives reach"),
  "link.inter": prior(0.7, 0.2, "share of the scale-out network that collectives reach"),
  "link.scatter": prior(0.6, 0.4, "all-to-all bandwidth relative to rings, across domains"),
  "link.half": prior(4e6, 0.7, "bytes at which a collective reaches half its bandwidth"),
  headImbalance: prior(0.3, 0.5, "share of the output head that the fullest pipeline stage carries extra"),
  bubble: prior(1, 0.08, "pipeline bubble relative to the ideal schedule"),
  optimizer: prior(24, 0.2, "bytes moved per local parameter by an Adam step"),
  jitter: prior(0.006, 0.6, "relative deviation of one rank's step"),
  "recompute.full": prior(1, 0.1, "forward passes that full recompute adds"),
  "moe.imbalance": prior(1.1, 0.15, "load of the fullest expert rank without forced balance"),
  layerLaunch: prior(400e-6, 1, "seconds per layer and micro-batch of launch gaps, forward and backward"),
  "moe.launch": prior(600e-6, 1, "further seconds per mixture layer and micro-batch"),
  stepOverhead: prior(0.03, 0.7, "seconds per step outside the model: data, logging, gradient norm"),
  "tensor.megatron-2021": prior(0.95, 0, "share of tensor-parallel traffic left exposed"),
  "tensor.overlapped": prior(0.45, 0.4, "share of tensor-parallel traffic left exposed by stacks that overlap it"),
  "tensor.ascend": prior(0.6, 0, "share of tensor-parallel traffic left exposed with fused kernels (MC2)"),
  "context.exposed": prior(0.3, 0.5, "share of context-parallel traffic left exposed"),
  "expert.exposed": prior(0.7, 0.4, "share of all-to-all left exposed"),
  "expert.overlapped": prior(0.4, 0.4, "share of all-to-all left exposed where interleaving lets it overlap"),
  "release.moe": prior(0.7, 0.3, "yearly factor on mixture overheads of one stack's releases"),
  "release.all": prior(1, 0.1, "yearly factor on everything of one stack's releases"),
  "moe.static": prior(0.4, 0.4, "mixture launch gaps with fixed capacity (dropped tokens) relative to dropless"),
  "moe.graphs": prior(0.3, 0.5, "launch gaps of mixtures whose whole steps run as graphs, relative to none"),
  "moe.scoped": prior(0.6, 0.4, "launch gaps of mixtures whose attention and routing run as graphs, relative to none"),
  "moe.fused": prior(
    0.5,
    0.4,
    "passes over routed tokens where one kernel runs the experts, relative to separate ones",
  ),
  "moe.ascend": prior(2, 0.8, "mixture overheads on Ascend relative to CUDA"),
  misaligned: prior(2, 1, "slowdown of attention whose head width is no multiple of 8"),
  "launch.ascend": prior(1.5, 0.4, "launch gaps relative to CUDA"),
  blockScaled: prior(1.3, 0.3, "how much dearer block scales (MX, NV) are than tensor-wise ones"),
  "data.hidden": prior(0.6, 0.4, "share of the backward pass that can hide gradient traffic"),
  "data.serial": prior(0.9, 0, "share of gradient traffic exposed by stacks that do not overlap it"),
  "pipeline.exposed": prior(0.5, 0.5, "share of stage-to-stage transfers left exposed"),
  "shard.exposed": prior(0.15, 0.7, "share of sharded-parameter traffic that slows the compute it hides behind"),
  "shard.hidden": prior(0.8, 0.4, "share of compute that can hide sharded-parameter traffic"),
  power: prior(0.3, 0.5, "exponent by which a lower power limit slows products"),
  offload: prior(1.7e-9, 0, "seconds per local parameter of an Adam step on the host"),
  rowwise: prior(4, 0.5, "how much dearer row-wise FP8 scales are than tensor-wise ones"),
  uncompiled: prior(1.8, 0.3, "elementwise passes without kernel fusion, relative to fused"),
  "stack.megatron-2021": prior(1, 0.1, "time relative to the model, stack as a whole"),
  "stack.megatron-2022": prior(1, 0.1, "time relative to the model, stack as a whole"),
  "stack.megatron-core": prior(1, 0.1, "time relative to the model, stack as a whole"),
  "stack.megascale": prior(0.85, 0.1, "time relative to the model, stack as a whole"),
  "stack.bridge": prior(1, 0.1, "time relative to the model, stack as a whole"),
  "stack.fsdp": prior(1, 0.1, "time relative to the model, stack as a whole"),
  "stack.torchtitan": prior(1.05, 0.1, "time relative to the model, stack as a whole"),
  "stack.deepspeed": prior(1.1, 0.5, "time relative to the model, stack as a whole"),
  "stack.mindspeed": prior(1, 0.1, "time relative to the model, stack as a whole"),
  "stack.maxtext": prior(1.1, 0.15, "time relative to the model, stack as a whole"),
} as const satisfies Record<string, ConstantPrior>;

export type ConstantName = keyof typeof constantPriors;
/** One value per constant. */
export type Constants = Readonly<Record<ConstantName, number>>;

const isConstantName = (name: string): name is ConstantName => name in constantPriors;

const allNames: readonly ConstantName[] = Object.keys(constantPriors).filter(isConstantName);

/** The constants that are fitted. */
export const constantNames: readonly ConstantName[] = allNames.filter((name) => constantPriors[name].spread > 0);

const guesses = guessesOf(constantPriors);

function guessesOf(priors: Record<ConstantName, ConstantPrior>): Record<ConstantName, number> {
  const values: Partial<Record<ConstantName, number>> = {};
  for (const name of allNames) values[name] = priors[name].guess;
  return values as Record<ConstantName, number>;
}

/** A full set of constants from a partial one, the guesses standing in for what is missing. */
export function constantsFrom(values: Readonly<Record<string, number>>): Constants {
  const filled = { ...guesses };
  for (const name of constantNames) filled[name] = values[name] ?? filled[name];
  return filled;
}

/** The guesses themselves, before any fit. */
export const guessedConstants: Constants = constantsFrom({});
