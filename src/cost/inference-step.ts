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
  weightBytesPerSecond: number;
  cacheBytesPerSecond: number;
  vectorBytesPerSecond: number;
  /** Times that a hidden vector crosses memory between matrix multiplications of one layer. */
  vectorPasses: number;
  denseBytesPerWeight: number;
  expertBytesPerWeight: number;
  cacheBytesPerValue: number;
  /** Tokens lost to tile padding per matrix, and per active expert. */
  padTokens: number;
  expertPadTokens: number;
  expertImbalance: number;
  linkBytesPerSecond: number;
  linkLatencySeconds: number;
  networkBytesPerSecond: number;
  networkLatencySeconds: number;
  /** Devices that the fast link joins. */
  domain: number;
  exposedShare: number;
  layerSeconds: number;
  stepSeconds: number;
  sequenceSeconds: number;
  promptTokenSeconds: number;
  /** Host seconds to take in one request: connection, tokenisation, queues. */
  requestSeconds: number;
  /** Exponent of the soft maximum of compute and memory time; infinity would be the sharp roofline. */
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
 * Seconds of one step. Matrix time is the soft roofline of Williams et al. 2009 (doi 10.1145/1498765.1498785):
 * `(compute^s + memory^s)^(1/s)`; collectives are ring all-reduces (2(n−1)/n of the payload) or two all-to-alls per mixture layer.
 */
export function stepSeconds(shape: ServingShape, split: ServingSplit, rates: StepRates, load: StepLoad): StepSeconds {
  const stage = split.devices / split.pipeline;
  const replicas = stage / split.attentionTp;
  const decoded = load.sequences * load.tokensPerSequence;
  const tokens = load.promptTokens + decoded;
  const rankTokens = tokens / replicas;
  const dense = denseSeconds(shape, split, rates, rankTokens, decoded / replicas);
  const experts = expertSeconds(shape, rates, tokens, split.expertParallel ? stage : 1, stage);
  const attention = attentionSeconds(shape, split, rates, load, replicas);
  const vectors =
    (rates.vectorPasses * shape.layers * shape.hidden * 2 * rankTokens) / (rates.vectorBytesPerSecond * split.attentionTp ** 0.5);
  const communication = communicationSeconds(shape, split, rates, rankTokens);
  const host =
    shape.layers * rates.layerSeconds +
    rates.stepSeconds +
    (rates.sequenceSeconds * load.sequences) / replicas +
    (rates.promptTokenSeconds * load.promptTokens) / replicas +
    (rates.requestSeconds * load.prompts) / replicas;
  return { total: dense + experts + attention + vectors + communication + host, dense, experts, attention, vectors, communication, host };
}

function softMax(a: number, b: number, sharpness: number): number {
  const high = Math.max(a, b);
  return high === 0 ? 0 : high * (1 + (Math.min(a, b) / high) ** sharpness) ** (1 / sharpness);
}

function denseSeconds(shape: ServingShape, split: ServingSplit, rates: StepRates, tokens: number, sampled: number): number {
  const tp = split.attentionTp;
  const layers = softMax(
    (2 * shape.denseParameters * (tokens + rates.padTokens)) / (tp * rates.denseFlopsPerSecond),
    (shape.denseParameters * rates.denseBytesPerWeight) / (tp * rates.weightBytesPerSecond),
    rates.sharpness,
  );
  const head = softMax(
    (2 * shape.headParameters * (sampled + rates.padTokens)) / (tp * rates.attentionFlopsPerSecond),
    (shape.headParameters * 2) / (tp * rates.weightBytesPerSecond),
    rates.sharpness,
  );
  return layers + head;
}

function expertSeconds(shape: ServingShape, rates: StepRates, tokens: number, expertRanks: number, stage: number): number {
  if (shape.experts === 0) return 0;
  const hit = expertsHit(shape, tokens);
  const imbalance = expertRanks > 1 ? rates.expertImbalance : 1;
  const rows = tokens * shape.expertsPerToken * imbalance + hit * rates.expertPadTokens;
  const weights = shape.mixtureLayers * shape.expertParameters;
  return softMax(
    (2 * weights * rows) / (stage * rates.expertFlopsPerSecond),
    (weights * hit * rates.expertBytesPerWeight * imbalance) / (stage * rates.weightBytesPerSecond),
    rates.sharpness,
  );
}

function attentionSeconds(shape: ServingShape, split: ServingSplit, rates: StepRates, load: StepLoad, replicas: number): number {
  const cacheRanks = Math.min(split.attentionTp, shape.cacheShards);
  const attended = (attendedTokens(shape, load.meanContext) * load.sequences) / replicas;
  const decode = softMax(
    (attended * load.tokensPerSequence * shape.decodeFlopsPerPair) / (split.attentionTp * rates.attentionFlopsPerSecond),
    (attended * shape.cachedValues * rates.cacheBytesPerValue) / (cacheRanks * rates.cacheBytesPerSecond),
    rates.sharpness,
  );
  const prefill =
    (load.promptPairs * shape.prefillFlopsPerPair) / (replicas * split.attentionTp * rates.attentionFlopsPerSecond);
  return decode + prefill;
}

/** Tensor-parallel all-reduces, expert all-to-alls and pipeline hand-overs of one step. */
function communicationSeconds(shape: ServingShape, split: ServingSplit, rates: StepRates, rankTokens: number): number {
  const stage = split.devices / split.pipeline;
  const tp = split.attentionTp;
  const vector = rankTokens * shape.hidden * 2;
  let seconds = split.pipeline > 1 ? split.pipeline * (rates.linkLatencySeconds + vector / rates.linkBytesPerSecond) : 0;
  if (tp > 1) {
    const across = tp > rates.domain;
    const rate = across ? rates.networkBytesPerSecond : rates.linkBytesPerSecond;
    const latency = across ? rates.networkLatencySeconds : rates.linkLatencySeconds;
    seconds += 2 * shape.layers * (latency * Math.log2(tp) + (2 * (tp - 1) * vector) / (tp * rate));
  }
  const expertRanks = stage / tp;
  if (shape.experts > 0 && expertRanks > 1) {
    const across = stage > rates.domain;
    const nodes = Math.ceil(stage / rates.domain);
    // Within the fast domain a token is sent to each chosen expert's rank; between nodes once per node it visits.
    const copies = across
      ? Math.min(shape.groupsPerToken || shape.expertsPerToken, nodes, shape.expertsPerToken)
      : Math.min(shape.expertsPerToken, expertRanks);
    const rate = across ? rates.networkBytesPerSecond : rates.linkBytesPerSecond;
    const latency = across ? rates.networkLatencySeconds : rates.linkLatencySeconds;
    const bytes = (rankTokens / tp) * shape.hidden * (rates.expertBytesPerWeight <= 1 ? 3 : 4) * copies;
    seconds += rates.exposedShare * shape.mixtureLayers * (2 * latency * Math.log2(expertRanks) + bytes / rate);
  }
  return seconds;
}
