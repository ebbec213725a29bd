/**
 * What stored codes stand for: signed bytes and a scale a row (ModelSlim's W8A8), FP8 codes and a scale a block (DeepSeek's).
 * Knows: where each keeps its scales, what they must look like, the arithmetic. Does not know: files, which tensors a model needs.
 * Sources: Ascend/msmodelslim @3de0a3c4 docs/zh/user_guide/quantization_formats/ascendv1.md; deepseek-ai/DeepSeek-V3 @9b4e9788
 * inference/fp8_cast_bf16.py.
 */
import { readFileSync, statSync } from "node:fs";
import * as z from "zod";
import type { Tensor, TensorInfo } from "../checkpoint/dtype.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { ScaleBlock } from "./convert/model-source.ts";
import { fp8Values } from "./convert/plain-conversion.ts";
import { scaleSuffix } from "./convert/scales.ts";

/** The name of the tensor that holds the scales of one that needs some. */
export const scaleOf = ({ name, dtype }: TensorInfo): string =>
  dtype === "F8_E4M3" ? `${name}${scaleSuffix}` : name.replace(/weight$/, "weight_scale");

/** ModelSlim's zero points, one a row; zeros where the quantisation is symmetric. */
export const offsetOf = (name: string): string => name.replace(/weight$/, "weight_offset");

/** BadInput where `stored` is codes whose scales are missing or of another shape. */
export function checkScaleShape(
  stored: TensorInfo,
  { tensors, block, where }: { tensors: ReadonlyMap<string, TensorInfo>; block: ScaleBlock | undefined; where: string },
): void {
  const { dtype, name, shape } = stored;
  if (dtype !== "I8" && dtype !== "F8_E4M3") return;
  const [rows = 0, columns = 1] = shape;
  if (dtype === "F8_E4M3" && !block) {
    throw new BadInput(
      `${where}: ${name} is FP8, but config.json has no quantization_config; copy that of the release`,
    );
  }
  const needed =
    block && dtype === "F8_E4M3" ? [Math.ceil(rows / block.rows), Math.ceil(columns / block.columns)] : [rows, 1];
  const scale = tensors.get(scaleOf(stored));
  if (scale?.shape.join() === needed.join()) return;
  const found = scale ? `[${scale.shape}]` : "missing";
  throw new BadInput(`${where}: tensor ${scaleOf(stored)} is ${found}, not [${needed}]; port or copy it again`);
}

/** (code − zero point) × scale, row by row. */
export function fromSignedBytes({ bytes }: Tensor, scale: Float32Array, offset?: Float32Array): Float32Array {
  const columns = bytes.length / Math.max(1, scale.length);
  const codes = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  const values = new Float32Array(codes.length);
  for (let row = 0, at = 0; row < scale.length; row++) {
    const [factor, zero] = [scale[row]!, offset?.[row] ?? 0];
    for (const end = at + columns; at < end; at++) values[at] = (codes[at]! - zero) * factor;
  }
  return values;
}

/** Code × its block's scale, in float32; blocks at the right and lower edge may be smaller. */
export function fromBlocks({ bytes, shape }: Tensor, scale: Float32Array, block: ScaleBlock | undefined): Float32Array {
  const [rows = 0, columns = 0] = shape;
  const values = new Float32Array(bytes.length);
  if (!block) throw new RangeError("FP8 codes need blocks");
  const across = Math.ceil(columns / block.columns);
  for (let row = 0, at = 0; row < rows; row++) {
    const first = Math.floor(row / block.rows) * across;
    for (let column = 0; column < columns; column++, at++) {
      values[at] = fp8Values[bytes[at]!]! * scale[first + Math.floor(column / block.columns)]!;
    }
  }
  return values;
}

const Description = z.record(z.string(), z.unknown());
const descriptionBytesMax = 256 << 20;
/** ModelSlim's types whose weights are a signed byte times a scale a row, or floats; activations are not looked at. */
const readable = new Set(["FLOAT", "W8A8_DYNAMIC", "W8A8", "W8A8_MIX", "W8A16"]);

/** Checks a tensor against ModelSlim's description; BadInput, one line, for a type that packs its weights otherwise. */
export function typesOf(file: string): (stored: TensorInfo) => void {
  let json: unknown;
  try {
    if (statSync(file).size > descriptionBytesMax)
      throw new BadInput(`${file}: is larger than a description; copy it again`);
    json = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw new BadInput(`${file}: cannot be read as JSON; copy it again`);
  }
  const parsed = Description.safeParse(json);
  if (!parsed.success) throw new BadInput(`${file}: describes no tensors; copy it again`);
  const types = new Map(Object.entries(parsed.data));
  return ({ name, dtype }) => {
    const type = types.get(name);
    if (type === undefined && dtype !== "I8") return;
    if (typeof type === "string" && readable.has(type) && (type === "FLOAT") === (dtype !== "I8")) return;
    const told = typeof type === "string" ? type.slice(0, 40) : "not described";
    throw new BadInput(
      `${file}: ${name} is ${dtype} and ${told}; only FLOAT and W8A8 weights are read, compare its server instead`,
    );
  };
}
