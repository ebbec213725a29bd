/**
 * Reads an Architecture from the text of a Hugging Face config.json.
 * Knows: the Llama, Mistral, Qwen, Mixtral, Qwen-MoE, DeepSeek V2/V3 and Kimi K2 families, and hostile input. Does not know: files.
 */
import * as z from "zod";
import { Architecture } from "./architecture.ts";
import { BadInput, didYouMean } from "./bad-input.ts";

/** Real configurations have 1–20 KB; one of a megabyte is not a configuration. */
export const configBytesMax = 2 ** 20;
const depthMax = 32;

const size = z
  .int()
  .positive()
  .max(2 ** 31);
const orNull = z
  .int()
  .nonnegative()
  .max(2 ** 31)
  .nullish();
const Config = z.looseObject({
  model_type: z.string().max(100),
  hidden_size: size,
  num_hidden_layers: size.max(10_000),
  num_attention_heads: size.max(100_000),
  vocab_size: size,
  intermediate_size: orNull,
  num_key_value_heads: orNull,
  head_dim: orNull,
  tie_word_embeddings: z.boolean().nullish(),
  attention_bias: z.boolean().nullish(),
  sliding_window: orNull,
  use_sliding_window: z.boolean().nullish(),
  num_local_experts: orNull,
  num_experts: orNull,
  n_routed_experts: orNull,
  num_experts_per_tok: orNull,
  moe_intermediate_size: orNull,
  shared_expert_intermediate_size: orNull,
  n_shared_experts: orNull,
  first_k_dense_replace: orNull,
  moe_layer_freq: z.union([z.int().positive(), z.array(z.int()).max(10_000)]).nullish(),
  decoder_sparse_step: orNull,
  mlp_only_layers: z.array(z.int()).max(10_000).nullish(),
  n_group: orNull,
  topk_group: orNull,
  topk_method: z.string().max(100).nullish(),
  q_lora_rank: orNull,
  kv_lora_rank: orNull,
  qk_nope_head_dim: orNull,
  qk_rope_head_dim: orNull,
  v_head_dim: orNull,
  num_nextn_predict_layers: orNull,
});
type Config = z.infer<typeof Config>;

const families = [
  "llama",
  "mistral",
  "qwen2",
  "qwen3",
  "mixtral",
  "qwen2_moe",
  "qwen3_moe",
  "deepseek_v2",
  "deepseek_v3",
  "kimi_k2",
];

/** Parses `text` (a config.json, at most `configBytesMax` characters); anything else is BadInput naming `where`. */
export function parseConfig(text: string, where: string): Architecture {
  if (text.length > configBytesMax)
    throw new BadInput(`${where}: over ${configBytesMax} bytes; give the model's config.json, not its weights`);
  refuseDepth(text, where);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadInput(`${where}: not JSON; give the config.json beside the model's weights`);
  }
  return architectureFromConfig(value, where);
}

/** One pass over the text, before any parser recurses into it. */
function refuseDepth(text: string, where: string): void {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (quoted) {
      if (c === 92) i++;
      else if (c === 34) quoted = false;
    } else if (c === 34) quoted = true;
    else if (c === 123 || c === 91) {
      if (++depth > depthMax)
        throw new BadInput(`${where}: nested deeper than ${depthMax}; give the config.json of a language model`);
    } else if (c === 125 || c === 93) depth--;
  }
}

/** One issue for each field: further ones say the same of another bound. */
function firstOfEach<I extends { readonly path: readonly PropertyKey[] }>(issues: readonly I[]): I[] {
  const seen = new Set<string>();
  return issues.filter(({ path }) => {
    const field = path.join(".");
    return !seen.has(field) && seen.add(field);
  });
}

const plainly = (message: string): string => (message.endsWith("received undefined") ? "is missing" : message);

/** The architecture that a parsed config.json describes; unknown families and impossible sizes are BadInput. */
export function architectureFromConfig(value: unknown, where: string): Architecture {
  const parsed = Config.safeParse(value);
  if (!parsed.success)
    throw new BadInput(
      ...firstOfEach(parsed.error.issues)
        .slice(0, 5)
        .map(
          (issue) =>
            `${where}: ${issue.path.join(".") || "top level"}: ${plainly(issue.message)}; give a config.json of ${families.join(", ")}`,
        ),
    );
  const config = parsed.data;
  if (!families.includes(config.model_type))
    throw new BadInput(
      `${where}: model_type ${config.model_type.slice(0, 60)} is not read${didYouMean(config.model_type, families)}; supported: ${families.join(", ")}`,
    );
  const architecture = Architecture.safeParse(fields(config, where));
  if (architecture.success) return architecture.data;
  throw new BadInput(
    ...architecture.error.issues
      .slice(0, 5)
      .map((issue) => `${where}: ${issue.path.join(".")}: ${issue.message}; mend the config.json`),
  );
}

function fields(c: Config, where: string): Architecture {
  const latent = c.model_type.startsWith("deepseek") || c.model_type === "kimi_k2";
  const qwen2 = c.model_type === "qwen2" || c.model_type === "qwen2_moe";
  const windowed = (c.sliding_window ?? 0) > 0 && (c.use_sliding_window ?? !c.model_type.startsWith("qwen"));
  const mla = latent && (c.kv_lora_rank ?? 0) > 0 ? latentFields(c, where) : null;
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  if (!mla && c.num_attention_heads % Math.max(1, kvHeads) !== 0)
    throw new BadInput(
      `${where}: num_attention_heads ${c.num_attention_heads} is no multiple of num_key_value_heads ${kvHeads}; mend one`,
    );
  if (!mla && !c.head_dim && c.hidden_size % c.num_attention_heads !== 0)
    throw new BadInput(`${where}: hidden_size ${c.hidden_size} is no multiple of num_attention_heads; give head_dim`);
  const moe = expertFields(c, where);
  if (!moe && !c.intermediate_size) throw new BadInput(`${where}: intermediate_size is missing; add it`);
  return {
    name: c.model_type,
    layers: c.num_hidden_layers,
    hidden: c.hidden_size,
    ffn: c.intermediate_size ?? 0,
    heads: c.num_attention_heads,
    kvHeads,
    headDim: mla ? mla.nopeHeadDim + mla.ropeHeadDim : (c.head_dim ?? c.hidden_size / c.num_attention_heads),
    vocab: c.vocab_size,
    gated: true,
    tiedEmbeddings: c.tie_word_embeddings ?? false,
    learnedPositions: 0,
    bias: qwen2 || c.attention_bias === true ? "qkv" : "none",
    norm: "rms",
    normsPerLayer: 2,
    queryKeyNorm: c.model_type.startsWith("qwen3"),
    window: windowed ? (c.sliding_window ?? 0) : 0,
    windowLayers: windowed ? c.num_hidden_layers : 0,
    moe,
    mla,
    recurrent: null,
    mtpLayers: c.num_nextn_predict_layers ?? 0,
  };
}

function latentFields(c: Config, where: string) {
  const need = (key: "kv_lora_rank" | "qk_nope_head_dim" | "qk_rope_head_dim" | "v_head_dim"): number => {
    const value = c[key];
    if (!value) throw new BadInput(`${where}: ${key} is missing; latent attention needs it`);
    return value;
  };
  return {
    queryRank: c.q_lora_rank ?? 0,
    keyValueRank: need("kv_lora_rank"),
    nopeHeadDim: need("qk_nope_head_dim"),
    ropeHeadDim: need("qk_rope_head_dim"),
    valueHeadDim: need("v_head_dim"),
  };
}

function expertFields(c: Config, where: string) {
  const experts = c.n_routed_experts ?? c.num_experts ?? c.num_local_experts ?? 0;
  if (experts === 0) return null;
  const expertsPerToken = c.num_experts_per_tok ?? 0;
  const expertFfn = c.moe_intermediate_size ?? c.intermediate_size ?? 0;
  if (expertsPerToken < 1 || expertsPerToken > experts || expertFfn < 1)
    throw new BadInput(
      `${where}: num_experts_per_tok ${expertsPerToken} of ${experts} experts of width ${expertFfn}; mend one`,
    );
  const sharedFfn = c.shared_expert_intermediate_size ?? (c.n_shared_experts ?? 0) * expertFfn;
  const every = typeof c.moe_layer_freq === "number" ? c.moe_layer_freq : (c.decoder_sparse_step ?? 1);
  const denseLayers = c.first_k_dense_replace ?? c.mlp_only_layers?.length ?? 0;
  if (denseLayers > c.num_hidden_layers)
    throw new BadInput(`${where}: ${denseLayers} dense layers of ${c.num_hidden_layers}; lower first_k_dense_replace`);
  // Only `noaux_tc` (V3) has a correction bias per expert; groups above 1 stand for it here.
  const groups = Math.max(1, c.n_group ?? 1);
  const limited = groups > 1 && c.topk_group ? c.topk_group : 0;
  return {
    experts,
    expertsPerToken,
    expertFfn,
    sharedFfn,
    denseLayers,
    everyLayers: Math.max(1, every),
    groupsPerToken: limited,
    groups,
    latent: 0,
  };
}
