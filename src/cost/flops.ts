/**
 * Floating-point operations of training, under the conventions in which they are published.
 * Knows: which parameters multiply and how attention is counted. Does not know: time, devices.
 */
import type { Architecture } from "../spec/architecture.ts";
import { layerKinds, parameterCounts } from "../spec/parameter-counts.ts";

/**
 * `model-causal` counts 6 per multiplied parameter and half of the attention square (Megatron-Core since 2025, MindSpeed,
 * Bridge); `model-full` counts the whole square (Megatron-LM until 2024, PaLM, MPT); `hardware-full-recompute` is 4/3 of
 * `model-full` (Megatron-LM 2021, BLOOM, OPT: one more forward pass).
 */
export const flopsConventions = ["model-causal", "model-full", "hardware-full-recompute"] as const;
export type FlopsConvention = (typeof flopsConventions)[number];

/** Attention score width per layer: query/key and value dimensions over all heads, halved to their mean. */
export function attentionWidth(a: Architecture): number {
  return a.mla ? (a.heads * (a.headDim + a.mla.valueHeadDim)) / 2 : a.heads * a.headDim;
}

/** Mean number of keys that a query of a sequence of `seq` sees, over all attention layers, causal or counted in full. */
export function attendedKeys(a: Architecture, seq: number, causal: boolean): number {
  const whole = causal ? seq / 2 : seq;
  if (a.window === 0 || a.windowLayers === 0 || a.window >= seq) return whole;
  const windowed = causal ? a.window * (1 - a.window / (2 * seq)) : a.window;
  const share = Math.min(1, a.windowLayers / a.layers);
  return share * windowed + (1 - share) * whole;
}

/**
 * FLOPs per trained token, forward and backward, of the whole model: 6 per active multiplied parameter plus attention
 * (12 · layers · keys · width). Kaplan et al. 2020, arXiv:2001.08361; attention as in Narayanan et al. 2021, arXiv:2104.04473 §5.1.
 */
export function trainingFlopsPerToken(a: Architecture, seq: number, convention: FlopsConvention): number {
  const counts = parameterCounts(a);
  const multiplied = counts.activeWithoutEmbedding - counts.norms;
  const keys = attendedKeys(a, seq, convention === "model-causal");
  const attention = 12 * layerKinds(a).attention * keys * attentionWidth(a);
  const model = 6 * multiplied + attention + recurrentFlopsPerToken(a);
  return convention === "hardware-full-recompute" ? (model * 4) / 3 : model;
}

/** State updates of recurrent mixers: about 6 operations per state value, output width × state width, three passes. */
export function recurrentFlopsPerToken(a: Architecture): number {
  return a.recurrent ? 18 * a.recurrent.layers * a.recurrent.outputWidth * a.recurrent.stateWidth : 0;
}
