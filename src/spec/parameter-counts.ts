/**
 * What follows from a model's shape alone: parameter counts and cache bytes.
 * Knows: which matrices a layer has. Does not know: devices, layouts, how a shape is checked (so that counting loads no schemas).
 */
import type { Architecture } from "./architecture.ts";

/** Parameters by where they live; `routed` are all experts' weights of all mixture layers. */
export interface ParameterCounts {
  /** Main model, embeddings and output head included, multi-token-prediction layers excluded. */
  total: number;
  /** Parameters that one token passes through, with input embedding and output head (as DeepSeek's report counts). */
  active: number;
  /** `active` without the input embedding table, which is looked up rather than multiplied. */
  activeWithoutEmbedding: number;
  embedding: number;
  head: number;
  /** Sum over layers of attention (or recurrent mixer) weights. */
  mixer: number;
  /** Sum over layers of dense and shared MLP weights and routers. */
  mlp: number;
  routed: number;
  norms: number;
}

/** How many layers have attention, a recurrent mixer, a dense MLP and a mixture of experts. */
export function layerKinds(a: Architecture): { attention: number; recurrent: number; dense: number; mixture: number } {
  const recurrent = a.recurrent?.layers ?? 0;
  const mlpLayers = a.recurrent && a.recurrent.separateMlpLayers > 0 ? a.recurrent.separateMlpLayers : a.layers;
  const attention = mlpLayers === a.layers ? a.layers - recurrent : a.layers - recurrent - mlpLayers;
  if (!a.moe) return { attention, recurrent, dense: mlpLayers, mixture: 0 };
  const mixture = Math.floor((mlpLayers - a.moe.denseLayers) / a.moe.everyLayers);
  return { attention, recurrent, dense: mlpLayers - mixture, mixture };
}

/** Weights of one attention layer, biases and latent norms included; shapes as in the Hugging Face implementations. */
export function attentionParameters(a: Architecture): number {
  if (a.mla) {
    const { queryRank, keyValueRank, nopeHeadDim, ropeHeadDim, valueHeadDim } = a.mla;
    const query = a.heads * (nopeHeadDim + ropeHeadDim);
    const queries = queryRank > 0 ? a.hidden * queryRank + queryRank + queryRank * query : a.hidden * query;
    const keysValues = a.hidden * (keyValueRank + ropeHeadDim) + keyValueRank;
    const expansion = keyValueRank * a.heads * (nopeHeadDim + valueHeadDim);
    return queries + keysValues + expansion + a.heads * valueHeadDim * a.hidden;
  }
  const query = a.heads * a.headDim;
  const keyValue = 2 * a.kvHeads * a.headDim;
  const bias = a.bias === "none" ? 0 : query + keyValue + (a.bias === "all" ? a.hidden : 0);
  return a.hidden * (2 * query + keyValue) + bias + (a.queryKeyNorm ? 2 * a.headDim : 0);
}

/** Weights of one MLP of the given widths (gated: three matrices). */
export function mlpParameters(a: Architecture, input: number, width: number): number {
  const up = a.gated ? 2 : 1;
  return (up + 1) * input * width + (a.bias === "all" ? up * width + input : 0);
}

/** Weights of one recurrent mixer layer: input and output projection. Convolution and state are below 0.1 % and left out. */
function recurrentParameters(a: Architecture): number {
  return a.recurrent ? a.hidden * a.recurrent.inputWidth + a.recurrent.outputWidth * a.hidden : 0;
}

/** Weights of one mixture layer: router (with its bias vector when grouped), shared MLP, and one expert apart. */
export function mixtureParameters(a: Architecture): { fixed: number; expert: number } {
  if (!a.moe) return { fixed: 0, expert: 0 };
  const { latent, experts, groups, sharedFfn, expertFfn } = a.moe;
  const width = latent > 0 ? latent : a.hidden;
  const router = experts * a.hidden + (groups > 1 ? experts : 0);
  const shared = sharedFfn > 0 ? mlpParameters(a, a.hidden, sharedFfn) : 0;
  return {
    fixed: router + shared + (latent > 0 ? 2 * a.hidden * latent : 0),
    expert: mlpParameters(a, width, expertFfn),
  };
}

/** Exact parameter counts of the main model; the conventions are those of the fields of {@link ParameterCounts}. */
export function parameterCounts(a: Architecture): ParameterCounts {
  const kinds = layerKinds(a);
  const { fixed, expert } = mixtureParameters(a);
  const embedding = a.vocab * a.hidden + a.learnedPositions * a.hidden;
  const head = a.vocab * a.hidden;
  const mixer = kinds.attention * attentionParameters(a) + kinds.recurrent * recurrentParameters(a);
  const mlp = kinds.dense * mlpParameters(a, a.hidden, a.ffn) + kinds.mixture * fixed;
  const routed = kinds.mixture * expert * (a.moe?.experts ?? 0);
  const routedActive = kinds.mixture * expert * (a.moe?.expertsPerToken ?? 0);
  const norms = (a.norm === "layer" ? 2 : 1) * a.hidden * (a.layers * a.normsPerLayer + 1);
  const body = mixer + mlp + norms;
  return {
    total: body + routed + embedding + (a.tiedEmbeddings ? 0 : head),
    active: body + routedActive + embedding + (a.tiedEmbeddings ? 0 : head),
    activeWithoutEmbedding: body + routedActive + head,
    embedding,
    head,
    mixer,
    mlp,
    routed,
    norms,
  };
}

/** Numbers cached per token over all layers: keys and values, or the latent and the rotary key of MLA. */
export function cachedValuesPerToken(a: Architecture): number {
  const perLayer = a.mla ? a.mla.keyValueRank + a.mla.ropeHeadDim : 2 * a.kvHeads * a.headDim;
  return layerKinds(a).attention * perLayer;
}

/** Key/value cache bytes per token at `bytesPerValue` (bf16: 2, fp8 and int8: 1). DeepSeek V3 in bf16: 70,272. */
export function cacheBytesPerToken(a: Architecture, bytesPerValue: number): number {
  return cachedValuesPerToken(a) * bytesPerValue;
}
