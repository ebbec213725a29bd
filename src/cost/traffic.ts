/**
 * Seconds of communication of one step by kind, and how much of it stays exposed.
 * Knows: what each parallel dimension sends, and overlap. Does not know: compute formulas, schedules' bubbles.
 */
import type { Layout } from "../spec/layout.ts";
import { allGatherSeconds, allReduceSeconds, allToAllSeconds, type Group, groupOf } from "./collectives.ts";
import { deepSeekKernels, dispatchShare, expertImbalance } from "./deepseek.ts";
import type { Hardware } from "./hardware.ts";
import { mixtureOverhead, type PassSeconds } from "./layer.ts";
import { expertTensorRanks, graphsOf, type StepSetup } from "./setup.ts";

/** Exposed seconds per layer and micro-batch of the traffic inside a micro-batch. */
export interface LayerTraffic {
  tensor: number;
  context: number;
  expert: number;
}

/** Passes over a layer that repeat its collectives: forward, backward, and forward again under full recompute. */
function sweeps(layout: Layout): number {
  return layout.recompute === "full" ? 3 : 2;
}

/**
 * Tensor-, context- and expert-parallel traffic of the mean layer, exposed part.
 * Tensor: two all-reduces (or gather/scatter pairs) of tokens × hidden a sweep, Shoeybi et al. 2019, arXiv:1909.08053 §3.
 * Context: keys and values of the other ranks a sweep (ring attention, arXiv:2310.01889).
 * Expert: dispatch and combine of the routed copies a sweep; across domains a token travels once per domain (DeepSeek V3 §3.2.2).
 */
export function layerTraffic(setup: StepSetup, layout: Layout, pass: PassSeconds): LayerTraffic {
  const { shape, hardware, constants: c } = setup;
  const a = shape.architecture;
  const tokens = (layout.microBatch * setup.seq) / layout.cp;
  const repeated = sweeps(layout);
  const activation = tokens * a.hidden * 2;
  const tensorGroup = groupOf(hardware, layout.tp, 1);
  const blocks =
    (shape.kinds.attention + shape.kinds.recurrent + shape.kinds.dense + (layout.ep === 1 ? shape.kinds.mixture : 0)) /
    a.layers;
  const tensor = blocks * repeated * allReduceSeconds(hardware, c, tensorGroup, activation) * tensorExposure(setup);
  const keyValues = (2 * tokens * (a.mla ? a.heads * a.headDim : a.kvHeads * a.headDim) * 2) / layout.tp;
  const contextGroup = groupOf(hardware, layout.cp, layout.tp);
  const contextRaw = repeated * 1.5 * allGatherSeconds(hardware, c, contextGroup, keyValues * layout.cp);
  const hiding = pass.attention * (repeated + 0.5);
  const context = Math.max(c["context.exposed"] * contextRaw, contextRaw - hiding);
  return { tensor, context, expert: expertSeconds(setup, layout, tokens, repeated, pass) };
}

function tensorExposure(setup: StepSetup): number {
  const c = setup.constants;
  if (setup.hardware.chip === "ascend" && setup.tensorOverlap) return Math.min(1, c["tensor.ascend"]);
  return Math.min(1, setup.tensorOverlap ? c["tensor.overlapped"] : c["tensor.megatron-2021"]);
}

function expertSeconds(setup: StepSetup, layout: Layout, tokens: number, repeated: number, pass: PassSeconds): number {
  const { shape, hardware, constants: c } = setup;
  const moe = shape.architecture.moe;
  if (!moe || layout.ep === 1) return 0;
  const width = moe.latent > 0 ? moe.latent : shape.architecture.hidden;
  // A rank that holds several of a token's experts receives the token once.
  const ranksReached = layout.ep * (1 - (1 - 1 / layout.ep) ** moe.expertsPerToken);
  const sent = (tokens / layout.tp) * ranksReached * width * 2;
  const group = groupOf(hardware, layout.ep, 1);
  const domains = group.size / group.perDomain;
  const reached =
    moe.groupsPerToken > 0
      ? Math.min(moe.groupsPerToken, domains)
      : domains * (1 - (1 - 1 / domains) ** moe.expertsPerToken);
  const crossing = Math.min(1, reached / ranksReached);
  const share = shape.kinds.mixture / shape.architecture.layers;
  const balance = expertImbalance(setup);
  if (deepSeekKernels(setup)) {
    const raw = share * repeated * 2 * allToAllSeconds(hardware, c, group, sent * dispatchShare, crossing) * balance;
    // DualPipe runs one micro-batch's all-to-all beside the other's forward and backward; what is longer than those shows.
    return layout.schedule === "dualpipe" ? Math.max(0, raw - pass.forward - pass.backward) : raw;
  }
  const raw = share * repeated * 2 * allToAllSeconds(hardware, c, group, sent, crossing) * balance;
  if (!expertsOverlap(setup, layout)) return Math.min(3, c["expert.exposed"] * mixtureOverhead(setup)) * raw;
  // Beside another micro-batch's layer a part shows all the same, and so does what is longer than that layer.
  return Math.max(Math.min(1, c["expert.overlapped"]) * raw, raw - pass.forward - pass.backward);
}

/** Micro-batches of two virtual stages can hide each other's all-to-all (Megatron-Core's overlap needs interleaving). */
function expertsOverlap(setup: StepSetup, layout: Layout): boolean {
  return layout.schedule === "dualpipe" || (setup.stack === "bridge" && (layout.vpp > 1 || graphsOf(setup) === "step"));
}

/** Parameters held by the fullest device: dense weights cut by tp and pp, experts by ep (and tp when not spread). */
export function localParameters(setup: StepSetup, layout: Layout): { dense: number; routed: number } {
  const { counts, architecture } = setup.shape;
  const tables = counts.embedding + (architecture.tiedEmbeddings ? 0 : counts.head);
  const body = counts.mixer + counts.mlp + counts.norms;
  const dense =
    body / (layout.tp * layout.pp) + (layout.pp === 1 ? tables : Math.max(counts.embedding, counts.head)) / layout.tp;
  return { dense, routed: counts.routed / (layout.pp * layout.ep * expertTensorRanks(layout)) };
}

/** Exposed seconds per step of gradient and parameter traffic between replicas, given the compute that may hide it. */
export function dataSeconds(
  setup: StepSetup,
  layout: Layout,
  microBatches: number,
  pass: PassSeconds,
  layersHere: number,
): number {
  if (setup.adaptersOnly && layout.zero < 3) return 0;
  const { hardware, constants: c } = setup;
  const { dense, routed } = localParameters(setup, layout);
  const ranks = layout.dp * layout.cp;
  const denseGroup = groupOf(hardware, ranks, layout.tp);
  const routedRanks = Math.max(1, Math.round((ranks * layout.tp) / (layout.ep * expertTensorRanks(layout))));
  const routedGroup = groupOf(
    hardware,
    routedRanks,
    Math.min(hardware.domainDevices, layout.ep * expertTensorRanks(layout)),
  );
  if (layout.zero === 3) {
    // Gathered twice and reduced once per micro-batch, hidden behind that micro-batch's compute (ZeRO, arXiv:1910.02054 §7).
    const once =
      allGatherSeconds(hardware, c, withinPod(hardware, denseGroup), dense * 2) +
      allGatherSeconds(hardware, c, withinPod(hardware, routedGroup), routed * 2);
    const compute = layersHere * (pass.forward + pass.backward);
    // Behind a pipeline parameters stay gathered for all micro-batches of a step (torchtitan's default, arXiv:2410.06511 §2.1).
    const gathers = layout.pp > 1 ? 1 : microBatches;
    return (
      gathers *
      Math.max(Math.min(1, c["shard.exposed"]) * 3 * once, 3 * once - Math.min(1, c["shard.hidden"]) * compute)
    );
  }
  const serial = setup.stack === "megatron-2021" || setup.stack === "megatron-2022";
  // fp16 gradients all-reduced in 2021; later fp32 gradients scattered and bf16 parameters gathered.
  const bytes = serial ? 4 : 6;
  const raw =
    allGatherSeconds(hardware, c, denseGroup, dense * bytes) +
    allGatherSeconds(hardware, c, routedGroup, routed * bytes);
  if (serial) return raw * Math.min(1, c["data.serial"]);
  const cover = Math.min(1, c["data.hidden"]) * layersHere * (pass.forward + pass.backward);
  return Math.max(0.1 * raw, raw - cover);
}

/** Between pods of hundreds of devices data-centre networks carry gradients once a step; parameters are gathered inside. */
function withinPod(hardware: Hardware, group: Group): Group {
  return hardware.domainDevices >= 256 ? { size: group.perDomain, perDomain: group.perDomain } : group;
}

/** Exposed seconds of one stage-to-stage transfer pair (activation forward, gradient back) of one micro-batch. */
export function stageTransferSeconds(setup: StepSetup, layout: Layout): number {
  if (layout.pp === 1) return 0;
  const { hardware, constants: c, shape } = setup;
  const tokens = (layout.microBatch * setup.seq) / layout.cp;
  const bytes = (tokens * shape.architecture.hidden * 2) / layout.tp;
  const inside = layout.tp * layout.cp * layout.dp * 2 <= hardware.domainDevices;
  const rate = inside ? hardware.intraBytesPerSecond * c["link.intra"] : hardware.interBytesPerSecond * c["link.inter"];
  return 2 * (bytes / rate) * Math.min(1, c["pipeline.exposed"]) * layout.vpp;
}
