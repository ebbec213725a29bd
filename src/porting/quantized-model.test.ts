/** A trained checkpoint ported to W8A8 and to shards opens like any export: the numbers are those of the format's definition, and it answers. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleConfig, publishExampleModel } from "../../test/example-model.ts";
import { expectConverted } from "../../test/expect-converted.ts";
import { BadInput } from "../spec/bad-input.ts";
import { openCheckpointSource } from "./convert/checkpoint-source.ts";
import { convert } from "./convert/convert.ts";
import { quantizedRow } from "./convert/plain-conversion.ts";
import { verifyConversion } from "./convert/verify-conversion.ts";
import { float32Of, openModel } from "./open-model.ts";
import { openEngineSide } from "./parity/engine-side.ts";
import { port } from "./port.ts";

let root: string;
let checkpoint: string;
const path = (name: string): string => join(root, name);
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  checkpoint = publishExampleModel(path("checkpoints"));
  await convert({ source: await openCheckpointSource(checkpoint), destination: path("w8a8"), format: "w8a8-dynamic" });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("signed bytes straight from the checkpoint's float32, every other tensor rounded to bfloat16 once", async () => {
  const [original, quantized] = [await openModel(checkpoint), await openModel(path("w8a8"))];
  expect(quantized).toMatchObject({ kind: "export", stored: "w8a8-dynamic", config: exampleConfig });
  let signedBytes = 0;
  for (const { name, shape } of original.parameters) {
    const [given, got] = [float32Of(original, name), float32Of(quantized, name)];
    const columns = shape.at(-1) ?? 1;
    const isLinear = /_proj/.test(name) && !/kv_b_proj|eh_proj/.test(name);
    signedBytes += Number(isLinear);
    for (let row = 0; isLinear && row < given.length; row += columns) {
      const { scale, bytes } = quantizedRow(given.subarray(row, row + columns))!;
      expect(got.subarray(row, row + columns)).toEqual(Float32Array.from(bytes, (code) => code * scale));
    }
    const largest = given.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [at, value] of given.entries()) {
      if (!isLinear) expect(Math.abs(value - got[at]!)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -8);
      else expect(Math.abs(value - got[at]!)).toBeLessThanOrEqual((largest / 127) * 0.5001);
    }
  }
  expect(signedBytes).toBeGreaterThan(10);
  original.close();
  quantized.close();
  expect((await verifyConversion(path("w8a8"))).problems).toEqual([]);
  expect(JSON.parse(readFileSync(join(path("w8a8"), "port.json"), "utf8")).source).toMatchObject({
    ...{ kind: "checkpoint", modelType: "deepseek_v3", step: 7 },
  });
});

test("the same command gives the same bytes, and the extra layer's shared tensors are repeated and described", async () => {
  const again = path("again");
  await convert({ source: await openCheckpointSource(checkpoint), destination: again, format: "w8a8-dynamic" });
  for (const name of readdirSync(again).filter((file) => file !== "port.json")) {
    expect(Buffer.compare(readFileSync(join(again, name)), readFileSync(join(path("w8a8"), name))), name).toBe(0);
  }
  const described = JSON.parse(readFileSync(join(again, "quant_model_description.json"), "utf8"));
  expect(described["model.layers.2.shared_head.head.weight"]).toBe("FLOAT");
  expect(described["model.layers.1.mlp.experts.3.down_proj.weight_scale"]).toBe("W8A8_DYNAMIC");
});

test("it answers almost as the original does, and a wrong scale is felt", async () => {
  const text = [256, ...Buffer.from("Call me Ishmael. Some years ago")];
  const logitsOf = async (folder: string): Promise<Float32Array> => {
    const model = await openModel(folder);
    const side = await openEngineSide(model);
    expect(await side.continueGreedily(text, 4)).toHaveLength(4);
    const { tensors } = await side.read(text, text.length);
    await side.close();
    model.close();
    for await (const logits of tensors.get("logits")?.pieces(text.length) ?? []) return logits;
    throw new Error("no logits");
  };
  const [original, quantized] = [await logitsOf(checkpoint), await logitsOf(path("w8a8"))];
  expect(cosine(original, quantized)).toBeGreaterThan(0.97);
  expect(cosine(original, quantized)).toBeLessThan(1);
  // One scale in the file, of the first quantised tensor's first row, made a thousand times larger.
  const file = join(path("w8a8"), readdirSync(path("w8a8")).find((name) => name.endsWith(".safetensors")) ?? "");
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.toString("utf8", 8, start));
  const at = start + header["model.layers.0.mlp.down_proj.weight_scale"].data_offsets[0];
  const good = bytes.readFloatLE(at);
  bytes.writeFloatLE(1000 * good, at);
  writeFileSync(file, bytes);
  expect(cosine(original, await logitsOf(path("w8a8")))).toBeLessThan(0.97);
  bytes.writeFloatLE(good, at);
  writeFileSync(file, bytes);
});

test("an export in several shards opens as one, and a lost shard is told by name", async () => {
  await port({ source: checkpoint, destination: path("export"), format: "fp32", platform: "ascend" });
  await convert({ source: path("export"), destination: path("shards"), format: "bf16", shardBytesMax: 20_000 });
  expectConverted(path("export"), path("shards"), "bf16");
  const [one, many] = [await openModel(path("export")), await openModel(path("shards"))];
  for (const { name } of one.parameters) {
    const wide = float32Of(many, name);
    expect(float32Of(one, name).every((value, at) => Math.abs(value - wide[at]!) <= Math.abs(value) * 2 ** -8)).toBe(
      true,
    );
  }
  one.close();
  many.close();
  const lost = readdirSync(path("shards")).find((name) => name.startsWith("model-00002")) ?? "";
  rmSync(join(path("shards"), lost));
  await expect(openModel(path("shards"))).rejects.toThrow(lost);
});

test("what is neither a checkpoint nor a run is refused", async () => {
  await expect(openCheckpointSource(path("nowhere"))).rejects.toBeInstanceOf(BadInput);
  await expect(openCheckpointSource(path("w8a8"))).rejects.toThrow(/is no checkpoint/);
});

function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0];
  for (const [at, x] of a.entries()) {
    const y = b[at] ?? 0;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}
