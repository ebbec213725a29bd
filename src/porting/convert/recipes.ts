/**
 * Decides what becomes of each tensor of a source: its name, type and shape in the destination, and how its bytes are made.
 * Knows: bfloat16 in Hugging Face's layout, and ModelSlim's W8A8_DYNAMIC. Does not know: files, shards, arithmetic.
 * Sources: Ascend/msmodelslim @3de0a3c4 docs/zh/user_guide/quantization_formats/ascendv1.md; vllm-project/vllm-ascend @182b75ea
 * vllm_ascend/quantization/modelslim_config.py (members of a fused group carry one type; kv_b_proj is absorbed, so it stays float).
 */
import type { Dtype, TensorInfo } from "../../checkpoint/dtype.ts";
import type { ModelSource, ScaleBlock, SourceTensor } from "./model-source.ts";
import { scaleSuffix } from "./scales.ts";

export type WeightFormat = "bf16" | "w8a8-dynamic";

/** A weight, and the scale of its blocks where it is FP8. */
export interface Weights {
  readonly from: SourceTensor;
  readonly scale?: SourceTensor | undefined;
  readonly block?: ScaleBlock | undefined;
}

export type Recipe =
  | { readonly kind: "copy"; readonly from: SourceTensor }
  /** Rounded to bfloat16. */
  | ({ readonly kind: "bf16" } & Weights)
  /** Widened to float32. */
  | { readonly kind: "f32"; readonly from: SourceTensor }
  /** Signed bytes, symmetric per row. */
  | ({ readonly kind: "int8" } & Weights)
  /** What the rows of an `int8` are multiplied with. */
  | ({ readonly kind: "int8-scale" } & Weights)
  | { readonly kind: "zeros" };

export interface OutputTensor extends TensorInfo {
  readonly recipe: Recipe;
  /** The type that ModelSlim's description gives it. */
  readonly described: "FLOAT" | "W8A8_DYNAMIC";
}

/** Tensors that belong together, in the order in which they are best written. */
export type OutputGroup = readonly OutputTensor[];

/** What `source` becomes in `format`, in the source's order; the scales of FP8 weights are gone. */
export function recipesFor(source: ModelSource, format: WeightFormat): OutputGroup[] {
  const byName = new Map(source.tensors.map((tensor) => [tensor.name, tensor]));
  const weights = source.tensors.filter(({ name }) => !name.endsWith(scaleSuffix));
  const quantized = format === "bf16" ? new Set<string>() : quantizedNames(weights);
  return weights.map((from): OutputGroup => {
    const fp8 = from.dtype === "F8_E4M3";
    const given: Weights = { from, ...(fp8 && { scale: byName.get(from.name + scaleSuffix), block: source.block }) };
    if (quantized.has(from.name)) return int8Group(given);
    if (from.name.endsWith(".bias") && quantized.has(from.name.replace(/bias$/, "weight"))) {
      return [output(from, "F32", from.dtype === "F32" ? { kind: "copy", from } : { kind: "f32", from })];
    }
    // transformers insists on this one in float32, and published checkpoints keep it so.
    const narrows = ["F8_E4M3", "F16", "F32"].includes(from.dtype) && !from.name.endsWith(".e_score_correction_bias");
    return [
      narrows ? output(from, "BF16", { kind: "bf16", ...given }) : output(from, from.dtype, { kind: "copy", from }),
    ];
  });
}

function output({ name, shape }: TensorInfo, dtype: Dtype, recipe: Recipe): OutputTensor {
  return { name, shape, dtype, recipe, described: "FLOAT" };
}

function int8Group(weights: Weights): OutputGroup {
  const { name, shape } = weights.from;
  const rows = [shape[0] ?? 0, 1];
  const described = "W8A8_DYNAMIC";
  return [
    { name, shape, dtype: "I8", recipe: { kind: "int8", ...weights }, described },
    { name: `${name}_scale`, shape: rows, dtype: "F32", recipe: { kind: "int8-scale", ...weights }, described },
    { name: `${name}_offset`, shape: rows, dtype: "F32", recipe: { kind: "zeros" }, described },
  ];
}

/**
 * Linear layers that the loaders run in signed bytes. Everything else stays float: embeddings, heads, norms, routers, and kv_b_proj,
 * whose halves are absorbed into the attention.
 */
const linear =
  /\.(q_proj|k_proj|v_proj|qkv_proj|o_proj|q_a_proj|q_b_proj|kv_a_proj_with_mqa|gate_proj|up_proj|gate_up_proj|down_proj|experts\.\d+\.w[123])\.weight$/;

/** Members of a group that a loader fuses into one weight. */
const fused = [
  ["q_proj", "k_proj", "v_proj"],
  ["q_a_proj", "kv_a_proj_with_mqa"],
  ["gate_proj", "up_proj"],
  ["w1", "w3"],
] as const;

function quantizedNames(weights: readonly SourceTensor[]): Set<string> {
  const able = (tensor: SourceTensor): boolean =>
    tensor.shape.length === 2 && ["F8_E4M3", "BF16", "F16", "F32"].includes(tensor.dtype);
  const names = new Set(weights.filter((tensor) => linear.test(tensor.name) && able(tensor)).map(({ name }) => name));
  const all = new Set(weights.map(({ name }) => name));
  for (const name of [...names]) {
    const siblings = fusedWith(name).filter((sibling) => all.has(sibling));
    if (siblings.every((sibling) => names.has(sibling))) continue;
    for (const sibling of siblings) names.delete(sibling);
  }
  return names;
}

/** All members of the group that `name` is fused into, itself too. */
export function fusedWith(name: string): string[] {
  const match = /^(.*\.)(\w+)\.weight$/.exec(name);
  const group = fused.find((members) => members.some((member) => member === match?.[2]));
  return group ? group.map((member) => `${match?.[1]}${member}.weight`) : [name];
}
