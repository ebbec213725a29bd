/**
 * Seconds of one forward step of a served model on one group of devices, by part.
 * Knows: the roofline, attention, collectives, host work. Does not know: requests, queues, which chip or engine it is.
 */
import { attendedTokens, expertsHit, type ServingShape } from "./inference-shape.ts";

/** How a group of devices shares one copy of the model. `devices` = tensor × data-parallel attention × pipeline ranks. */
export interface ServingSplit {
  devices: number;
  /** Tensor-parallel ranks of attention and dense MLPs; the other ranks of a stage hold other requests. */
  attentionTp: number;
  /** Whether whole experts live on ranks (all-to-all) instead of slices of every expert (all-reduce). */
  expertParallel: boolean;
  pipeline: number;
}

/** Rates and overheads of one accelerator under one engine and number format, all in base units. */
export interface StepRates {
  denseFlopsPerSecond: number;
  expertFlopsPerSecond: number;
  attentionFlopsPerSecond: number;
  /** Decoding against a latent cache in its absorbed form, which has kernels of its own. */
  latentFlopsPerSecond: number;
  /** The output head and other 16-bit matrices. */
  headFlopsPerSecond: number;
  weightBytesPerSecond: number;
  cacheBytesPerSecond: number;
  vectorBytesPerSecond: number;
  /** Times that a hidden vector crosses memory between matrix multiplications of one layer. */
  vectorPasses: number;
  denseBytesPerWeight: number;
  /** Attention's own matrices, which some formats keep wide. */
  attentionBytesPerWeight: number;
  projectionFlopsPerSecond: number;
  expertBytesPerWeight: number;
  cacheBytesPerValue: number;
  /** Tokens lost to tile padding per matrix, and per active expert. */
  padTokens: number;
  expertPadTokens: number;
  /** Share of a batch's tokens that pick experts independently: correlated routing hits fewer experts. */
  expertIndependence: number;
  expertImbalance: number;
  /** The same where redundant experts balance wide expert parallelism (more than 8 ranks). */
  expertImbalanceWide: number;
  linkBytesPerSecond: number;
  linkLatencySeconds: number;
  networkBytesPerSecond: number;
  networkLatencySeconds: number;
  /** Devices that the fast link joins. */
  domain: number;
  /** Share of an all-to-all that stays visible, and the part of a wide group's compute that it may hide behind. */
  exposedShare: number;
  hiddenCompute: number;
  /** Launch and tail seconds per layer; a mixture layer or an indexer counts as so many more layers. */
  layerSeconds: number;
  /** The same for contexts beyond those that graphs were captured for. */
  eagerLayerSeconds: number;
  graphContextMax: number;
  mixtureLaunches: number;
  indexerLaunches: number;
  indexerPasses: number;
  stepSeconds: number;
  sequenceSeconds: number;
  promptTokenSeconds: number;
  /** Host seconds to take in one request: connection, tokenisation, queues. */
  requestSeconds: number;
  /** Sharpness q of the roofline (a^q + b^q)^(1/q) of compute and memory time: 1 adds them up, infinity takes the larger. */
  sharpness: number;
}

/** What one step processes, summed over the group: prompt tokens, their causal pairs, decoding sequences, their context. */
export interface StepLoad {
  promptTokens: number;
  promptPairs: number;
  /** Requests whose prompts are read to the end in this step. */
  prompts: number;
  sequences: number;
  meanContext: number;
  /** Tokens verified per sequence and step: 1, or 1 + drafted tokens under speculative decoding. */
  tokensPerSequence: number;
  /**
   * Prompt tokens of the busiest data-parallel attention rank over the mean of all ranks; absent: 1. A prompt is read by one
   * rank, and the collectives of a mixture layer make the others wait for it.
   */
  promptSkew?: number;
}

/** Seconds of a step by part; `total` is their sum. */
export interface StepSeconds {
  total: number;
  dense: number;
  experts: number;
  attention: number;
  vectors: number;
  communication: number;
  host: number;
}

/**
 * Seconds of one step. Matrix time is a roofline (Williams et al. 2009, doi 10.1145/1498765.1498785) with a round knee:
 * where one of compute and memory time is far below the other, it hides entirely; collectives are ring all-reduces (2(n−1)/n of the payload) or two all-to-alls per mixture layer.
 */
export function stepSeconds(shape: ServingShape, split: ServingSplit, rates: StepRates, load: StepLoad): StepSeconds {
  const stage = split.devices / split.pipeline;
  const replicas = stage / split.attentionTp;
  const decoded = load.sequences * load.tokensPerSequence;
  const tokens = load.promptTokens + decoded;
  const skew = load.promptSkew ?? 1;
  const rankTokens = (load.promptTokens * skew + decoded) / replicas;
  const dense = denseSeconds(shape, split, rates, rankTokens, decoded / replicas);
  const experts = expertSeconds(shape, rates, tokens, split.expertParallel ? stage : 1, stage);
  const attention = attentionSeconds(shape, split, rates, load, replicas);
  const vectors =
    ((rates.vectorPasses + (shape.indexedTokens > 0 ? rates.indexerPasses : 0)) *
      shape.layers *
      shape.hidden *
      2 *
      rankTokens) /
    (rates.vectorBytesPerSecond * split.attentionTp ** 0.5);
  const communication = communicationSeconds(shape, split, rates, rankTokens, dense + experts + attention);
  const launches =
    shape.layers * (1 + (shape.indexedTokens > 0 ? rates.indexerLaunches : 0)) +
    shape.mixtureLayers * rates.mixtureLaunches;
  const host =
    launches * (load.meanContext > rates.graphContextMax ? rates.eagerLayerSeconds : rates.layerSeconds) +
    rates.stepSeconds +
    (rates.sequenceSeconds * load.sequences) / replicas +
    (rates.promptTokenSeconds * load.promptTokens) / replicas +
    (rates.requestSeconds * load.prompts) / replicas;
  return {
    total: dense + experts + attention + vectors + communication + host,
    dense,
    experts,
    attention,
    vectors,
    communication,
    host,
  };
}

function overlapped(a: number, b: number, sharpness: number): number {
  const [less, more] = a < b ? [a, b] : [b, a];
  return more <= 0 ? 0 : more * (1 + (less / more) ** sharpness) ** (1 / sharpness);
}

function denseSeconds(
  shape: ServingShape,
  split: ServingSplit,
  rates: StepRates,
  tokens: number,
  sampled: number,
): number {
  const tp = split.attentionTp;
  const others = shape.denseParameters - shape.attentionParameters;
  const layers = overlapped(
    (2 * (tokens + rates.padTokens) * others) / (tp * rates.denseFlopsPerSecond) +
      (2 * (tokens + rates.padTokens) * shape.attentionParameters) / (tp * rates.projectionFlopsPerSecond),
    (others * rates.denseBytesPerWeight + shape.attentionParameters * rates.attentionBytesPerWeight) /
      (tp * rates.weightBytesPerSecond),
    rates.sharpness,
  );
  const head = overlapped(
    (2 * shape.headParameters * (sampled + rates.padTokens)) / (tp * rates.headFlopsPerSecond),
    (shape.headParameters * 2) / (tp * rates.weightBytesPerSecond),
    rates.sharpness,
  );
  return layers + head;
}

function expertSeconds(
  shape: ServingShape,
  rates: StepRates,
  tokens: number,
  expertRanks: number,
  stage: number,
): number {
  if (shape.experts === 0) return 0;
  const hit = expertsHit(shape, 1 + (tokens - 1) * rates.expertIndependence);
  const imbalance = expertRanks > 8 ? rates.expertImbalanceWide : expertRanks > 1 ? rates.expertImbalance : 1;
  const rows = tokens * shape.expertsPerToken * imbalance + hit * rates.expertPadTokens;
  const sliced = expertRanks > 1 ? 1 : tilePadding(shape.expertParameters / (3 * shape.hidden), stage);
  const weights = shape.mixtureLayers * shape.expertParameters;
  // The busiest rank gets more tokens, but never reads more experts than it holds.
  const read = Math.min(hit * imbalance, shape.experts);
  return overlapped(
    (2 * weights * rows * sliced) / (stage * rates.expertFlopsPerSecond),
    (weights * read * rates.expertBytesPerWeight) / (stage * rates.weightBytesPerSecond),
    rates.sharpness,
  );
}

/** Columns of a tile of grouped matrix kernels (CUTLASS and Marlin use 128 or 256). */
const tileColumns = 128;

/** Columns computed over columns needed where an expert of `width` inner columns is sliced over `ranks`. */
function tilePadding(width: number, ranks: number): number {
  const slice = width / ranks;
  return (Math.ceil(slice / tileColumns) * tileColumns) / slice;
}

function attentionSeconds(
  shape: ServingShape,
  split: ServingSplit,
  rates: StepRates,
  load: StepLoad,
  replicas: number,
): number {
  const cacheRanks = Math.min(split.attentionTp, shape.cacheShards);
  const attended = (attendedTokens(shape, load.meanContext) * load.sequences) / replicas;
  // One fused kernel per layer streams the cache while it multiplies, so its parts overlap where separate kernels' do not.
  // A sparse kernel computes all chosen slots, also those that a short context leaves empty.
  const slots = shape.indexedTokens > 0 ? (shape.indexedTokens * load.sequences) / replicas : attended;
  const decode = Math.max(
    (slots * load.tokensPerSequence * shape.decodeFlopsPerPair) /
      (split.attentionTp * (shape.latent ? rates.latentFlopsPerSecond : rates.attentionFlopsPerSecond)),
    (attended * shape.cachedValues * rates.cacheBytesPerValue) / (cacheRanks * rates.cacheBytesPerSecond),
  );
  const shared = (load.promptSkew ?? 1) / (replicas * split.attentionTp);
  if (shape.indexedTokens > 0)
    return decode + shared * sparsePromptSeconds(shape, rates, load) + indexSeconds(shape, rates, load, replicas);
  return decode + (shared * load.promptPairs * shape.prefillFlopsPerPair) / rates.attentionFlopsPerSecond;
}

/** Prompts of a sparse-attention model run in the absorbed form, each token against as many slots as the indexer chooses. */
function sparsePromptSeconds(shape: ServingShape, rates: StepRates, load: StepLoad): number {
  return (load.promptTokens * shape.indexedTokens * shape.decodeFlopsPerPair) / rates.latentFlopsPerSecond;
}

/** The indexer scores every cached token, on every tensor-parallel rank alike. */
function indexSeconds(shape: ServingShape, rates: StepRates, load: StepLoad, replicas: number): number {
  const cached = load.sequences * load.meanContext;
  const pairs = (load.promptPairs * (load.promptSkew ?? 1) + cached * load.tokensPerSequence) / replicas;
  return Math.max(
    (pairs * shape.indexFlopsPerPair) / rates.projectionFlopsPerSecond,
    ((cached / replicas) * shape.indexBytesPerToken) / rates.cacheBytesPerSecond,
  );
}

/** Tensor-parallel all-reduces, expert all-to-alls and pipeline hand-overs of one step. */
function communicationSeconds(
  shape: ServingShape,
  split: ServingSplit,
  rates: StepRates,
  rankTokens: number,
  compute: number,
): number {
  const stage = split.devices / split.pipeline;
  const tp = split.attentionTp;
  const vector = rankTokens * shape.hidden * 2;
  let seconds =
    split.pipeline > 1 ? split.pipeline * (rates.linkLatencySeconds + vector / rates.linkBytesPerSecond) : 0;
  if (tp > 1) {
    const across = tp > rates.domain;
    const rate = across ? rates.networkBytesPerSecond : rates.linkBytesPerSecond;
    const latency = across ? rates.networkLatencySeconds : rates.linkLatencySeconds;
    seconds += 2 * shape.layers * (latency * Math.log2(tp) + (2 * (tp - 1) * vector) / (tp * rate));
  }
  const expertRanks = stage / tp;
  if (shape.experts > 0 && expertRanks > 1) {
    seconds += allToAllSeconds(shape, rates, rankTokens / tp, expertRanks, stage, compute);
  }
  return seconds;
}

/** Dispatch and combine of all mixture layers; `tokens` per rank. Wide groups hide them behind the other half-batch's compute. */
function allToAllSeconds(
  shape: ServingShape,
  rates: StepRates,
  tokens: number,
  expertRanks: number,
  stage: number,
  compute: number,
): number {
  const across = stage > rates.domain;
  const nodes = Math.ceil(stage / rates.domain);
  // Up to 8 ranks of a fast domain gather all tokens and reduce-scatter the results (TensorRT-LLM fused_moe, vLLM's
  // allgather_reducescatter); wider groups send a token to each chosen expert's rank, or once to each other node it visits.
  // Small batches use the low-latency kernels, which send one copy per chosen expert (DeepEP, docs/legacy.md).
  const grouped = Math.min(shape.groupsPerToken || shape.expertsPerToken, nodes, shape.expertsPerToken);
  const visited = tokens <= 512 ? shape.expertsPerToken : grouped;
  const copies = across
    ? (visited * (nodes - 1)) / nodes
    : expertRanks <= 8
      ? expertRanks - 1
      : (Math.min(shape.expertsPerToken, expertRanks) * (expertRanks - 1)) / expertRanks;
  const rate = across ? rates.networkBytesPerSecond : rates.linkBytesPerSecond;
  const latency = across ? rates.networkLatencySeconds : 2 * rates.linkLatencySeconds;
  const bytes = tokens * shape.hidden * (rates.expertBytesPerWeight <= 1 ? 3 : 4) * copies;
  const seconds = shape.mixtureLayers * (2 * latency + bytes / rate);
  if (expertRanks <= 8) return rates.exposedShare * seconds;
  return Math.max(rates.exposedShare * seconds, seconds - rates.hiddenCompute * compute);
}
