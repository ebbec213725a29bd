/**
 * The small files beside converted shards: the index, and ModelSlim's description of every tensor's type.
 * Knows: both formats. Does not know: how they reach the disk.
 * Source: Ascend/msmodelslim @3de0a3c4 modelslim_v1/save/ascendv1.py.
 */
import type { WeightFormat } from "./recipes.ts";
import type { OutputShard } from "./shard-layout.ts";

export const descriptionName = "quant_model_description.json";

export const indexNames: Record<WeightFormat, string> = {
  bf16: "model.safetensors.index.json",
  "w8a8-dynamic": "quant_model_weights.safetensors.index.json",
};

/** `total_size` is the tensors' bytes, as Hugging Face counts it; the map is sorted by name. */
export function indexOf(shards: readonly OutputShard[]): Uint8Array {
  const places = shards.flatMap(({ name, tensors }) => tensors.map((tensor) => [tensor.name, name] as const));
  return json({
    metadata: { total_size: shards.reduce((sum, shard) => sum + shard.tensorBytes, 0) },
    weight_map: Object.fromEntries(places.sort(([a], [b]) => (a < b ? -1 : 1))),
  });
}

/** Every tensor's type, those of a multi-token-prediction layer too, which loaders look up like any other. */
export function descriptionOf(shards: readonly OutputShard[]): Uint8Array {
  const types = shards.flatMap(({ tensors }) => tensors.map(({ name, described }) => [name, described] as const));
  const quantizes = types.some(([, type]) => type !== "FLOAT");
  return json({
    ...Object.fromEntries(types.sort(([a], [b]) => (a < b ? -1 : 1))),
    version: "1.0.0",
    model_quant_type: quantizes ? "W8A8_DYNAMIC" : "FLOAT",
    metadata: {},
    group_size: 0,
    optional: {},
  });
}

export function json(value: object): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
