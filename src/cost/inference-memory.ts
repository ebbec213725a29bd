/**
 * Device memory of a served model: weights, key/value cache, and how many tokens the cache holds.
 * Knows: split, formats, reserved share. Does not know: seconds, requests, chips.
 */
import type { WeightFormat } from "./inference-formats.ts";
import type { ServingShape } from "./inference-shape.ts";
import type { ServingSplit } from "./inference-step.ts";

/** Bytes of weights on one device. Embeddings and head stay in 16 bits, sharded with attention. */
export function weightBytesPerDevice(shape: ServingShape, split: ServingSplit, format: WeightFormat): number {
  const dense =
    shape.attentionParameters * format.attentionBytesPerWeight +
    (shape.denseParameters - shape.attentionParameters) * (format.name === "mxfp4" ? 2 : format.bytesPerWeight);
  const wide = 2 * (shape.headParameters + shape.embeddingParameters);
  const routed = shape.experts * shape.mixtureLayers * shape.expertParameters * format.bytesPerWeight;
  const stage = split.devices / split.pipeline;
  // Whole experts live on ranks: the last rank is filled up with a redundant one.
  const filled =
    split.expertParallel && shape.experts > 0 ? (Math.ceil(shape.experts / stage) * stage) / shape.experts : 1;
  return (dense + wide) / (split.attentionTp * split.pipeline) + (routed * filled) / (stage * split.pipeline);
}

/**
 * Tokens whose keys and values fit on the whole group beside the weights; 0 or less when the weights alone do not fit.
 * `usableBytes` is per device, after the engine's reserve. A latent (MLA) is held whole by every tensor-parallel rank.
 */
export function cacheTokens(
  shape: ServingShape,
  split: ServingSplit,
  format: WeightFormat,
  cacheBytesPerValue: number,
  usableBytes: number,
): number {
  const free = usableBytes - weightBytesPerDevice(shape, split, format);
  const shards = Math.min(split.attentionTp, shape.cacheShards) * split.pipeline;
  const replicas = split.devices / split.pipeline / split.attentionTp;
  return (free * shards * replicas) / (shape.cachedValues * cacheBytesPerValue);
}
