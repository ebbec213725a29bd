/**
 * A model's `config.json` as transformers and vLLM write and read it, from and to what the engine trains.
 * Knows: which keys of a DeepSeek-V3 configuration say nothing about the numbers. Does not know: weights, files.
 * Source: huggingface/transformers configuration_deepseek_v3.py and modeling_deepseek_v3.py (read 2026-11-23).
 */
import { BadInput } from "../spec/bad-input.ts";
import { DeepseekConfig } from "../spec/deepseek-config.ts";

/** Number formats that weights are exported in. */
export type ExportFormat = "bf16" | "fp32";

/** Keys that published configurations carry and that change no logit of this architecture. */
const silent = new Set([
  ...["auto_map", "use_cache", "transformers_version", "ep_size", "aux_loss_alpha", "seq_aux", "pretraining_tp"],
  ...["dtype", "pad_token_id", "_name_or_path", "name_or_path"],
]);

/** `config.json` of an export. */
export function toModelConfig(
  config: DeepseekConfig,
  { format, bos, eos }: { format: ExportFormat; bos: number | undefined; eos: number | undefined },
): object {
  const { bos_token_id, eos_token_id, ...architecture } = config;
  const dense = (config.n_routed_experts ?? 0) === 0;
  return sortedByKey({
    ...architecture,
    architectures: ["DeepseekV3ForCausalLM"],
    model_type: "deepseek_v3",
    num_key_value_heads: config.num_attention_heads,
    // transformers makes every layer from this index on an expert layer, whatever n_routed_experts says.
    ...(dense && { n_routed_experts: null, first_k_dense_replace: config.num_hidden_layers }),
    ...idsOf(bos_token_id ?? bos, eos_token_id ?? eos),
    torch_dtype: format === "bf16" ? "bfloat16" : "float32",
    use_cache: true,
  });
}

/** `generation_config.json` of an export. */
export function toGenerationConfig(
  config: DeepseekConfig,
  { bos, eos }: { bos: number | undefined; eos: number | undefined },
): object {
  return {
    _from_model_config: true,
    ...idsOf(config.bos_token_id ?? bos, config.eos_token_id ?? eos),
    do_sample: true,
  };
}

/** Reads a `config.json`; BadInput names the file and every key that the engine has no meaning for. */
export function fromModelConfig(json: unknown, where: string): DeepseekConfig {
  const given = json !== null && typeof json === "object" && !Array.isArray(json) ? json : {};
  const known = Object.fromEntries(Object.entries(given).filter(([key]) => !silent.has(key)));
  const parsed = DeepseekConfig.safeParse(known);
  if (parsed.success) return parsed.data;
  throw new BadInput(
    ...parsed.error.issues.map(
      ({ path, message }) =>
        `${where}: ${path.join(".") || "configuration"}: ${message}; give a deepseek_v3 config.json`,
    ),
  );
}

/** As Hugging Face writes it, so that equal configurations are equal files. */
function sortedByKey(record: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function idsOf(bos: number | undefined, eos: number | undefined): object {
  return { ...(bos !== undefined && { bos_token_id: bos }), ...(eos !== undefined && { eos_token_id: eos }) };
}
