/**
 * The shape of a language model.
 * Knows: layers, widths, experts, latent attention, recurrent mixers and their bounds. Does not know: what follows from them
 * (parameter-counts.ts), devices, files.
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
