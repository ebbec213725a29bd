/**
 * One training step's question in the terms of the formulas, with what every formula needs of the model derived once.
 * Knows: which fields a step's cost depends on. Does not know: names of accelerators, units of publication, answers.
 */
import type { Architecture } from "../spec/architecture.ts";
import type { Layout } from "../spec/layout.ts";
import { attentionParameters, layerKinds, parameterCounts } from "../spec/parameter-counts.ts";
import type { Constants, Stack } from "./constants.ts";
import { attendedKeys, attentionWidth } from "./flops.ts";
import type { Hardware } from "./hardware.ts";

/** What a step's cost depends on besides the layout. */
export interface StepSetup {
  readonly shape: ModelShape;
  readonly hardware: Hardware;
  readonly constants: Constants;
  readonly stack: Stack;
  readonly seq: number;
  readonly globalBatch: number;
  /** Attention that never writes its scores to memory (FlashAttention, arXiv:2205.14135). */
  readonly fusedAttention: boolean;
  /** Age of the attention kernels on chips newer than they: 0 written for the chip, 0.5 its first ones, 1 FlashAttention-2. */
  readonly attentionAge: number;
  readonly sequenceParallel: boolean;
  /** Tensor-parallel traffic overlapped with products. */
  readonly tensorOverlap: boolean;
  /** Routing forced to be even, as benchmarks do; otherwise the fullest rank sets the pace. */
  readonly forcedBalance: boolean;
  /** Experts with a fixed capacity, tokens beyond it dropped: shapes known before the routing. */
  readonly staticRouting: boolean;
  /** Only low-rank adapters are trained: no weight gradients, no gradient traffic. */
  readonly adaptersOnly: boolean;
  /** FP8 with one scale per row instead of one per tensor. */
  readonly rowwiseScaling: boolean;
  /** 8- or 4-bit formats with one scale per block of 16–32 values. */
  readonly blockScaled: boolean;
  /** Years of the software's release since 2026-01, where a stack's releases are told apart; 0 otherwise. */
  readonly releaseYears: number;
  /** Elementwise kernels fused, by hand or by a compiler. */
  readonly fusedElementwise: boolean;
  /** Optimizer states and step on the host's processors. */
  readonly offloadedOptimizer: boolean;
  /** Bytes per parameter of master weight and moments: 12 in fp32, 8 with moments in bf16. */
  readonly optimizerBytes: number;
}

/** Quantities of an architecture at one sequence length. */
export interface ModelShape {
  readonly architecture: Architecture;
  readonly kinds: ReturnType<typeof layerKinds>;
  readonly counts: ReturnType<typeof parameterCounts>;
  /** Multiplied weights of one attention layer. */
  readonly attentionWeights: number;
  /** Mean keys per query, causal and counted in full. */
  readonly keysCausal: number;
  readonly keysFull: number;
  readonly attentionWidth: number;
  /** Multi-token-prediction layers cost as much as ordinary ones. */
  readonly layersWithPrediction: number;
}

export function modelShape(architecture: Architecture, seq: number): ModelShape {
  return {
    architecture,
    kinds: layerKinds(architecture),
    counts: parameterCounts(architecture),
    attentionWeights: attentionParameters(architecture),
    keysCausal: attendedKeys(architecture, seq, true),
    keysFull: attendedKeys(architecture, seq, false),
    attentionWidth: attentionWidth(architecture),
    layersWithPrediction: architecture.layers + architecture.mtpLayers,
  };
}

/** Ranks over which one expert's matrices are cut: all of tp when experts are not spread, otherwise one. */
export function expertTensorRanks(layout: Layout): number {
  return layout.ep === 1 ? layout.tp : 1;
}
