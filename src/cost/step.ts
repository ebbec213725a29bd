/**
 * Seconds of one training step and where they go.
 * Knows: how compute, exposed communication, bubble, optimizer and jitter add up. Does not know: memory, failures, prices.
 */
import type { Layout } from "../spec/layout.ts";
import { allReduceSeconds, groupOf } from "./collectives.ts";
import { stackScale } from "./constants.ts";
import { deepSeekKernels } from "./deepseek.ts";
import { memorySeconds } from "./gemm.ts";
import { headSeconds, layerSeconds, upProjectionSeconds } from "./layer.ts";
import type { StepSetup } from "./setup.ts";
import { dataSeconds, layerTraffic, localParameters, stageTransferSeconds } from "./traffic.ts";

/** Seconds of one step by what they are spent on; they add up to `total`. */
export interface StepParts {
  compute: number;
  recompute: number;
  tensorCommunication: number;
  contextCommunication: number;
  expertCommunication: number;
  pipelineCommunication: number;
  dataCommunication: number;
  bubble: number;
  optimizer: number;
  jitter: number;
  other: number;
  total: number;
}

/** Micro-batches that one pipeline runs per step; not a whole number when the batch does not divide. */
export function microBatchesPerStep(globalBatch: number, layout: Layout): number {
  return globalBatch / (layout.dp * layout.microBatch);
}

/**
 * Idle share of a pipeline, in units of one micro-batch's forward plus backward on one stage.
 * 1F1B: p−1 (Narayanan et al. 2021, arXiv:2104.04473 §2.2); interleaved: (p−1)/v (same); ZB-H1: (p−1)(F+B−2W) and
 * DualPipe: (p/2−1)(F&B+B−3W) with F = W = B/2 of the whole (Qi et al. 2023, arXiv:2401.10241; DeepSeek V3 §3.2.1).
 */
export function bubbleUnits(layout: Layout): number {
  const { pp, vpp, schedule } = layout;
  if (pp === 1) return 0;
  switch (schedule) {
    case "1f1b":
      return pp - 1;
    case "interleaved":
      return (pp - 1) / vpp;
    case "zero-bubble":
      return (pp - 1) / 3;
    case "dualpipe":
      return Math.max(0, pp / 2 - 1) * (2 / 3);
    default:
      return schedule satisfies never;
  }
}

/** Layers on the stage that sets the pace: between the mean and the fullest of an uneven split. */
function layersOfStage(layers: number, { pp, vpp }: Layout, uneven: number): number {
  const mean = layers / pp;
  const fullest = Math.ceil(layers / (pp * vpp)) * vpp;
  return mean + Math.min(1, uneven) * Math.max(0, Math.min(fullest, Math.ceil(mean)) - mean);
}

/** One step of `setup` in `layout`; the caller has checked that the layout divides. Pure: equal input, equal output. */
export function stepSeconds(setup: StepSetup, layout: Layout): StepParts {
  const { shape, hardware, constants: c, stack } = setup;
  const microBatches = microBatchesPerStep(setup.globalBatch, layout);
  const layersHere = layersOfStage(shape.layersWithPrediction, layout, c.uneven);
  const pass = layerSeconds(setup, layout);
  const head = headSeconds(setup, layout);
  // The head's stage is fuller than the mean; interleaving and hand-made partitions even most of it out.
  const headShare = layout.pp === 1 ? 1 : 1 / layout.pp + Math.min(1, c.headImbalance) * (1 - 1 / layout.pp);
  const computePerMicro = layersHere * (pass.forward + pass.backward) + headShare * head;
  const up = deepSeekKernels(setup) ? upProjectionSeconds(setup, layout) : 0;
  const selective = setup.fusedAttention ? pass.passes + up : pass.attention;
  const again =
    layout.recompute === "full" ? pass.forward * c["recompute.full"] : layout.recompute === "selective" ? selective : 0;
  const recomputePerMicro = layersHere * again;
  const traffic = layerTraffic(setup, layout, pass);
  const transfer = stageTransferSeconds(setup, layout);
  const layerComms = layersHere * (traffic.tensor + traffic.context + traffic.expert);
  // Filling and draining pass every stage, so they take the mean stage's time, not the fullest one's.
  const meanStage =
    (shape.layersWithPrediction / layout.pp) * (pass.forward + pass.backward + again + layerComms / layersHere) +
    head / layout.pp;
  const bubble = c.bubble * bubbleUnits(layout) * (meanStage + transfer);
  const data = dataSeconds(setup, layout, microBatches, pass, layersHere);
  const { dense, routed } = localParameters(setup, layout);
  const shards = layout.zero === 0 ? 1 : layout.dp * layout.cp;
  const trained = setup.adaptersOnly ? 0.01 : 1;
  const local = (trained * (dense + routed)) / shards;
  const optimizer = setup.offloadedOptimizer ? c.offload * local : memorySeconds(hardware, c, c.optimizer * local);
  const norm = allReduceSeconds(hardware, c, groupOf(hardware, layout.dp * layout.pp, layout.tp), 4096);
  const scale = stackScale(c, stack) * c["release.all"] ** setup.releaseYears;
  const parts = {
    compute: scale * microBatches * computePerMicro,
    recompute: scale * microBatches * recomputePerMicro,
    tensorCommunication: scale * microBatches * layersHere * traffic.tensor,
    contextCommunication: scale * microBatches * layersHere * traffic.context,
    expertCommunication: scale * microBatches * layersHere * traffic.expert,
    pipelineCommunication: scale * microBatches * transfer,
    dataCommunication: scale * data,
    bubble: scale * bubble,
    optimizer: scale * optimizer,
    other: c.stepOverhead + norm,
  };
  let total = 0;
  for (const part of Object.values(parts)) total += part;
  const ranks = layout.tp * layout.pp * layout.dp * layout.cp;
  // The slowest of N normal deviates lies about σ√(2 ln N) above the mean.
  const jitter = total * c.jitter * Math.sqrt(2 * Math.log(Math.max(1, ranks)));
  return { ...parts, jitter, total: total + jitter };
}
