/**
 * Packs a conversion's tensors into shards and says in which order their bytes lie.
 * Knows: sizes, names of shards, alignment. Does not know: how the bytes are made.
 */
import { dtypeBytes, tensorBytes } from "../../checkpoint/dtype.ts";
import { encodeOrderedHeader } from "../../checkpoint/safetensors-header.ts";
import { safetensorsMetadata } from "../../checkpoint/safetensors-write.ts";
import type { OutputGroup, OutputTensor, WeightFormat } from "./recipes.ts";

export interface OutputShard {
  readonly name: string;
  /** In the order of their bytes. */
  readonly tensors: readonly OutputTensor[];
  /** Bytes of the tensors, without the header. */
  readonly tensorBytes: number;
  /** Bytes of the file. */
  readonly bytes: number;
}

/** Names and the most that one file holds: Hugging Face's 5 GB, ModelSlim's part_file_size of 4 GB. */
export const shardRules: Record<WeightFormat, { stem: string; bytesMax: number }> = {
  bf16: { stem: "model", bytesMax: 5e9 },
  "w8a8-dynamic": { stem: "quant_model_weights", bytesMax: 4e9 },
};

/** Room for the header inside the limit. */
const headerShare = 2e7;

/** Shards in the groups' order; a group stays in one shard. A single tensor above the limit gets a shard of its own. */
export function layShards(groups: readonly OutputGroup[], format: WeightFormat, bytesMax?: number): OutputShard[] {
  const { stem } = shardRules[format];
  const limit = bytesMax ?? shardRules[format].bytesMax - headerShare;
  const packed: { tensors: OutputTensor[]; bytes: number }[] = [];
  for (const group of groups) {
    const bytes = group.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    const last = packed.at(-1);
    if (last && last.bytes + bytes <= limit) {
      for (const tensor of group) last.tensors.push(tensor);
      last.bytes += bytes;
    } else packed.push({ tensors: [...group], bytes });
  }
  const five = (count: number): string => String(count).padStart(5, "0");
  return packed.map(({ tensors, bytes }, index) => {
    const ordered = inFileOrder(tensors);
    const header = encodeOrderedHeader(ordered, safetensorsMetadata).bytes.length;
    const name = `${stem}-${five(index + 1)}-of-${five(packed.length)}.safetensors`;
    return { name, tensors: ordered, tensorBytes: bytes, bytes: header + bytes };
  });
}

/**
 * Every tensor on a multiple of its element size, as readers that map files want it, and a quantised weight right before its scale,
 * so that one pass over the source makes both. Only a weight whose bytes are no multiple of 4 lies apart, at the end.
 */
function inFileOrder(tensors: readonly OutputTensor[]): OutputTensor[] {
  const odd = new Set<string>();
  for (const tensor of tensors) {
    if (tensor.recipe.kind === "int8" && bytesOf(tensor) % 4 !== 0) odd.add(tensor.name);
  }
  const rank = ({ name, dtype, recipe }: OutputTensor): number => {
    const grouped =
      dtype === "I8" || (recipe.kind === "int8-scale" && !odd.has(recipe.from.name)) || isOffset(recipe, name);
    if (grouped && !odd.has(name)) return 5;
    return dtypeBytes[dtype] === 8 ? 0 : dtypeBytes[dtype] === 4 ? 1 : dtypeBytes[dtype] === 2 ? 6 : 7;
  };
  const isOffset = (recipe: OutputTensor["recipe"], name: string): boolean =>
    recipe.kind === "zeros" && !odd.has(name.replace(/_offset$/, ""));
  // Stable: inside a rank the source's order stays, which reads it from front to back.
  return [...tensors].sort((a, b) => rank(a) - rank(b));
}

export function bytesOf({ dtype, shape }: OutputTensor): number {
  const bytes = tensorBytes(dtype, shape);
  if (bytes === undefined) throw new RangeError(`[${shape}] of ${dtype} are too many bytes`);
  return bytes;
}
