/** Graphs of the families that the engine does not train answer as those architectures written out plainly do, on ONNX Runtime. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type PlainConfig, plainDecoder } from "../../../test/plain-decoder.ts";
import { runGraph } from "../../../test/run-graph.ts";
import { encodeOrderedHeader } from "../../checkpoint/safetensors-header.ts";
import { random } from "../../spec/random.ts";
import { convert } from "../convert/convert.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const small = {
  ...{ vocab_size: 90, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, rms_norm_eps: 1e-5 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, rope_theta: 1000, tie_word_embeddings: false },
};
const experts = { num_experts_per_tok: 2, moe_intermediate_size: 16 };
const latent = {
  ...{ ...small, model_type: "deepseek_v2", num_key_value_heads: 4, kv_lora_rank: 16, qk_nope_head_dim: 8 },
  ...{ qk_rope_head_dim: 8, v_head_dim: 8, n_routed_experts: 8, n_shared_experts: 2, first_k_dense_replace: 1 },
  ...{ ...experts, num_experts_per_tok: 3, norm_topk_prob: false, scoring_func: "softmax", moe_layer_freq: 1 },
};
const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 };
const yarn = { factor: 4, original_max_position_embeddings: 32 };

/** What each case adds is the architecture's own; without `spoiled` it would give another answer. */
const cases: readonly [string, PlainConfig, spoiled: Partial<PlainConfig>][] = [
  [
    "Llama 3 with its rope scaling",
    { ...small, model_type: "llama", rope_scaling: { rope_type: "llama3", ...llama3 } },
    { rope_scaling: { rope_type: "linear", ...llama3 } },
  ],
  [
    "Llama with tied embeddings, one key head and biases",
    { ...small, model_type: "llama", num_key_value_heads: 1, tie_word_embeddings: true, attention_bias: true },
    { rope_theta: 900 },
  ],
  ["Mistral with a window", { ...small, model_type: "mistral", sliding_window: 5 }, { sliding_window: null }],
  [
    "Qwen 2 with biases and YaRN",
    { ...small, model_type: "qwen2", rope_scaling: { type: "yarn", ...yarn } },
    { rope_scaling: { type: "linear", ...yarn } },
  ],
  [
    "Qwen 3 with norms of heads of their own width",
    { ...small, model_type: "qwen3", head_dim: 12 },
    { rope_theta: 900 },
  ],
  [
    "Mixtral",
    { ...small, model_type: "mixtral", num_local_experts: 4, num_experts_per_tok: 2, sliding_window: null },
    { num_experts_per_tok: 1 },
  ],
  [
    "Qwen 2 MoE with a gated shared expert",
    { ...small, ...experts, model_type: "qwen2_moe", num_experts: 6, shared_expert_intermediate_size: 24 },
    { norm_topk_prob: true },
  ],
  [
    "Qwen 3 MoE",
    { ...small, ...experts, model_type: "qwen3_moe", num_experts: 6, norm_topk_prob: true, head_dim: 16 },
    { norm_topk_prob: false },
  ],
  [
    "DeepSeek-V2 with groups, a low-rank query and YaRN",
    {
      ...{ ...latent, q_lora_rank: 24, topk_method: "group_limited_greedy", n_group: 4, topk_group: 1 },
      ...{
        num_experts_per_tok: 2,
        routed_scaling_factor: 4,
        rope_scaling: { type: "yarn", ...yarn, mscale: 0.7, mscale_all_dim: 0.7 },
      },
    },
    { topk_method: "greedy" },
  ],
  [
    "DeepSeek-V2-Lite",
    { ...latent, q_lora_rank: null, topk_method: "greedy", n_group: 1, topk_group: 1, routed_scaling_factor: 1 },
    { routed_scaling_factor: 2 },
  ],
];

const draw = random(5, "tokens");
const tokens = Array.from({ length: 12 }, () => draw.below(small.vocab_size));

/** Seeded weights, exact in bfloat16, of every tensor that the plain forward pass asks for. */
function weightsOf(config: PlainConfig): Map<string, { shape: readonly number[]; values: Float32Array }> {
  const made = new Map<string, { shape: readonly number[]; values: Float32Array }>();
  const make = (name: string, shape: readonly number[]): Float32Array => {
    const known = made.get(name);
    if (known) return known.values;
    const source = random(3, name);
    const std = name.includes("embed_tokens") ? 1 : name.endsWith("bias") ? 0.5 : 1.5 / Math.sqrt(shape.at(-1) ?? 1);
    const one = (): number => (name.includes("norm") ? 1 + 0.3 * source.normal() : std * source.normal());
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, one);
    const bits = new Uint32Array(values.buffer);
    for (const [at, word] of bits.entries()) bits[at] = word & 0xffff0000;
    made.set(name, { shape, values });
    return values;
  };
  plainDecoder(config, make, tokens);
  return made;
}

function writeCheckpoint(path: string, config: PlainConfig, weights: ReturnType<typeof weightsOf>): void {
  mkdirSync(path);
  const tensors = [...weights].map(([name, { shape }]) => ({ name, shape, dtype: "F32" as const }));
  const header = encodeOrderedHeader(tensors, {});
  const data = header.header.tensors.map(({ name }) => new Uint8Array(weights.get(name)!.values.buffer));
  writeFileSync(join(path, "model.safetensors"), Buffer.concat([header.bytes, ...data]));
  writeFileSync(
    join(path, "config.json"),
    JSON.stringify({ ...config, max_position_embeddings: 128, use_cache: true }),
  );
}

const int64 = (values: readonly number[], shape: readonly number[]): Tensor =>
  new Tensor("int64", BigInt64Array.from(values, BigInt), [...shape]);

/** Largest difference, against the largest logit. */
function apart(got: unknown, row: number, wanted: readonly number[]): number {
  if (!(got instanceof Float32Array)) throw new Error("no float32 logits");
  const part = got.subarray(row * wanted.length, (row + 1) * wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, i) => Math.abs(value - part[i]!))) / largest;
}

test.each(cases)("%s", async (name, config, spoiled) => {
  const source = join(root, name);
  const weights = weightsOf(config);
  writeCheckpoint(source, config, weights);
  const read = (tensor: string): Float32Array => weights.get(tensor)!.values;
  const wanted = plainDecoder(config, read, tokens);
  const other = plainDecoder({ ...config, ...spoiled }, read, tokens);
  const last = tokens.length - 2;
  const differences = [3, 4, last, last + 1].map((at) => apart(Float32Array.from(other[at]!), 0, wanted[at]!));
  expect(Math.max(...differences)).toBeGreaterThan(1e-3);

  for (const capacityTokens of [undefined, 16]) {
    const destination = join(root, `${name} ${capacityTokens}`);
    const graphs = { platform: "ascend", capacityTokens } as const;
    await convert({ source, destination, format: "bf16", graphs });
    const length = capacityTokens ?? last + 1;
    const prompt = [...tokens.slice(0, -1), ...Array(length - last - 1).fill(0)];
    // Beside it a shorter text, where the batch is not fixed to one.
    const texts = capacityTokens === undefined ? 2 : 1;
    const prefill = await runGraph(join(destination, "prefill.onnx"), {
      tokens: int64([...prompt, ...prompt].slice(0, texts * length), [texts, length]),
      lastPosition: int64([last, 3].slice(0, texts), [texts]),
    });
    expect(apart(prefill.logits?.data, 0, wanted[last]!)).toBeLessThan(2e-5);
    if (texts === 2) expect(apart(prefill.logits?.data, 1, wanted[3]!)).toBeLessThan(2e-5);
    const caches = Object.entries(prefill).filter(([output]) => output.startsWith("cache/"));
    expect(caches).toHaveLength(config.num_hidden_layers);
    const decode = await runGraph(join(destination, "decode.onnx"), {
      tokens: int64([tokens.at(-1)!, tokens[4]!].slice(0, texts), [texts, 1]),
      position: int64([last + 1, 4].slice(0, texts), [texts]),
      ...Object.fromEntries(caches),
    });
    expect(apart(decode.logits?.data, 0, wanted.at(-1)!)).toBeLessThan(2e-5);
    if (texts === 2) expect(apart(decode.logits?.data, 1, wanted[4]!)).toBeLessThan(2e-5);
  }
});

test("what a graph would compute wrongly is refused by its key, before anything is written", async () => {
  const config: PlainConfig = { ...small, model_type: "llama" };
  const source = join(root, "refused");
  writeCheckpoint(source, config, weightsOf(config));
  const text = readFileSync(join(source, "config.json"), "utf8");
  const port = () =>
    convert({
      source,
      destination: join(root, "no"),
      format: "bf16",
      graphs: { platform: "ascend", capacityTokens: 9 },
    });
  const refusals: readonly [object, RegExp][] = [
    [{ hidden_act: "gelu" }, /config.json: hidden_act: .*--to bf16/],
    [{ rope_scaling: { rope_type: "longrope", factor: 4 } }, /rope_scaling/],
    [{ rope_scaling: { rope_type: "llama3", factor: 4 } }, /rope_scaling.low_freq_factor: is missing/],
    [{ mlp_bias: true }, /mlp_bias/],
    [{ attn_logit_softcapping: 50 }, /attn_logit_softcapping/],
    [{ attention_bias: true }, /self_attn.q_proj.bias is missing/],
    [{ max_position_embeddings: 8 }, /--capacity 9: the model reads at most 8/],
  ];
  for (const [change, pattern] of refusals) {
    writeFileSync(join(source, "config.json"), JSON.stringify({ ...JSON.parse(text), ...change }));
    await expect(port()).rejects.toThrow(pattern);
  }
});
