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
  /** Slots per expert over the mean load where experts compute a fixed number of slots; 1 where they do not. */
  readonly capacityFactor: number;
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

/**
 * @param documentTokens mean length of the documents packed into a sequence where attention stays inside each; null when
 * every token sees all before it.
 */
export function modelShape(architecture: Architecture, seq: number, documentTokens: number | null = null): ModelShape {
  const span = Math.min(seq, documentTokens ?? seq);
  return {
    architecture,
    kinds: layerKinds(architecture),
    counts: parameterCounts(architecture),
    attentionWeights: attentionParameters(architecture),
    keysCausal: attendedKeys(architecture, span, true),
    keysFull: attendedKeys(architecture, span, false),
    attentionWidth: attentionWidth(architecture),
    layersWithPrediction: architecture.layers + architecture.mtpLayers,
  };
}

/** Ranks over which one expert's matrices are cut: all of tp when experts are not spread, otherwise one. */
export function expertTensorRanks(layout: Layout): number {
  return layout.ep === 1 ? layout.tp : 1;
}

/** What a step replays as CUDA graphs: nothing, attention and routing of each layer, or all of it. */
export type Graphs = "none" | "modules" | "step";
/** What decides between them. */
type GraphTraits = Pick<StepSetup, "shape" | "hardware" | "stack" | "releaseYears" | "blockScaled">;

/**
 * Graphs of a mixture of experts under NVIDIA's own recipes, which differ by machine (scripts/performance/configs of
 * NVIDIA-NeMo/Megatron-Bridge): on NVL72 attention and routing replay beside the HybridEP dispatcher; since 26.06 whole steps
 * do in MXFP8, experts fused into one kernel. Hybrids with state-space mixers replay mixers alone, their experts nothing.
 */
export function graphsOf({ shape, hardware, stack, releaseYears, blockScaled }: GraphTraits): Graphs {
  const { moe, recurrent } = shape.architecture;
  const rack = hardware.domainDevices > 8 && (hardware.chip === "blackwell" || hardware.chip === "blackwellUltra");
  if (!moe || recurrent || !rack || (stack !== "bridge" && stack !== "megatron-core")) return "none";
  return releaseYears > 0.4 && blockScaled && hardware.formatSpeed <= 2.5 ? "step" : "modules";
}
