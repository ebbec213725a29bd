/**
 * The shape of a language model and what follows from shape alone: parameter counts and cache bytes.
 * Knows: layers, widths, experts, latent attention, recurrent mixers. Does not know: devices, layouts, files.
 */
import * as z from "zod";

const size = z
  .int()
  .positive()
  .max(2 ** 40);
const count = z
  .int()
  .nonnegative()
  .max(2 ** 40);

/** Mixture of experts: `experts` routed, of which `expertsPerToken` run, plus one shared MLP of width `sharedFfn`. */
export const ExpertShape = z.strictObject({
  experts: size,
  expertsPerToken: size,
  expertFfn: size,
  /** Width of the always-active shared MLP (all shared experts together); 0 for none. */
  sharedFfn: count,
  /** The first layers that keep a dense MLP of width `ffn`. */
  denseLayers: count,
  /** One mixture layer in every so many (Llama 4 Maverick: 2). */
  everyLayers: size,
  /** Node-limited routing: a token's experts lie in at most this many groups (DeepSeek V3: 4 of 8); 0 for unlimited. */
  groupsPerToken: count,
  groups: count,
  /** Experts work on this width behind a projection (latent mixture); 0 for the hidden width. */
  latent: count,
});
export type ExpertShape = z.infer<typeof ExpertShape>;

/** Multi-head latent attention (DeepSeek-V2, arXiv:2405.04434 §2.1). */
export const LatentAttention = z.strictObject({
  queryRank: count,
  keyValueRank: size,
  nopeHeadDim: size,
  ropeHeadDim: size,
  valueHeadDim: size,
});
export type LatentAttention = z.infer<typeof LatentAttention>;

/** Layers whose mixer is recurrent (Mamba-2, gated delta net) rather than attention. */
export const RecurrentMixer = z.strictObject({
  layers: count,
  inputWidth: size,
  outputWidth: size,
  stateWidth: size,
  /** Layers that have only a mixer or only an MLP (Nemotron-H); otherwise each layer has both. */
  separateMlpLayers: count,
});
export type RecurrentMixer = z.infer<typeof RecurrentMixer>;

export const Architecture = z.strictObject({
  name: z.string().min(1).max(200),
  layers: size,
  hidden: size,
  ffn: count,
  heads: size,
  kvHeads: size,
  headDim: size,
  vocab: size,
  /** Gated MLP (SwiGLU, GeGLU) has three matrices, a plain one two. */
  gated: z.boolean(),
  tiedEmbeddings: z.boolean(),
  /** Learned position embeddings (GPT, MPT); 0 for rotary or ALiBi. */
  learnedPositions: count,
  /** Which linear layers carry a bias: none, the query/key/value projection (Qwen), or all (GPT). */
  bias: z.enum(["none", "qkv", "all"]),
  /** RMS norm has a scale; layer norm a scale and a shift. */
  norm: z.enum(["rms", "layer"]),
  /** Norms of hidden width per layer: 2, or 4 with sandwich norm (Gemma 2, Pangu). */
  normsPerLayer: size,
  /** Per-head norms of queries and keys (Qwen3). */
  queryKeyNorm: z.boolean(),
  /** Attention looks back at most this far in `windowLayers` of the layers; 0 for everywhere. */
  window: count,
  windowLayers: count,
  moe: ExpertShape.nullable(),
  mla: LatentAttention.nullable(),
  recurrent: RecurrentMixer.nullable(),
  /** Multi-token-prediction layers trained beside the main model (DeepSeek V3: 1). */
  mtpLayers: count,
});
export type Architecture = z.infer<typeof Architecture>;

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
