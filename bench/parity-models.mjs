/**
 * Random small DeepSeek-V3 models, their healthy forms in other number formats, and known-bad changes of them, each with where it begins.
 * Knows: the engine's parameters, Hugging Face's and DeepSeek's layouts. Does not know: how a comparison judges. Nobody trained these models.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toBfloat16 } from "../dist/checkpoint/bfloat16.js";
import { encodeHeader } from "../dist/checkpoint/safetensors-header.js";
import { deepseekV3 } from "../dist/engine/model/deepseek.js";
import * as f from "../dist/engine/operators/functions.js";
import { fp8Values } from "../dist/porting/convert/plain-conversion.js";
import { toModelConfig } from "../dist/porting/model-config.js";
import { byteTokenizerJson } from "../dist/porting/tokenizer-files.js";
import { DeepseekConfig } from "../dist/spec/deepseek-config.js";
import { random } from "../dist/spec/random.js";

const block = 16;
/** Standard deviation of the residual stream's first state, which in trained models is well below 1 too. */
const stream = 0.1;

/** A model's configuration and float32 weights, all drawn from `seed`. */
export function randomModel(seed) {
  const source = random(seed, "architecture");
  const pick = (values) => values[Math.floor(source.uniform() * values.length)];
  const layers = pick([1, 2, 2, 3, 4, 5]);
  const experts = pick([0, 4, 8, 16]);
  const groups = experts === 0 ? 1 : pick([1, 2, 4].filter((count) => experts / count >= 2));
  const kept = groups === 1 ? 1 : pick([1, groups / 2]);
  const factor = pick([1, 1, 40]);
  const config = DeepseekConfig.parse({
    ...{ vocab_size: 260, hidden_size: pick([48, 64, 96, 128]), intermediate_size: pick([64, 96, 160]) },
    ...{ moe_intermediate_size: pick([16, 32, 48]), num_hidden_layers: layers, num_attention_heads: pick([2, 4]) },
    ...{ q_lora_rank: pick([null, 24, 32]), kv_lora_rank: pick([16, 32]), qk_nope_head_dim: pick([8, 16]) },
    ...{ qk_rope_head_dim: pick([8, 16]), v_head_dim: pick([8, 16]), max_position_embeddings: 256 },
    ...{ n_routed_experts: experts, n_shared_experts: 1, n_group: groups, topk_group: kept },
    num_experts_per_tok: experts === 0 ? 1 : Math.min(pick([2, 2, 4]), (experts / groups) * kept),
    ...{ first_k_dense_replace: pick([0, 1]), routed_scaling_factor: pick([1, 1.5, 2.5]) },
    ...(factor > 1 && {
      rope_scaling: { type: "yarn", factor, original_max_position_embeddings: 64, mscale: 1, mscale_all_dim: 1 },
    }),
  });
  const [gain, outliers] = [pick([0.8, 1, 1.2]), pick([0, 0, 2])];
  const weights = new Map();
  for (const { name, shape, init } of deepseekV3(config).parameters) {
    const own = random(seed, name);
    // What a block adds to the residual stream shrinks with depth (GPT-2's initialisation), as trained models' blocks are small steps:
    // without that, random weights multiply rounding until nothing can be told from it.
    const step = /(o_proj|down_proj)/.test(name) ? stream / Math.sqrt(2 * layers) : 1;
    const std = name.includes("embed_tokens") ? stream : (gain * step) / Math.sqrt(shape.at(-1));
    const columns = shape.at(-1);
    const draw = (_, at) => {
      if (init.kind === "ones") return 1 + 0.2 * own.normal();
      if (init.kind === "zeros") return 0.1 * own.normal();
      // Some channels of a trained model's residual stream are much larger than the rest.
      const scale = name.includes("embed_tokens") && at % columns < outliers ? 8 : 1;
      return std * scale * own.normal();
    };
    const elements = shape.reduce((product, size) => product * size, 1);
    weights.set(name, { shape, values: Float32Array.from({ length: elements }, draw) });
  }
  return { seed, config, weights };
}

export const copyOf = ({ seed, config, weights }) => ({
  ...{ seed, config },
  weights: new Map([...weights].map(([name, { shape, values }]) => [name, { shape, values: values.slice() }])),
});

const isLinear = (name) => /_proj/.test(name) && !name.includes("eh_proj");

/** Writes a model as fp32, bf16 or block-wise fp8; `scales` may change a tensor's FP8 scales before they are written. */
export function writeModel(folder, { config, weights }, format, scales = () => undefined) {
  mkdirSync(folder, { recursive: true });
  const tensors = [];
  const add = (name, dtype, shape, data) =>
    void tensors.push({ name, dtype, shape, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
  for (const [name, { shape, values }] of weights) {
    if (format === "fp8" && isLinear(name)) {
      const { codes, scale } = toBlocks(values, shape);
      scales(name, scale);
      add(name, "F8_E4M3", shape, codes);
      add(
        `${name}_scale_inv`,
        "F32",
        shape.map((size) => Math.ceil(size / block)),
        scale,
      );
    } else if (format === "fp32" || name.endsWith("e_score_correction_bias")) add(name, "F32", shape, values);
    else add(name, "BF16", shape, toBfloat16(values));
  }
  const { bytes, header } = encodeHeader(tensors);
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor.bytes]));
  const data = header.tensors.map(({ name }) => byName.get(name));
  writeFileSync(join(folder, "model.safetensors"), Buffer.concat([bytes, ...data]));
  const told = toModelConfig(config, { format: format === "fp32" ? "fp32" : "bf16", bos: 256, eos: 257 });
  const quantised = { quant_method: "fp8", fmt: "e4m3", weight_block_size: [block, block] };
  const written = { ...told, ...(format === "fp8" && { quantization_config: quantised }) };
  writeFileSync(join(folder, "config.json"), JSON.stringify(written));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(byteTokenizerJson()));
  return folder;
}

const magnitudes = fp8Values.slice(0, 127);

function toBlocks(values, [rows, columns]) {
  const across = Math.ceil(columns / block);
  const scale = new Float32Array(Math.ceil(rows / block) * across);
  const blockOf = (at) => Math.floor(Math.floor(at / columns) / block) * across + Math.floor((at % columns) / block);
  for (let at = 0; at < values.length; at++) {
    scale[blockOf(at)] = Math.max(scale[blockOf(at)], Math.abs(values[at]) / 448);
  }
  const codes = Uint8Array.from(values, (value, at) => {
    const wanted = Math.abs(value) / (scale[blockOf(at)] || 1);
    let [low, high] = [0, 126];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (magnitudes[middle] <= wanted) low = middle;
      else high = middle - 1;
    }
    const up = low < 126 && magnitudes[low + 1] - wanted < wanted - magnitudes[low] ? low + 1 : low;
    return up | (value < 0 ? 0x80 : 0);
  });
  return { codes, scale };
}

/** What FP8 blocks stand for, as DeepSeek's own cast to BF16 gives it. */
export function throughFp8(model) {
  const copy = copyOf(model);
  for (const [name, { shape, values }] of copy.weights) {
    if (!isLinear(name)) continue;
    const { codes, scale } = toBlocks(values, shape);
    const across = Math.ceil(shape[1] / block);
    values.forEach((_, at) => {
      const of = Math.floor(Math.floor(at / shape[1]) / block) * across + Math.floor((at % shape[1]) / block);
      values[at] = fp8Values[codes[at]] * scale[of];
    });
  }
  return copy;
}

/** What an accelerator's kernels round between operators: inputs of every linear map to bfloat16, or to signed bytes by token where `bytes`. */
export function roundingActivations(bytes) {
  return (graph) => {
    for (const node of graph.nodes.splice(0)) {
      const [x] = node.inputs;
      const quantised = bytes && /_proj/.test(node.inputs[1]?.name ?? "");
      if (node.op !== "Gemm" || x.value) graph.nodes.push(node);
      else {
        const rounded = quantised ? toSignedBytes(x) : toEightBits(x);
        graph.nodes.push({ ...node, inputs: [rounded, ...node.inputs.slice(1)] });
      }
    }
  };
}

/** To 8 significant bits, by Veltkamp's splitting (Dekker 1971, doi 10.1007/BF01397083). */
function toEightBits(x) {
  const wide = f.mul(x, 2 ** 16 + 1);
  return f.sub(wide, f.sub(wide, x));
}

function toSignedBytes(x) {
  const scale = f.add(f.mul(f.sqrt(f.reduceMax(f.mul(x, x), [1])), 1 / 127), 1e-20);
  const half = 1.5 * 2 ** 23;
  return f.mul(f.sub(f.add(f.div(x, scale), half), half), scale);
}

const moves = (values, columns, from) => {
  const before = values.slice();
  for (let row = 0; row < values.length / columns; row++) {
    values.set(before.subarray(from(row) * columns, (from(row) + 1) * columns), row * columns);
  }
};

/** Rotary rows of every head of `headRows` rows from interleaved pairs to halves. */
const toHalves = (values, columns, headRows, rope) =>
  moves(values, columns, (row) => {
    const within = (row % headRows) - (headRows - rope);
    if (within < 0) return row;
    return row - within + (within % (rope / 2)) * 2 + Math.floor(within / (rope / 2));
  });

const swap = (one, other) => {
  const held = one.slice();
  one.set(other);
  other.set(held);
};

const expertLayers = ({ config }) =>
  (config.n_routed_experts ?? 0) === 0
    ? []
    : [...Array(config.num_hidden_layers).keys()].filter((layer) => layer >= config.first_k_dense_replace);

const anyLayer = ({ config }) => [...Array(config.num_hidden_layers).keys()];
const denseLayers = (model) => anyLayer(model).filter((layer) => !expertLayers(model).includes(layer));
/** Layers with a feed-forward that every token goes through. */
const commonLayers = (model) => (model.config.n_shared_experts > 0 ? anyLayer(model) : denseLayers(model));

/**
 * Known-bad changes. `layers` says where one can be made; `weights` changes the weights of a layer, `scales` the FP8 scales, `config` what
 * the kernels compute with while config.json says the right thing, `graph` the kernels, `stale` a layer's cache; `at` matches the module
 * in which it must be found, in the changed layer or in that which `found` gives.
 */
export const mutations = [
  {
    name: "rotary pairs as halves for interleaved",
    layers: anyLayer,
    weights: ({ config, weights }, layer) => {
      const { values, shape } = weights.get(`model.layers.${layer}.self_attn.kv_a_proj_with_mqa.weight`);
      toHalves(values, shape[1], shape[0], config.qk_rope_head_dim);
    },
    at: /[qk]_rope$|kv_a_proj_with_mqa/,
    reason: "rotary convention",
  },
  {
    name: "causal mask of 0 for −∞",
    layers: () => [0],
    graph: (graph) => {
      const zero = graph.constant("float32", [], [0]);
      const infinite = ({ value }) => value?.[0] === Number.NEGATIVE_INFINITY;
      graph.nodes.forEach((node, index) => {
        if (node.op !== "Where" || !node.inputs.some(infinite)) return;
        graph.nodes[index] = { ...node, inputs: node.inputs.map((input) => (infinite(input) ? zero : input)) };
      });
    },
    at: /context$/,
    reason: "masking",
  },
  {
    name: "scales off by one block or row",
    layers: anyLayer,
    scaleOf: (layer) => `model.layers.${layer}.self_attn.o_proj.weight`,
    at: /self_attn$|o_proj/,
    reason: "scale",
  },
  {
    name: "two experts swapped",
    layers: expertLayers,
    weights: ({ weights }, layer) => {
      for (const part of ["gate", "up", "down"]) {
        const of = (expert) => weights.get(`model.layers.${layer}.mlp.experts.${expert}.${part}_proj.weight`).values;
        swap(of(0), of(3));
      }
    },
    at: /experts/,
    reason: "expert",
  },
  { name: "stale KV cache", layers: anyLayer, stale: true, at: /decode\.cache/, reason: "stale cache" },
  {
    name: "norms' epsilon 1e-2 for 1e-6",
    layers: () => [0],
    config: (config) => ({ ...config, rms_norm_eps: 1e-2 }),
    at: /./,
  },
  {
    name: "head tied to the embedding",
    layers: () => [null],
    weights: ({ weights }) => weights.get("lm_head.weight").values.set(weights.get("model.embed_tokens.weight").values),
    at: /logits|lm_head/,
  },
  {
    name: "router's bias left out",
    layers: expertLayers,
    weights: ({ weights }, layer) => {
      weights.get(`model.layers.${layer}.mlp.gate.e_score_correction_bias`).values.fill(0);
    },
    at: /gate/,
  },
  {
    name: "gate and up swapped",
    layers: commonLayers,
    weights: ({ weights }, layer) => {
      const of = (part) =>
        weights.get(`model.layers.${layer}.mlp.${part}_proj.weight`) ??
        weights.get(`model.layers.${layer}.mlp.shared_experts.${part}_proj.weight`);
      swap(of("gate").values, of("up").values);
    },
    at: /mlp|gate_proj|up_proj/,
  },
  {
    name: "key and value heads in another order",
    layers: anyLayer,
    weights: ({ config, weights }, layer) => {
      const { values, shape } = weights.get(`model.layers.${layer}.self_attn.kv_b_proj.weight`);
      const head = config.qk_nope_head_dim + config.v_head_dim;
      moves(values, shape[1], (row) => (row + head) % shape[0]);
    },
    at: /context$|kv_b_proj/,
  },
  {
    name: "YaRN's mscale left out",
    layers: ({ config }) => (config.rope_scaling ? [0] : []),
    config: (config) => ({ ...config, rope_scaling: { ...config.rope_scaling, mscale: 0, mscale_all_dim: 0 } }),
    at: /context$/,
  },
  {
    name: "routed scaling factor left out",
    layers: (model) => (model.config.routed_scaling_factor === 1 ? [] : expertLayers(model).slice(0, 1)),
    config: (config) => ({ ...config, routed_scaling_factor: 1 }),
    at: /experts/,
    reason: "scale",
  },
  {
    name: "rotary base 1e6 for 1e4",
    layers: () => [0],
    config: (config) => ({ ...config, rope_theta: 1e6 }),
    at: /[qk]_rope$/,
    reason: "rotary convention",
  },
  {
    name: "norm's weight plus one",
    layers: anyLayer,
    weights: ({ weights }, layer) => {
      const { values } = weights.get(`model.layers.${layer}.input_layernorm.weight`);
      values.forEach((value, at) => {
        values[at] = value + 1;
      });
    },
    at: /./,
  },
  {
    name: "two tensor-parallel shards in the wrong order",
    layers: anyLayer,
    weights: ({ weights }, layer) => {
      const { values, shape } = weights.get(`model.layers.${layer}.self_attn.o_proj.weight`);
      const [, columns] = shape;
      const before = values.slice();
      values.forEach((_, at) => {
        values[at] = before[at - (at % columns) + (((at % columns) + columns / 2) % columns)];
      });
    },
    at: /self_attn$|o_proj/,
  },
];
