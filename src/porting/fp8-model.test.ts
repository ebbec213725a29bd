/** A published block-wise FP8 directory opens beside BF16 and W8A8 ones; what cannot be read is refused in one line. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleConfig } from "../../test/example-model.ts";
import { toBfloat16 } from "../checkpoint/bfloat16.ts";
import type { Dtype } from "../checkpoint/dtype.ts";
import { openSafetensors } from "../checkpoint/safetensors-file.ts";
import { encodeHeader } from "../checkpoint/safetensors-header.ts";
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { random } from "../spec/random.ts";
import { compare } from "./compare.ts";
import { convert } from "./convert/convert.ts";
import { fp8Values } from "./convert/plain-conversion.ts";
import { toModelConfig } from "./model-config.ts";
import { float32Of, openModel } from "./open-model.ts";
import { byteTokenizerJson } from "./tokenizer-files.ts";

const block = 16;
const name = "model.layers.1.self_attn.o_proj.weight";
let root: string;
let fp8: string;
let bf16: string;
let w8a8: string;
let prompts: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  prompts = join(root, "prompts.txt");
  writeFileSync(prompts, "Call me Ishmael.\n");
  [fp8, bf16, w8a8] = [write("fp8", true), write("bf16", false), join(root, "w8a8")];
  await convert({ source: fp8, destination: w8a8, format: "w8a8-dynamic", threads: 0 });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Stored {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** The same random model, in FP8 codes and scales or as what those stand for, rounded to bfloat16; `change` alters what is stored. */
function write(
  folder: string,
  codes: boolean,
  change: (stored: Stored[]) => Stored[] = (stored) => stored,
  keys = {},
): string {
  const path = join(root, folder);
  mkdirSync(path);
  const stored: Stored[] = [];
  for (const { name: tensor, shape, init } of deepseekV3(exampleConfig).parameters) {
    const source = random(1, tensor);
    const [rows = 1, columns = 1] = shape;
    if (shape.length < 2 || !/_proj/.test(tensor) || tensor.includes("eh_proj")) {
      const draw = (): number =>
        init.kind === "ones" ? 1 : source.normal() / Math.sqrt(shape.length > 1 ? columns : 100);
      const values = Float32Array.from({ length: rows * columns }, draw);
      const isBias = tensor.endsWith("e_score_correction_bias");
      stored.push({
        name: tensor,
        dtype: isBias ? "F32" : "BF16",
        shape,
        bytes: bytesOf(isBias ? values : toBfloat16(values)),
      });
      continue;
    }
    const across = Math.ceil(columns / block);
    const scale = Float32Array.from({ length: Math.ceil(rows / block) * across }, () => 0.001 * (1 + source.uniform()));
    const drawn = Uint8Array.from({ length: rows * columns }, () => source.uint32() & 0xff);
    const valid = drawn.map((code) => ((code & 0x7f) >= 0x78 ? code & 0x87 : code));
    if (codes) {
      const shapeOfScale = [Math.ceil(rows / block), across];
      stored.push({ name: tensor, dtype: "F8_E4M3", shape, bytes: valid });
      stored.push({ name: `${tensor}_scale_inv`, dtype: "F32", shape: shapeOfScale, bytes: bytesOf(scale) });
      continue;
    }
    const values = Float32Array.from(valid, (code, at) => {
      const of = Math.floor(Math.floor(at / columns) / block) * across + Math.floor((at % columns) / block);
      return fp8Values[code]! * scale[of]!;
    });
    stored.push({ name: tensor, dtype: "BF16", shape, bytes: bytesOf(toBfloat16(values)) });
  }
  const kept = change(stored);
  const { bytes, header } = encodeHeader(kept);
  const data = header.tensors.map((entry) => kept.find((one) => one.name === entry.name)?.bytes ?? new Uint8Array());
  writeFileSync(join(path, "model.safetensors"), Buffer.concat([bytes, ...data]));
  const method = { quant_method: "fp8", fmt: "e4m3", activation_scheme: "dynamic", weight_block_size: [block, block] };
  const config = {
    ...toModelConfig(exampleConfig, { format: "bf16", bos: 256, eos: 257 }),
    ...(codes && { quantization_config: method }),
  };
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...config, ...keys }));
  writeFileSync(join(path, "tokenizer.json"), JSON.stringify(byteTokenizerJson()));
  return path;
}

test("codes times their block's scale are the weights, and all three forms are within tolerance by what they round", async () => {
  const [a, b] = [await openModel(fp8), await openModel(bf16)];
  expect(a).toMatchObject({ stored: "fp8-block", block: { rows: block, columns: block }, config: b.config });
  expect(bytesOf(toBfloat16(float32Of(a, name)))).toEqual(bytesOf(toBfloat16(float32Of(b, name))));
  a.close();
  b.close();
  const cast = await compare({ a: fp8, b: bf16, prompts, answerTokens: 2 });
  expect(cast).toMatchObject({
    verdict: "within tolerance",
    a: { format: "fp8" },
    weights: { roundedTo: "bf16", different: [] },
  });
  const ported = await compare({ a: fp8, b: w8a8, prompts, answerTokens: 2 });
  expect(ported).toMatchObject({ b: { format: "w8a8" }, weights: { roundedTo: "w8a8", different: [] } });
});

test("a block with another's scale is told by its weights", async () => {
  const shifted = write("shifted", true, (stored) =>
    stored.map((one) => {
      if (one.name !== `${name}_scale_inv`) return one;
      const scale = new Float32Array(one.bytes.slice().buffer);
      return { ...one, bytes: bytesOf(Float32Array.from(scale, (_, at) => scale[(at + 1) % scale.length]! * 1.3)) };
    }),
  );
  const report = await compare({ a: bf16, b: shifted, prompts, answerTokens: 2 });
  expect(report).toMatchObject({ verdict: "different", cause: { reason: "scale", layer: 1, module: name } });
});

const without = (wanted: string) => (stored: Stored[]) => stored.filter((one) => one.name !== wanted);
const reshaped = (wanted: string, shape: readonly number[]) => (stored: Stored[]) =>
  stored.map((one) => (one.name === wanted ? { ...one, shape } : one));

test.each<[string, Parameters<typeof write>[2], object, RegExp]>([
  ["no scale", without(`${name}_scale_inv`), {}, /o_proj\.weight_scale_inv is missing, not \[3,1\]/],
  ["a misshapen scale", reshaped(`${name}_scale_inv`, [1, 3]), {}, /weight_scale_inv is \[1,3\], not \[3,1\]/],
  [
    "codes without blocks",
    undefined,
    { quantization_config: null },
    /is FP8, but config\.json has no quantization_config/,
  ],
  [
    "another method",
    undefined,
    { quantization_config: { quant_method: "awq", bits: 4 } },
    /quant_method "awq" is not read/,
  ],
  [
    "a block size of 0",
    undefined,
    { quantization_config: { quant_method: "fp8", weight_block_size: [0, 0] } },
    /weight_block_size/,
  ],
  [
    "another architecture",
    undefined,
    { model_type: "llama" },
    /model_type "llama" is none that the embedded engine computes/,
  ],
])("refused in one line: %s", async (title, change, keys, why) => {
  const error = await openModel(write(title.replace(/\W/g, "-"), true, change, keys)).catch(
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: "BadInput", message: expect.stringMatching(why) });
  expect(String(error).split("\n").length).toBeLessThanOrEqual(2);
});

test("weights that ModelSlim packs otherwise are refused by their type, and zero points are taken off", async () => {
  const file = join(w8a8, "quant_model_description.json");
  const description = readFileSync(file, "utf8");
  const changed = { ...JSON.parse(description), [name]: "W4A8_DYNAMIC" };
  writeFileSync(file, JSON.stringify(changed));
  await expect(openModel(w8a8)).rejects.toThrow(/o_proj\.weight is I8 and W4A8_DYNAMIC; only FLOAT and W8A8/);
  writeFileSync(file, description);
  const model = await openModel(w8a8);
  const shard = join(w8a8, readdirSync(w8a8).find((one) => one.endsWith(".safetensors")) ?? "");
  const { start, tensors, close } = openSafetensors(shard);
  close();
  const { begin, end } = tensors.get(name.replace(/weight$/, "weight_offset"))!;
  const before = float32Of(model, name);
  model.close();
  const bytes = readFileSync(shard);
  for (let at = start + begin; at < start + end; at += 4) bytes.writeFloatLE(2, at);
  writeFileSync(shard, bytes);
  const moved = await openModel(w8a8);
  const scale = new Float32Array(moved.weights.read(name.replace(/weight$/, "weight_scale")).bytes.buffer);
  const columns = before.length / scale.length;
  float32Of(moved, name).forEach((value, at) => {
    expect(value).toBeCloseTo(before[at]! - 2 * scale[Math.floor(at / columns)]!, 5);
  });
  moved.close();
});
