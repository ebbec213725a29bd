/**
 * Writes checkpoints of true naming and proportions with seeded values, for tests and measurements; nobody trained them.
 * Knows: the tensors of DeepSeek-V3, Llama and Qwen as Hugging Face names them. Does not know: how they are converted.
 * Sources: deepseek-ai/DeepSeek-V3 README_WEIGHTS.md and inference/convert.py; huggingface/transformers modeling_{llama,qwen2,qwen3_moe}.py.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Dtype, dtypeBytes, type TensorInfo, tensorBytes } from "../checkpoint/dtype.ts";
import { encodeOrderedHeader } from "../checkpoint/safetensors-header.ts";
import { safetensorsMetadata } from "../checkpoint/safetensors-write.ts";
import { random } from "../spec/random.ts";

export interface SyntheticShape {
  readonly family: "deepseek_v3" | "llama" | "qwen2" | "qwen3_moe";
  readonly hidden: number;
  readonly intermediate: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocab: number;
  /** 0 for a dense model. */
  readonly experts: number;
  readonly expertWidth: number;
  readonly denseLayers: number;
  readonly queryRank: number;
  readonly keyValueRank: number;
  readonly nope: number;
  readonly rope: number;
  readonly mtpLayers: number;
  /** Side of the square that shares a scale; 0 stores the weights in bfloat16. */
  readonly block: number;
}

/** DeepSeek-V3's published sizes: 91,991 tensors of 688,574,839,360 bytes. */
export const deepseekV3Shape: SyntheticShape = {
  ...{ family: "deepseek_v3", hidden: 7168, intermediate: 18432, layers: 61, heads: 128, kvHeads: 128, headDim: 128 },
  ...{ vocab: 129280, experts: 256, expertWidth: 2048, denseLayers: 3, queryRank: 1536, keyValueRank: 512 },
  ...{ nope: 128, rope: 64, mtpLayers: 1, block: 128 },
};

/** The same proportions with every width divided, and fewer layers and experts. */
export function smallerShape(
  divisor: number,
  { layers, experts }: { layers: number; experts: number },
): SyntheticShape {
  const part = (size: number): number => Math.max(1, Math.round(size / divisor));
  return {
    ...deepseekV3Shape,
    ...{ hidden: part(7168), intermediate: part(18432), heads: part(128), kvHeads: part(128), vocab: part(129280) },
    ...{ expertWidth: part(2048), queryRank: part(1536), keyValueRank: part(512), layers, experts, denseLayers: 1 },
  };
}

/** Every tensor in the order in which the layers run. */
export function syntheticTensors(shape: SyntheticShape): TensorInfo[] {
  const tensors: TensorInfo[] = [];
  const add = (name: string, dtype: Dtype, ...sizes: number[]): void =>
    void tensors.push({ name, dtype, shape: sizes });
  const linear = (name: string, outputs: number, inputs: number): void => {
    add(`${name}.weight`, shape.block > 0 ? "F8_E4M3" : "BF16", outputs, inputs);
    if (shape.block === 0) return;
    add(`${name}.weight_scale_inv`, "F32", Math.ceil(outputs / shape.block), Math.ceil(inputs / shape.block));
  };
  const mlp = (name: string, width: number): void => {
    linear(`${name}.gate_proj`, width, shape.hidden);
    linear(`${name}.up_proj`, width, shape.hidden);
    linear(`${name}.down_proj`, shape.hidden, width);
  };
  add("model.embed_tokens.weight", "BF16", shape.vocab, shape.hidden);
  for (let layer = 0; layer < shape.layers + shape.mtpLayers; layer++) {
    const at = `model.layers.${layer}`;
    if (layer >= shape.layers) {
      add(`${at}.embed_tokens.weight`, "BF16", shape.vocab, shape.hidden);
      for (const norm of ["enorm", "hnorm"]) add(`${at}.${norm}.weight`, "BF16", shape.hidden);
      add(`${at}.eh_proj.weight`, "BF16", shape.hidden, 2 * shape.hidden);
      add(`${at}.shared_head.norm.weight`, "BF16", shape.hidden);
      add(`${at}.shared_head.head.weight`, "BF16", shape.vocab, shape.hidden);
    }
    add(`${at}.input_layernorm.weight`, "BF16", shape.hidden);
    add(`${at}.post_attention_layernorm.weight`, "BF16", shape.hidden);
    if (shape.family === "deepseek_v3") latentAttention(shape, `${at}.self_attn`, add, linear);
    else groupedAttention(shape, `${at}.self_attn`, add, linear);
    if (shape.experts === 0 || layer < shape.denseLayers) {
      mlp(`${at}.mlp`, shape.intermediate);
      continue;
    }
    add(`${at}.mlp.gate.weight`, "BF16", shape.experts, shape.hidden);
    if (shape.family === "deepseek_v3") {
      add(`${at}.mlp.gate.e_score_correction_bias`, "F32", shape.experts);
      mlp(`${at}.mlp.shared_experts`, shape.expertWidth);
    }
    for (let expert = 0; expert < shape.experts; expert++) mlp(`${at}.mlp.experts.${expert}`, shape.expertWidth);
  }
  add("model.norm.weight", "BF16", shape.hidden);
  add("lm_head.weight", "BF16", shape.vocab, shape.hidden);
  return tensors;
}

type Add = (name: string, dtype: Dtype, ...sizes: number[]) => void;
type Linear = (name: string, outputs: number, inputs: number) => void;

function latentAttention(shape: SyntheticShape, at: string, add: Add, linear: Linear): void {
  linear(`${at}.q_a_proj`, shape.queryRank, shape.hidden);
  add(`${at}.q_a_layernorm.weight`, "BF16", shape.queryRank);
  linear(`${at}.q_b_proj`, shape.heads * (shape.nope + shape.rope), shape.queryRank);
  linear(`${at}.kv_a_proj_with_mqa`, shape.keyValueRank + shape.rope, shape.hidden);
  add(`${at}.kv_a_layernorm.weight`, "BF16", shape.keyValueRank);
  linear(`${at}.kv_b_proj`, shape.heads * (shape.nope + shape.headDim), shape.keyValueRank);
  linear(`${at}.o_proj`, shape.hidden, shape.heads * shape.headDim);
}

function groupedAttention(shape: SyntheticShape, at: string, add: Add, linear: Linear): void {
  const outputs = { q_proj: shape.heads, k_proj: shape.kvHeads, v_proj: shape.kvHeads };
  for (const [name, heads] of Object.entries(outputs)) {
    linear(`${at}.${name}`, heads * shape.headDim, shape.hidden);
    if (shape.family === "qwen2") add(`${at}.${name}.bias`, "BF16", heads * shape.headDim);
  }
  if (shape.family === "qwen3_moe")
    for (const norm of ["q_norm", "k_norm"]) add(`${at}.${norm}.weight`, "BF16", shape.headDim);
  linear(`${at}.o_proj`, shape.hidden, shape.heads * shape.headDim);
}

/** `config.json` as its publisher writes it. */
export function syntheticConfig(shape: SyntheticShape): object {
  const latent = shape.family === "deepseek_v3";
  const architectures = { deepseek_v3: "DeepseekV3", llama: "Llama", qwen2: "Qwen2", qwen3_moe: "Qwen3Moe" };
  return {
    ...{ architectures: [`${architectures[shape.family]}ForCausalLM`], model_type: shape.family },
    ...{ hidden_size: shape.hidden, intermediate_size: shape.intermediate, num_hidden_layers: shape.layers },
    ...{ num_attention_heads: shape.heads, num_key_value_heads: shape.kvHeads, vocab_size: shape.vocab },
    ...(shape.experts > 0 && {
      num_experts_per_tok: Math.min(8, shape.experts),
      moe_intermediate_size: shape.expertWidth,
    }),
    ...(latent && {
      ...{ n_routed_experts: shape.experts, n_shared_experts: 1, first_k_dense_replace: shape.denseLayers },
      ...{ q_lora_rank: shape.queryRank, kv_lora_rank: shape.keyValueRank, qk_nope_head_dim: shape.nope },
      ...{ qk_rope_head_dim: shape.rope, v_head_dim: shape.headDim, num_nextn_predict_layers: shape.mtpLayers },
      rope_scaling: { type: "yarn", factor: 40, original_max_position_embeddings: 4096, mscale: 1, mscale_all_dim: 1 },
    }),
    ...(!latent && { head_dim: shape.headDim, ...(shape.experts > 0 && { num_experts: shape.experts }) }),
    ...(shape.block > 0 && {
      quantization_config: {
        ...{ activation_scheme: "dynamic", fmt: "e4m3", quant_method: "fp8" },
        weight_block_size: [shape.block, shape.block],
      },
    }),
    ...{ rms_norm_eps: 1e-6, rope_theta: 10000, tie_word_embeddings: false, torch_dtype: "bfloat16" },
  };
}

export interface SyntheticOptions {
  readonly seed?: number;
  /** Bytes of tensors per shard. */
  readonly shardBytes?: number;
  /** Leaves the weights as holes, which read as zeros and take no space; scales are written. */
  readonly sparse?: boolean;
}

/** Writes the checkpoint into the new folder `path` and gives the bytes of its tensors. */
export function writeSyntheticCheckpoint(path: string, shape: SyntheticShape, options: SyntheticOptions = {}): number {
  const { seed = 1, shardBytes = 4.3e9, sparse = false } = options;
  mkdirSync(path, { recursive: true });
  const shards: TensorInfo[][] = [];
  let inLast = Number.POSITIVE_INFINITY;
  let total = 0;
  for (const tensor of syntheticTensors(shape)) {
    const bytes = tensorBytes(tensor.dtype, tensor.shape) ?? 0;
    if (inLast + bytes > shardBytes) {
      shards.push([]);
      inLast = 0;
    }
    shards.at(-1)?.push(tensor);
    inLast += bytes;
    total += bytes;
  }
  const five = (count: number): string => String(count).padStart(count > 99_999 ? 0 : 5, "0");
  const places: [string, string][] = [];
  for (const [index, tensors] of shards.entries()) {
    const name = `model-${five(index + 1)}-of-${String(shards.length).padStart(6, "0")}.safetensors`;
    writeShard(join(path, name), tensors, seed, sparse);
    for (const tensor of tensors) places.push([tensor.name, name]);
  }
  const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(places) };
  writeFileSync(join(path, "model.safetensors.index.json"), JSON.stringify(index, null, 2));
  writeFileSync(join(path, "config.json"), `${JSON.stringify(syntheticConfig(shape), null, 2)}\n`);
  writeFileSync(join(path, "generation_config.json"), '{"do_sample": true, "temperature": 0.6}\n');
  writeFileSync(join(path, "tokenizer_config.json"), '{"model_max_length": 16384}\n');
  return total;
}

function writeShard(path: string, tensors: readonly TensorInfo[], seed: number, sparse: boolean): void {
  const { bytes: header, header: layout } = encodeOrderedHeader(tensors, safetensorsMetadata);
  const fd = openSync(path, "wx", 0o644);
  try {
    writeSync(fd, header, 0, header.length, 0);
    for (const { name, dtype, shape, begin, end } of layout.tensors) {
      if (sparse && dtype !== "F32") continue;
      const bytes = syntheticBytes({ name, dtype, shape }, seed);
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(fd, bytes, done, Math.min(bytes.length - done, 1 << 24), header.length + begin + done);
      }
      if (bytes.length !== end - begin) throw new RangeError(`${name}: ${bytes.length} bytes drawn`);
    }
    ftruncateSync(fd, header.length + (layout.tensors.at(-1)?.end ?? 0));
  } finally {
    closeSync(fd);
  }
}

const poolWords = 1 << 16;

/** A tensor's bytes, drawn from a stream of its own: codes without NaN, scales around 1e-4, bfloat16 around 0.02. */
export function syntheticBytes({ name, dtype, shape }: TensorInfo, seed: number): Uint8Array {
  const elements = (tensorBytes(dtype, shape) ?? 0) / dtypeBytes[dtype];
  const source = random(seed, name);
  if (dtype === "F32") {
    const values = Float32Array.from({ length: elements }, () => 1e-4 * (0.5 + source.uniform()));
    return new Uint8Array(values.buffer);
  }
  // A pool that is repeated with an odd stride: drawing every element would take longer than what is measured.
  const words = Uint32Array.from({ length: Math.min(poolWords, elements) }, () => source.uint32());
  // Plain loops over typed arrays: a callback for each element would take longer than everything else together.
  if (dtype === "F8_E4M3") {
    const codes = new Uint8Array(elements);
    for (let at = 0, word = 0; at < elements; at++, word = word + 1 === words.length ? 0 : word + 1) {
      const code = ((words[word] ?? 0) + at * 7) & 0xff;
      codes[at] = (code & 0x7f) === 0x7f ? code & 0x80 : code;
    }
    return codes;
  }
  const halves = new Uint16Array(elements);
  for (let at = 0, word = 0; at < elements; at++, word = word + 1 === words.length ? 0 : word + 1) {
    const value = (words[word] ?? 0) + at * 7;
    halves[at] = ((value & 1) << 15) | (0x3c00 + (value & 0x1ff));
  }
  return new Uint8Array(halves.buffer);
}
