/**
 * Seconds that one device spends on one layer for one micro-batch, before any communication.
 * Knows: the products, attention, elementwise passes and launch gaps of each kind of layer. Does not know: pipelines, networks.
 */
import type { Layout } from "../spec/layout.ts";
import { expertImbalance } from "./deepseek.ts";
import { gemmFlopsPerSecond, gemmSeconds, memorySeconds, productFlopsPerSecond } from "./gemm.ts";
import { expertTensorRanks, graphsOf, type StepSetup } from "./setup.ts";

/** Seconds of a forward pass and its backward pass; `attention` is the part that selective recompute repeats. */
export interface PassSeconds {
  forward: number;
  backward: number;
  attention: number;
  /** Elementwise forward passes, which selective recompute repeats where attention is fused already. */
  passes: number;
}

/**
 * Mean over all layers (mixers and MLPs of their kinds) of one micro-batch of `layout.microBatch` sequences on one device.
 * Tokens per device: microBatch · seq / cp. Backward is two products per forward product (one when only adapters train).
 */
export function layerSeconds(setup: StepSetup, layout: Layout): PassSeconds {
  const { shape, hardware, constants: c } = setup;
  const { kinds } = shape;
  const layers = shape.architecture.layers;
  const tokens = (layout.microBatch * setup.seq) / layout.cp;
  const products =
    kinds.attention * projectionSeconds(setup, layout, tokens) +
    kinds.recurrent * recurrentSeconds(setup, layout, tokens) +
    kinds.dense * denseSeconds(setup, layout, tokens) +
    kinds.mixture * mixtureSeconds(setup, layout, tokens);
  const attention = kinds.attention * attentionSeconds(setup, layout, tokens);
  const passes =
    layers * elementwiseSeconds(setup, layout, tokens) +
    kinds.mixture * permuteSeconds(setup, layout, tokens) +
    kinds.recurrent * scanSeconds(setup, layout, tokens);
  const backwardProducts = setup.adaptersOnly ? 1 : 2;
  // Launches run ahead of the device and only show where its work is shorter: a smooth maximum of the two.
  const host = hardware.chip === "ascend" ? c["launch.ascend"] : 1;
  const newer = mixtureOverhead(setup) * (setup.staticRouting ? c["moe.static"] : 1);
  const launch = host * graphShare(setup) * (layers * c.layerLaunch + kinds.mixture * c["moe.launch"] * newer);
  const forward = smoothMaximum(products + attention + passes, launch / 3);
  const backward = smoothMaximum(products * backwardProducts + attention * 2.5 + passes * 1.5, (launch * 2) / 3);
  return {
    forward: forward / layers,
    backward: backward / layers,
    attention: attention / layers,
    passes: passes / layers,
  };
}

/** Dispatch code matures: a factor on mixture overheads by platform and release. */
export function mixtureOverhead(setup: StepSetup): number {
  const { constants: c, hardware } = setup;
  return (hardware.chip === "ascend" ? c["moe.ascend"] : 1) * c["release.moe"] ** setup.releaseYears;
}

/** Share of the launch gaps of a mixture's layers that graphs leave. */
function graphShare(setup: StepSetup): number {
  const { constants: c } = setup;
  switch (graphsOf(setup)) {
    case "none":
      return 1;
    case "modules":
      return c["moe.scoped"];
    case "step":
      return c["moe.graphs"];
  }
}

/** Passes over the inner values of experts that are left where one kernel does products, activation and casts. */
function fusedExperts(setup: StepSetup): number {
  return graphsOf(setup) === "step" ? setup.constants["moe.fused"] : 1;
}

function smoothMaximum(a: number, b: number): number {
  return Math.cbrt(a * a * a + b * b * b);
}

/** Query, key, value and output projections of one attention layer, forward. */
function projectionSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const { shape, hardware, constants: c } = setup;
  const rate = gemmFlopsPerSecond(hardware, c);
  const { hidden } = shape.architecture;
  const width = shape.attentionWeights / hidden / layout.tp;
  const quantize = quantizeSeconds(setup, tokens * hidden * 2);
  return gemmSeconds(hardware, c, rate, tokens, hidden, width) + quantize;
}

/** Query, key and value up-projections of latent attention, mean over all layers, forward; 0 without latents. */
export function upProjectionSeconds(setup: StepSetup, layout: Layout): number {
  const { shape, hardware, constants: c } = setup;
  const { mla, heads, headDim, layers } = shape.architecture;
  if (!mla) return 0;
  const tokens = (layout.microBatch * setup.seq) / layout.cp;
  const rate = gemmFlopsPerSecond(hardware, c);
  const keysAndValues = (heads * (mla.nopeHeadDim + mla.valueHeadDim)) / layout.tp;
  const queries =
    mla.queryRank > 0 ? gemmSeconds(hardware, c, rate, tokens, mla.queryRank, (heads * headDim) / layout.tp) : 0;
  return (
    (shape.kinds.attention / layers) *
    (queries + gemmSeconds(hardware, c, rate, tokens, mla.keyValueRank, keysAndValues))
  );
}

function recurrentSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const { shape, hardware, constants: c } = setup;
  const mixer = shape.architecture.recurrent;
  if (!mixer) return 0;
  const rate = gemmFlopsPerSecond(hardware, c);
  const { hidden } = shape.architecture;
  const width = (mixer.inputWidth + mixer.outputWidth) / layout.tp;
  return gemmSeconds(hardware, c, rate, tokens, hidden, width) + quantizeSeconds(setup, tokens * hidden * 2);
}

/** The scan of a recurrent mixer is memory-bound: its inner values pass through memory a few times. */
function scanSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const mixer = setup.shape.architecture.recurrent;
  if (!mixer) return 0;
  return memorySeconds(
    setup.hardware,
    setup.constants,
    (setup.constants.scan * 2 * tokens * mixer.inputWidth) / layout.tp,
  );
}

function denseSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const { architecture } = setup.shape;
  return mlpSeconds(setup, tokens, architecture.hidden, architecture.ffn / layout.tp);
}

/** Gated or plain MLP of local width `width` over `tokens`, forward, with the passes over its inner values. */
function mlpSeconds(setup: StepSetup, tokens: number, input: number, width: number): number {
  if (width === 0) return 0;
  const { shape, hardware, constants: c } = setup;
  const up = shape.architecture.gated ? 2 : 1;
  const rate = gemmFlopsPerSecond(hardware, c);
  const products =
    gemmSeconds(hardware, c, rate, tokens, input, up * width) + gemmSeconds(hardware, c, rate, tokens, width, input);
  const inner = memorySeconds(hardware, c, c.activation * 2 * tokens * width * up);
  return products + inner + quantizeSeconds(setup, tokens * (input + width));
}

/** Routed experts of one rank (each sees its share of the routed tokens), the shared MLP and the router, forward. */
function mixtureSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const { shape, hardware, constants: c } = setup;
  const { moe, hidden, gated } = shape.architecture;
  if (!moe) return 0;
  const cut = expertTensorRanks(layout);
  const localExperts = moe.experts / layout.ep;
  // Tokens of the tp group are shared out over its ranks before they travel, unless every rank holds a slice of each expert.
  const own = layout.ep === 1 ? tokens : tokens / layout.tp;
  const perExpert = (own * moe.expertsPerToken) / localExperts;
  const input = moe.latent > 0 ? moe.latent : hidden;
  const up = gated ? 2 : 1;
  const rate = gemmFlopsPerSecond(hardware, c);
  const width = moe.expertFfn / cut;
  const prologue = c["gemm.prologue"] * c["gemm.grouped"];
  const one =
    gemmSeconds(hardware, c, rate, perExpert, input, up * width, prologue) +
    gemmSeconds(hardware, c, rate, perExpert, width, input, prologue);
  const inner = memorySeconds(hardware, c, c.activation * biasedExperts(setup) * 2 * perExpert * width * up);
  const balance = layout.ep === 1 ? 1 : expertImbalance(setup);
  const quantize = quantizeSeconds(setup, perExpert * (input + width));
  const passes = (inner + quantize) * fusedExperts(setup);
  const routed = localExperts * (one + passes) * balance * setup.capacityFactor;
  const router = gemmSeconds(hardware, c, hardware.peakFlopsPerSecond / 2, own, hidden, moe.experts);
  const latent = moe.latent > 0 ? gemmSeconds(hardware, c, rate, own, hidden, 2 * moe.latent) : 0;
  return routed + router + latent + mlpSeconds(setup, tokens, hidden, moe.sharedFfn / layout.tp);
}

/** Experts with biases add them, and sum their gradients, in kernels of their own: grouped products fuse no epilogue. */
function biasedExperts({ shape, constants: c }: StepSetup): number {
  return shape.architecture.bias === "all" ? c["moe.biases"] : 1;
}

/** Gathering routed tokens by expert and back: memory passes over tokens × experts per token × width. */
function permuteSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const { moe, hidden } = setup.shape.architecture;
  if (!moe) return 0;
  const own = layout.ep === 1 ? tokens : tokens / layout.tp;
  const width = moe.latent > 0 ? moe.latent : hidden;
  return memorySeconds(
    setup.hardware,
    setup.constants,
    setup.constants["moe.permute"] *
      biasedExperts(setup) *
      fusedExperts(setup) *
      setup.constants["release.moe"] ** setup.releaseYears *
      2 *
      own *
      moe.expertsPerToken *
      width,
  );
}

/**
 * Core attention of one layer, forward. Fused (FlashAttention-2, arXiv:2307.08691): 4 · keys · width per token at the chip's
 * attention rate, less for narrow heads. Unfused: the whole square as products plus the scores' trips through memory.
 */
function attentionSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const { shape, hardware, constants: c } = setup;
  const { headDim, heads } = shape.architecture;
  const width = shape.attentionWidth / layout.tp;
  if (setup.fusedAttention) {
    const chip = hardware.chip === "tpu" || hardware.chip === "other" ? "hopper" : hardware.chip;
    const newer = chip === "hopper" || chip === "blackwell" || chip === "blackwellUltra";
    const rate =
      hardware.peakFlopsPerSecond *
      hardware.computeShare *
      c[`attention.${chip}`] *
      (newer ? c["attention.older"] ** setup.attentionAge : 1) *
      ((headDim * 1.2) / (headDim + c["attention.headDim"]));
    return (4 * tokens * shape.keysCausal * width) / rate;
  }
  const rate = productFlopsPerSecond(hardware, c);
  const scores = (tokens * shape.keysFull * heads) / layout.tp;
  const products = ((headDim % 8 === 0 ? 1 : c.misaligned) * 4 * tokens * shape.keysFull * width) / rate;
  return products + memorySeconds(hardware, c, scores * c.softmax);
}

/** Norms, residuals, dropout and position embedding: passes over the hidden values, replicated over tp without sequence parallelism. */
function elementwiseSeconds(setup: StepSetup, layout: Layout, tokens: number): number {
  const { shape, hardware, constants: c } = setup;
  const { hidden } = shape.architecture;
  const fusion = setup.fusedElementwise ? 1 : c.uncompiled;
  // Half of the passes lie inside the tensor-parallel region and are cut by tp in any case.
  const replicated = setup.sequenceParallel ? 1 / layout.tp : 0.5 + 0.5 / layout.tp;
  return memorySeconds(hardware, c, c.elementwise * fusion * 2 * tokens * hidden * replicated);
}

/** Casting `values` activations to 8 or 4 bits with their scales. */
function quantizeSeconds(setup: StepSetup, values: number): number {
  if (setup.hardware.formatSpeed <= 1) return 0;
  const { constants: c } = setup;
  const scales = setup.rowwiseScaling ? c.rowwise : setup.blockScaled ? c.blockScaled : 1;
  const narrow = setup.hardware.formatSpeed > 2.5 ? c["quantize.fp4"] : 1;
  return memorySeconds(setup.hardware, c, c.quantize * scales * narrow * values);
}

/** Output head and loss of one micro-batch on the stage that holds them, forward and backward. */
export function headSeconds(setup: StepSetup, layout: Layout): number {
  const { shape, hardware, constants: c } = setup;
  const { hidden, vocab } = shape.architecture;
  const tokens = (layout.microBatch * setup.seq) / layout.cp;
  const rate = productFlopsPerSecond(hardware, c);
  const product = gemmSeconds(hardware, c, rate, tokens, hidden, vocab / layout.tp);
  const loss = memorySeconds(hardware, c, (tokens * vocab * 16) / layout.tp);
  return (1 + shape.architecture.mtpLayers) * (product * (setup.adaptersOnly ? 2 : 3) + loss);
}
