/**
 * Holds a converted checkpoint against a plain reading of the formats' definitions, one value at a time; for tests.
 * Knows: the source's bytes and what each format makes of them. Does not know: recipes, kernels, shards of the conversion.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBfloat16, toBfloat16 } from "../src/checkpoint/bfloat16.ts";
import type { Tensor } from "../src/checkpoint/dtype.ts";
import { decodeSafetensors } from "../src/checkpoint/safetensors-file.ts";
import { fp8Values, fromFloat16, quantizedRow } from "../src/porting/convert/plain-conversion.ts";
import type { WeightFormat } from "../src/porting/convert/recipes.ts";

/** All tensors of a small model, by name. */
export function tensorsIn(path: string): ReadonlyMap<string, Tensor> {
  const files = readdirSync(path).filter((name) => name.endsWith(".safetensors"));
  return new Map(files.flatMap((file) => [...decodeSafetensors(new Uint8Array(readFileSync(join(path, file))))]));
}

/** Throws, naming the tensor, where `destination` is not `source` in `format`, or its index is not right. */
export function expectConverted(source: string, destination: string, format: WeightFormat): void {
  const given = tensorsIn(source);
  const made = new Map(tensorsIn(destination));
  const config = JSON.parse(readFileSync(join(source, "config.json"), "utf8"));
  const side: number = config.quantization_config?.weight_block_size[0] ?? 1;
  const expectBytes = (name: string, dtype: string, shape: readonly number[], bytes: Uint8Array): void => {
    const tensor = made.get(name);
    if (!tensor) throw new Error(`${name} is missing`);
    if (tensor.dtype !== dtype || tensor.shape.join() !== shape.join()) {
      throw new Error(`${name} is ${tensor.dtype} [${tensor.shape}], not ${dtype} [${shape}]`);
    }
    if (Buffer.compare(tensor.bytes, bytes) !== 0) throw new Error(`${name} has other bytes`);
    made.delete(name);
  };
  checkIndex(destination, format);
  for (const tensor of given.values()) {
    const { name, dtype, shape, bytes } = tensor;
    if (name.endsWith("_scale_inv")) continue;
    const values = valuesOf(tensor, given, side);
    const isFloat = /embed|lm_head|norm|gate\.weight|kv_b_proj|eh_proj|shared_head|bias/.test(name);
    if (format === "w8a8-dynamic" && !isFloat) {
      const [rows = 0, columns = 0] = shape;
      const quantized = Array.from({ length: rows }, (_, row) =>
        quantizedRow(values.subarray(row * columns, (row + 1) * columns)),
      );
      const codes = new Int8Array(rows * columns);
      for (const [at, row] of quantized.entries()) codes.set(row?.bytes ?? [], at * columns);
      const scales = Float32Array.from(quantized, (row) => row?.scale ?? Number.NaN);
      expectBytes(name, "I8", shape, new Uint8Array(codes.buffer));
      expectBytes(`${name}_scale`, "F32", [rows, 1], new Uint8Array(scales.buffer));
      expectBytes(`${name}_offset`, "F32", [rows, 1], new Uint8Array(4 * rows));
    } else if (format === "w8a8-dynamic" && /proj\.bias$/.test(name)) {
      expectBytes(name, "F32", shape, new Uint8Array(values.buffer));
    } else if (name.endsWith("correction_bias") || dtype === "BF16") expectBytes(name, dtype, shape, bytes);
    else expectBytes(name, "BF16", shape, new Uint8Array(toBfloat16(values).buffer));
  }
  if (made.size > 0) throw new Error(`${[...made.keys()].join(", ")} should not be there`);
}

function valuesOf({ name, dtype, shape, bytes }: Tensor, all: ReadonlyMap<string, Tensor>, side: number): Float32Array {
  if (dtype === "F32") return new Float32Array(bytes.slice().buffer);
  const halves = () => new Uint16Array(bytes.slice().buffer);
  if (dtype === "BF16") return fromBfloat16(halves());
  if (dtype === "F16") return Float32Array.from(halves(), fromFloat16);
  const scale = all.get(`${name}_scale_inv`);
  const scales = new Float32Array(scale?.bytes.slice().buffer ?? new ArrayBuffer(0));
  const columns = shape[1] ?? 0;
  const across = Math.ceil(columns / side);
  return Float32Array.from(bytes, (code, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    return Math.fround(
      (fp8Values[code] ?? Number.NaN) *
        (scales[Math.floor(row / side) * across + Math.floor(column / side)] ?? Number.NaN),
    );
  });
}

function checkIndex(destination: string, format: WeightFormat): void {
  const name = format === "bf16" ? "model" : "quant_model_weights";
  const index = JSON.parse(readFileSync(join(destination, `${name}.safetensors.index.json`), "utf8"));
  const files = readdirSync(destination).filter((file) => file.endsWith(".safetensors"));
  let total = 0;
  for (const file of files) {
    for (const [tensor, { bytes }] of decodeSafetensors(new Uint8Array(readFileSync(join(destination, file))))) {
      if (index.weight_map[tensor] !== file) throw new Error(`the index places ${tensor} elsewhere`);
      delete index.weight_map[tensor];
      total += bytes.length;
    }
  }
  if (Object.keys(index.weight_map).length > 0) throw new Error("the index names what is not there");
  if (index.metadata.total_size !== total) throw new Error(`total_size ${index.metadata.total_size}, not ${total}`);
}
