/**
 * What DeepSeek's own training software does otherwise than Megatron's, as published; nothing here is fitted.
 * Knows: the figures of its report (arXiv:2412.19437, section numbers below). Does not know: formulas that use them.
 */
import type { Hardware } from "./hardware.ts";
import type { StepSetup } from "./setup.ts";

/** §3.3.3: first and second moments in bf16 beside the fp32 master weight: 2 + 2 + 4 bytes per parameter. */
export const momentsInHalf = 8;

/** §3.2.2: 20 of the 132 multiprocessors of an H800 move tokens and do not compute. */
const computeShare = (132 - 20) / 132;

/** §3.3.3: tokens are dispatched in FP8 and combined in bf16, forward and backward alike: 1.5 of 2 bytes per value. */
export const dispatchShare = 1.5 / 2;

/** §3.3.3: bytes per value of cached inputs: FP8 for products and SwiGLU (its output is recomputed), E5M6 after attention. */
export const cached = { input: 1, swigluInputs: 2, attended: 1.5 } as const;

/** The chip with the multiprocessors that are left for computing. */
export function withoutCommunicationCores(hardware: Hardware): Hardware {
  return { ...hardware, computeShare };
}

/** Load of the fullest expert over the mean with loss-free balancing (§2.1.2): MaxVio 0.04, arXiv:2408.15664 table 2. */
const balancedLoad = 1.04;

/** Load of the fullest expert rank over the mean. */
export function expertImbalance(setup: StepSetup): number {
  if (setup.forcedBalance) return 1;
  return deepSeekKernels(setup) ? balancedLoad : setup.constants["moe.imbalance"];
}

/** Whether a step caches activations, recomputes and dispatches the way the report says. */
export const deepSeekKernels = (setup: StepSetup): boolean => setup.stack === "deepseek";
