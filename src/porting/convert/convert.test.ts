/** Conversions of synthetic checkpoints equal a plain reading of the formats' definitions, byte by byte, and survive being cut off. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectConverted, tensorsIn } from "../../../test/expect-converted.ts";
import { BadInput } from "../../spec/bad-input.ts";
import {
  deepseekV3Shape,
  type SyntheticShape,
  smallerShape,
  syntheticTensors,
  writeSyntheticCheckpoint,
} from "../synthetic-checkpoint.ts";
import { convert } from "./convert.ts";
import { verifyConversion } from "./verify-conversion.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** 6.4 KB blocks cut through every matrix, and no width is a multiple of 16. */
const deepseek: SyntheticShape = {
  ...smallerShape(64, { layers: 2, experts: 3 }),
  ...{ hidden: 75, vocab: 130, intermediate: 150, keyValueRank: 9, nope: 4, rope: 3, headDim: 5, block: 16 },
};
const dense = { ...deepseek, experts: 0, mtpLayers: 0, block: 0, heads: 4, kvHeads: 2, headDim: 8, hidden: 48 };
const shapes: Record<string, SyntheticShape> = {
  "deepseek-v3 in FP8": deepseek,
  "llama in bfloat16": { ...dense, family: "llama" },
  "qwen2 with biases": { ...dense, family: "qwen2" },
  "qwen3 experts in FP8": { ...dense, family: "qwen3_moe", experts: 3, denseLayers: 0, block: 16 },
};

test("the full shape is the published one", () => {
  const bytes = { F8_E4M3: 1, BF16: 2, F32: 4 };
  const tensors = syntheticTensors(deepseekV3Shape);
  const sizes = tensors.map(({ dtype, shape }) =>
    shape.reduce(
      (product, size) => product * size,
      dtype === "F8_E4M3" || dtype === "BF16" || dtype === "F32" ? bytes[dtype] : 0,
    ),
  );
  expect(tensors.length).toBe(91_991);
  expect(sizes.reduce((sum, size) => sum + size)).toBe(688_574_839_360);
});

describe.each(Object.entries(shapes))("%s", (name, shape) => {
  const source = () => join(root, name.replaceAll(" ", "-"));
  beforeAll(() => void writeSyntheticCheckpoint(source(), shape, { shardBytes: 60_000 }));

  test.each(["bf16", "w8a8-dynamic"] as const)("%s is what the definition says", async (format) => {
    const destination = join(root, `${name.replaceAll(" ", "-")}-${format}`);
    const report = await convert({ source: source(), destination, format, shardBytesMax: 100_000 });
    expectConverted(source(), destination, format);
    expect(readdirSync(destination).sort()).toEqual([...report.files.map((file) => file.name), "port.json"].sort());
    const { seal, ...written } = JSON.parse(readFileSync(join(destination, "port.json"), "utf8"));
    expect(seal).toMatch(/^[0-9a-f]{64}$/);
    expect(written).toEqual(report);
    expect((await verifyConversion(destination)).problems).toEqual([]);
    const config = JSON.parse(readFileSync(join(destination, "config.json"), "utf8"));
    const { quantization_config: _, ...kept } = JSON.parse(readFileSync(join(source(), "config.json"), "utf8"));
    expect(config).toEqual({ ...kept, torch_dtype: "bfloat16" });
    for (const side of ["generation_config.json", "tokenizer_config.json"]) {
      expect(readFileSync(join(destination, side))).toEqual(readFileSync(join(source(), side)));
    }
  });
});

test("w8a8-dynamic: what stays float, what is quantised, what the description says", async () => {
  const [source, destination] = [join(root, "types-from"), join(root, "types-to")];
  writeSyntheticCheckpoint(source, deepseek);
  await convert({ source, destination, format: "w8a8-dynamic" });
  const described = JSON.parse(readFileSync(join(destination, "quant_model_description.json"), "utf8"));
  const { version, model_quant_type, metadata, group_size, optional, ...types } = described;
  expect({ version, model_quant_type, metadata, group_size, optional }).toEqual({
    ...{ version: "1.0.0", model_quant_type: "W8A8_DYNAMIC", metadata: {}, group_size: 0, optional: {} },
  });
  const stored = tensorsIn(destination);
  expect(Object.keys(types).sort()).toEqual([...stored.keys()].sort());
  const float = [...stored.values()].filter(({ name }) => types[name] === "FLOAT");
  for (const { dtype, name } of float) expect(dtype, name).toBe(name.endsWith("correction_bias") ? "F32" : "BF16");
  const kinds = new Set(
    float.map(({ name }) => name.replace(/^model\.layers\.\d+\./, "").replace(/experts\.\d+/, "experts.N")),
  );
  expect([...kinds].sort()).toEqual([
    ...[
      "eh_proj.weight",
      "embed_tokens.weight",
      "enorm.weight",
      "hnorm.weight",
      "input_layernorm.weight",
      "lm_head.weight",
    ],
    ...["mlp.gate.e_score_correction_bias", "mlp.gate.weight", "model.embed_tokens.weight", "model.norm.weight"],
    ...["post_attention_layernorm.weight", "self_attn.kv_a_layernorm.weight", "self_attn.kv_b_proj.weight"],
    ...["self_attn.q_a_layernorm.weight", "shared_head.head.weight", "shared_head.norm.weight"],
  ]);
  for (const { name, shape } of stored.values()) {
    if (!name.endsWith("_offset")) continue;
    expect(shape).toEqual([stored.get(name.replace(/_offset$/, ""))?.shape[0], 1]);
  }
});

describe("an interrupted conversion", () => {
  test("has no index before the end, goes on with what was done, and ends in the same bytes", async () => {
    const source = join(root, "resumed-from");
    writeSyntheticCheckpoint(source, deepseek, { shardBytes: 60_000 });
    const whole = join(root, "whole");
    const request = { source, format: "w8a8-dynamic", shardBytesMax: 50_000 } as const;
    const expected = await convert({ ...request, destination: whole });
    const shards = expected.files.filter(({ name }) => name.startsWith("quant_model_weights-")).length;
    for (let stopAfter = 0; stopAfter < shards; stopAfter++) {
      const destination = join(root, `resumed-${stopAfter}`);
      const stop = new AbortController();
      let done = 0;
      const halted = convert({
        ...{ ...request, destination, signal: stop.signal },
        onProgress: () => ++done > stopAfter && stop.abort(new Error("stopped")),
      });
      if (stopAfter < shards - 1) await expect(halted).rejects.toThrow("stopped");
      else await halted;
      if (stopAfter < shards - 1) expect(readdirSync(destination)).toEqual([".dualgauge-port"]);
      // What lies there is read back before it is believed.
      const spoilt = join(destination, ".dualgauge-port", "files", expected.files[0]?.name ?? "");
      if (stopAfter === 1 && existsSync(spoilt)) writeFileSync(spoilt, "spoilt");
      const report = await convert({ ...request, destination });
      expect(report).toEqual(expected);
      for (const { name } of [...expected.files, { name: "port.json" }]) {
        expect(readFileSync(join(destination, name)), name).toEqual(readFileSync(join(whole, name)));
      }
      expect(await convert({ ...request, destination })).toEqual(expected);
    }
  });

  test("is not mixed with another one", async () => {
    const source = join(root, "mixed-from");
    writeSyntheticCheckpoint(source, deepseek, { shardBytes: 60_000 });
    const destination = join(root, "mixed");
    const signal = AbortSignal.abort(new Error("stopped"));
    const stop = new AbortController();
    const begun = convert({
      source,
      destination,
      format: "bf16",
      shardBytesMax: 50_000,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error("stopped")),
    });
    await expect(begun).rejects.toThrow("stopped");
    await expect(convert({ source, destination, format: "bf16", signal })).rejects.toThrow("stopped");
    await expect(convert({ source, destination, format: "w8a8-dynamic" })).rejects.toThrow(BadInput);
    expect(readdirSync(destination)).toEqual([".dualgauge-port"]);
  });
});
