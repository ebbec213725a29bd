/**
 * The scales of block-wise FP8 weights: each weight has its own, of the right shape, and every one is finite.
 * Knows: `.weight_scale_inv` (what a code is multiplied with, in spite of its name). Does not know: what is made of the products.
 * Source: deepseek-ai/DeepSeek-V3 @9b4e9788 inference/fp8_cast_bf16.py and README_WEIGHTS.md.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { fromBfloat16 } from "../../checkpoint/bfloat16.ts";
import { readFully } from "../../checkpoint/safetensors-file.ts";
import { MalformedSafetensors } from "../../checkpoint/safetensors-header.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { badTensor, type ModelSource, type SourceTensor } from "./model-source.ts";

export const scaleSuffix = "_scale_inv";

/** A scale is held whole; DeepSeek-V3's largest has 28,672 bytes. */
const scaleBytesMax = 32 << 20;

/** Number formats that nothing here converts from. */
const foreign = new Set(["F8_E5M2", "F8_E8M0", "I8", "U8"]);

/** BadInput for a scale that is missing, belongs to nothing, has the wrong shape or type, or holds a NaN or an infinity. */
export function checkScales(source: ModelSource): void {
  const { given, tensors, block } = source;
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const scales: SourceTensor[] = [];
  for (const tensor of tensors) {
    if (foreign.has(tensor.dtype)) {
      throw badTensor(given, tensor, `${tensor.dtype} is not converted`, "give FP8 (E4M3), BF16, F16 or F32 weights");
    }
    if (tensor.name.endsWith(scaleSuffix)) {
      const weight = byName.get(tensor.name.slice(0, -scaleSuffix.length));
      if (weight?.dtype !== "F8_E4M3") throw badTensor(given, tensor, "is the scale of no FP8 weight");
    } else if (tensor.dtype === "F8_E4M3") scales.push(scaleOf(source, tensor, byName));
  }
  if (block && scales.length === 0) {
    throw new BadInput(
      `${given}/config.json: quantization_config says fp8, but no tensor is; remove it, or give the FP8 weights`,
    );
  }
  checkFinite(source, scales);
}

function scaleOf(
  { given, block }: ModelSource,
  weight: SourceTensor,
  byName: ReadonlyMap<string, SourceTensor>,
): SourceTensor {
  if (!block) {
    const mend = "put the config.json of the FP8 release there";
    throw badTensor(given, weight, "is FP8, but config.json has no quantization_config", mend);
  }
  const [rows, columns] = weight.shape;
  if (rows === undefined || columns === undefined || weight.shape.length !== 2) {
    throw badTensor(given, weight, `FP8 of shape [${weight.shape}] is no matrix`);
  }
  const scale = byName.get(weight.name + scaleSuffix);
  if (!scale) throw badTensor(given, weight, `its scale ${weight.name.slice(0, 200) + scaleSuffix} is missing`);
  const needed = [Math.ceil(rows / block.rows), Math.ceil(columns / block.columns)];
  if (scale.shape.join() !== needed.join()) {
    throw badTensor(given, scale, `is [${scale.shape}], blocks of ${block.rows} × ${block.columns} need [${needed}]`);
  }
  if (scale.dtype !== "F32" && scale.dtype !== "BF16") {
    throw badTensor(given, scale, `${scale.dtype} is no type of a scale`, "give scales in F32 or BF16");
  }
  if (scale.bytes > scaleBytesMax) throw badTensor(given, scale, `${scale.bytes} bytes are more than a scale has`);
  return scale;
}

function checkFinite({ given, path }: ModelSource, scales: readonly SourceTensor[]): void {
  for (const file of new Set(scales.map((scale) => scale.file))) {
    const fd = openSync(join(path, file), "r");
    try {
      for (const scale of scales.filter((one) => one.file === file)) {
        const at = readScale(fd, scale).findIndex((value) => !Number.isFinite(value));
        if (at >= 0) throw badTensor(given, scale, `value ${at} is not finite`);
      }
    } finally {
      closeSync(fd);
    }
  }
}

/** A scale's values, row by row of blocks. MalformedSafetensors where the file ends before it. */
export function readScale(fd: number, { name, at, bytes, dtype }: SourceTensor): Float32Array {
  const raw = new Uint8Array(bytes);
  if (readFully(fd, raw, at) < bytes) throw new MalformedSafetensors("is cut short", name);
  return dtype === "BF16" ? fromBfloat16(new Uint16Array(raw.buffer)) : new Float32Array(raw.buffer);
}
