/**
 * Bytes that the fullest device of a training run holds, by part and by pipeline stage.
 * Knows: mixed-precision Adam, ZeRO stages, activations in flight. Does not know: time, allocator fragmentation.
 */
import type { Layout } from "../spec/layout.ts";
import { cached, deepSeekKernels } from "./deepseek.ts";
import { expertTensorRanks, type StepSetup } from "./setup.ts";

/** Bytes on one device of a pipeline stage. */
export interface MemoryParts {
  weights: number;
  gradients: number;
  optimizer: number;
  activations: number;
  /** Logits, communication buffers, and what framework, kernels and collectives library keep. */
  buffers: number;
  total: number;
}

/** Master weight, mean and variance of Adam in fp32. */
export const fullOptimizerBytes = 12;

/** Framework, CUDA or CANN context and communicators: 3.5–4 GB is commonly seen with Megatron-LM. */
export const frameworkBytes = 4e9;

/**
 * Bytes per parameter held by mixed-precision Adam: 2 weights (bf16), 4 gradients (fp32), 12 optimizer (fp32 master, mean,
 * variance): 18 in all; ZeRO-1 6 + 12/d, ZeRO-2 2 + 16/d, ZeRO-3 18/d (Rajbhandari et al. 2019, arXiv:1910.02054 §5).
 */
export function stateBytesPerParameter(zero: Layout["zero"], shards: number, optimizerBytes = fullOptimizerBytes) {
  return {
    weights: zero >= 3 ? 2 / shards : 2,
    gradients: zero >= 2 ? 4 / shards : 4,
    optimizer: zero >= 1 ? optimizerBytes / shards : optimizerBytes,
  };
}

/** Parameters of pipeline stage `stage` on one device: dense ones cut by tp, experts by ep. The first stage holds the embedding, the last the head. */
export function stageParameters(setup: StepSetup, layout: Layout, stage: number): { dense: number; routed: number } {
  const { counts, architecture } = setup.shape;
  const body = (counts.mixer + counts.mlp + counts.norms) / layout.pp;
  const first = stage === 0 ? counts.embedding : 0;
  const tiedTwice = architecture.tiedEmbeddings && layout.pp === 1;
  const last = stage === layout.pp - 1 && !tiedTwice ? counts.head : 0;
  return {
    dense: (body + first + last) / layout.tp,
    routed: counts.routed / (layout.pp * layout.ep * expertTensorRanks(layout)),
  };
}

/**
 * Activation bytes that one layer keeps per micro-batch for its backward pass on one device.
 * Dense GPT without recompute gives s·b·h·(34 + 5·a·s/h)/t with sequence parallelism (Korthikanti et al. 2022,
 * arXiv:2205.05198 eq. 2–5); fused attention drops the quadratic term, full recompute keeps the layer's input alone.
 */
export function layerActivationBytes(setup: StepSetup, layout: Layout): number {
  const { shape } = setup;
  const a = shape.architecture;
  const tokens = (layout.microBatch * setup.seq) / layout.cp;
  const spread = setup.sequenceParallel ? layout.tp : 1;
  if (layout.recompute === "full") return (2 * tokens * a.hidden) / spread;
  // Where attention is fused, selective recompute means norms, activation functions and latent up-projections instead.
  const light = setup.fusedAttention && layout.recompute === "selective";
  const input = setup.hardware.formatSpeed > 1 ? 1 : 2;
  const norms = 4 * tokens * a.hidden;
  const inputs = light ? 0 : (2 * input + (a.norm === "layer" ? 2 : 0)) * tokens * a.hidden;
  const scores =
    setup.fusedAttention || layout.recompute === "selective" ? 0 : 5 * a.heads * tokens * (setup.seq / layout.cp);
  const { attention, dense, mixture } = shape.kinds;
  // Gate, up and their product (or the one inner value before and after its function), the last as a product's input.
  const narrow = light && deepSeekKernels(setup);
  const inner = narrow ? cached.swigluInputs : (a.gated ? 4 : 2) + (light ? 0 : input);
  const mlp = (dense * inner * a.ffn + mixture * inner * (a.moe?.sharedFfn ?? 0)) / a.layers;
  const routed = a.moe
    ? ((mixture / a.layers) *
        a.moe.expertsPerToken *
        (input * (a.moe.latent || a.hidden) + inner * a.moe.expertFfn) *
        tokens) /
      layout.tp
    : 0;
  const mixing = attention / a.layers;
  return (
    (norms + inputs) / spread +
    (mixing * (attentionBytes(setup, light) * tokens + scores) + mlp * tokens) / layout.tp +
    routed
  );
}

/** Bytes per token that one attention layer keeps: queries, keys, values and the attended output (latents alone when light). */
function attentionBytes(setup: StepSetup, light: boolean): number {
  const a = setup.shape.architecture;
  const query = a.heads * a.headDim;
  if (!a.mla) return 2 * (query + 2 * a.kvHeads * a.headDim) + 2 * query;
  const narrow = light && deepSeekKernels(setup);
  const output = (narrow ? cached.attended : 2) * a.heads * a.mla.valueHeadDim;
  const latent = narrow ? cached.input : 2;
  if (light) return latent * (a.mla.queryRank + a.mla.keyValueRank + a.mla.ropeHeadDim) + output;
  return 2 * (2 * query + a.heads * a.mla.valueHeadDim) + output;
}

/** Micro-batches whose activations stage `stage` keeps at once, in units of the stage's whole layers. */
export function microBatchesInFlight(layout: Layout, microBatches: number, stage: number): number {
  const { pp, vpp, schedule } = layout;
  if (schedule === "dualpipe") return Math.min(2 * microBatches, pp + 1);
  const depth = Math.min(microBatches, pp - stage);
  return schedule === "interleaved" && stage === 0 && microBatches >= pp ? depth * (1 + (pp - 1) / (pp * vpp)) : depth;
}

/** Bytes on a device of `stage` (0 … pp−1). */
export function stageMemory(setup: StepSetup, layout: Layout, stage: number): MemoryParts {
  const { shape } = setup;
  const a = shape.architecture;
  const { dense, routed } = stageParameters(setup, layout, stage);
  const copies = layout.schedule === "dualpipe" ? 2 : 1;
  const ranks = layout.dp * layout.cp;
  const routedRanks = Math.max(1, (ranks * layout.tp) / (layout.ep * expertTensorRanks(layout)));
  const denseBytes = stateBytesPerParameter(layout.zero, ranks, setup.optimizerBytes);
  const routedBytes = stateBytesPerParameter(layout.zero, routedRanks, setup.optimizerBytes);
  const sum = (part: "weights" | "gradients" | "optimizer") => dense * denseBytes[part] + routed * routedBytes[part];
  const trained = setup.adaptersOnly ? 0.01 : 1;
  const weights = copies * sum("weights");
  const gradients = copies * trained * sum("gradients");
  const optimizer = trained * sum("optimizer");
  const microBatches = setup.globalBatch / (layout.dp * layout.microBatch);
  const layersHere = Math.ceil(a.layers / layout.pp);
  const oneLayer = layerActivationBytes(setup, layout);
  const inFlight = microBatchesInFlight(layout, microBatches, stage);
  // While one layer runs backward under full recompute, all of its inner values exist once.
  const working = layout.recompute === "full" ? layerActivationBytes(setup, { ...layout, recompute: "none" }) : 0;
  const activations = layersHere * oneLayer * inFlight + working;
  const tokens = (layout.microBatch * setup.seq) / layout.cp;
  const logits = stage === layout.pp - 1 ? (tokens * a.vocab * 6) / layout.tp : 0;
  const gathered =
    layout.zero === 3
      ? (4 * (shape.counts.total - shape.counts.embedding - shape.counts.head)) / a.layers / layout.tp
      : 0;
  const buffers = frameworkBytes + logits + gathered;
  return {
    weights,
    gradients,
    optimizer,
    activations,
    buffers,
    total: weights + gradients + optimizer + activations + buffers,
  };
}

/** The fullest stage's memory: the first holds most activations, the last the logits. */
export function deviceMemory(setup: StepSetup, layout: Layout): MemoryParts {
  const first = stageMemory(setup, layout, 0);
  if (layout.pp === 1) return first;
  const last = stageMemory(setup, layout, layout.pp - 1);
  return first.total >= last.total ? first : last;
}
