/**
 * What one served token costs a model, counted from its architecture alone: multiplied weights, cached values, attention work.
 * Knows: dense, grouped-query, latent, windowed attention and mixtures. Does not know: devices, seconds, batches.
 */
import type { Architecture } from "../spec/architecture.ts";
import {
  attentionParameters,
  cachedValuesPerToken,
  layerKinds,
  mixtureParameters,
  parameterCounts,
} from "../spec/parameter-counts.ts";

/** Counts over the whole model, not per device; parameters are numbers of weights, work is in FLOPs. */
export interface ServingShape {
  layers: number;
  hidden: number;
  /** Weights that every token passes: attention, dense and shared MLPs, routers. */
  denseParameters: number;
  /** The part of `denseParameters` that belongs to attention; bf16 when only experts are quantised. */
  attentionParameters: number;
  headParameters: number;
  embeddingParameters: number;
  /** Weights of one routed expert in one layer; 0 for a dense model. */
  expertParameters: number;
  mixtureLayers: number;
  experts: number;
  expertsPerToken: number;
  /** Node-limited routing: groups that a token may visit; 0 for unlimited. */
  groupsPerToken: number;
  /** Values cached per token over all layers. */
  cachedValues: number;
  /** Tensor-parallel ranks that can share one token's cache: key/value heads, or 1 for a latent. */
  cacheShards: number;
  /** Share of attention layers that look back at most `window` tokens. */
  windowShare: number;
  window: number;
  /** FLOPs over all layers for one new token against one cached token (absorbed form for latent attention). */
  decodeFlopsPerPair: number;
  /** The same while a prompt is read (latent attention expanded to heads). */
  prefillFlopsPerPair: number;
  mtpLayers: number;
  latent: boolean;
  /** The published FP8 checkpoint scales per 128 × 128 block (DeepSeek, Kimi, Qwen3), not per tensor or channel. */
  blockScaled: boolean;
  /** Tokens that a lightning indexer chooses for each query to attend to (DeepSeek-V3.2, arXiv:2512.02556); 0 without one. */
  indexedTokens: number;
  /** FLOPs of the indexer over all layers for one query against one key, and bytes that it reads per cached token. */
  indexFlopsPerPair: number;
  indexBytesPerToken: number;
}

/** index_n_heads and index_head_dim of DeepSeek-V3.2's config.json; its index_topk is 2048. */
const indexHeads = 64;
const indexWidth = 128;

/**
 * The serving shape of an architecture.
 * Absorbed latent attention: DeepSeek-V2, arXiv:2405.04434 §2.1.2: scores over rank + rope, values over rank.
 */
export function servingShape(a: Architecture): ServingShape {
  const kinds = layerKinds(a);
  const counts = parameterCounts(a);
  const { expert } = mixtureParameters(a);
  const mla = a.mla;
  const decode = mla ? 2 * a.heads * (2 * mla.keyValueRank + mla.ropeHeadDim) : 4 * a.heads * a.headDim;
  const indexed = /v3\.2/.test(a.name);
  const prefill = mla ? 2 * a.heads * (mla.nopeHeadDim + mla.ropeHeadDim + mla.valueHeadDim) : 4 * a.heads * a.headDim;
  return {
    layers: a.layers,
    hidden: a.hidden,
    denseParameters: counts.mixer + counts.mlp,
    attentionParameters: kinds.attention * attentionParameters(a),
    headParameters: counts.head,
    embeddingParameters: a.tiedEmbeddings ? 0 : counts.embedding,
    expertParameters: expert,
    mixtureLayers: kinds.mixture,
    experts: a.moe?.experts ?? 0,
    expertsPerToken: a.moe?.expertsPerToken ?? 0,
    groupsPerToken: a.moe?.groupsPerToken ?? 0,
    cachedValues: cachedValuesPerToken(a),
    cacheShards: mla ? 1 : a.kvHeads,
    windowShare: a.window > 0 && kinds.attention > 0 ? Math.min(1, a.windowLayers / kinds.attention) : 0,
    window: a.window,
    decodeFlopsPerPair: kinds.attention * decode,
    prefillFlopsPerPair: kinds.attention * prefill,
    mtpLayers: a.mtpLayers,
    latent: mla !== null,
    blockScaled: mla !== null || /qwen-?3/i.test(a.name),
    indexedTokens: indexed ? 2048 : 0,
    indexFlopsPerPair: indexed ? kinds.attention * 2 * indexHeads * indexWidth : 0,
    // FP8 keys with a scale of 4 bytes.
    indexBytesPerToken: indexed ? kinds.attention * (indexWidth + 4) : 0,
  };
}

/** Cached tokens that a new token really attends to, averaged over layers, `context` tokens after the start. */
export function attendedTokens(shape: ServingShape, context: number): number {
  if (shape.indexedTokens > 0) return Math.min(context, shape.indexedTokens);
  return (1 - shape.windowShare) * context + shape.windowShare * Math.min(context, shape.window);
}

/** Causal (query, key) pairs when tokens `from`…`to` of a prompt are read, averaged over layers. */
export function causalPairs(shape: ServingShape, from: number, to: number): number {
  const full = (to * to - from * from) / 2;
  if (shape.windowShare === 0) return full;
  const w = shape.window;
  const below = (x: number): number => (x <= w ? (x * x) / 2 : (w * w) / 2 + (x - w) * w);
  return (1 - shape.windowShare) * full + shape.windowShare * (below(to) - below(from));
}

/** Expected number of experts of one layer that at least one of `tokens` picks, were routing uniform. */
export function expertsHit(shape: ServingShape, tokens: number): number {
  if (shape.experts === 0) return 0;
  return shape.experts * -Math.expm1(tokens * Math.log1p(-Math.min(shape.expertsPerToken / shape.experts, 1 - 1e-9)));
}
