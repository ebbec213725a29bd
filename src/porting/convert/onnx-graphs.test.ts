/** Graphs of a sharded checkpoint run on ONNX Runtime from the files alone and answer as the architecture written out plainly does. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tensor } from "onnxruntime-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleConfig, publishExampleModel } from "../../../test/example-model.ts";
import { plainForward } from "../../../test/plain-forward.ts";
import { runGraph } from "../../../test/run-graph.ts";
import { float32Of, openModel } from "../open-model.ts";
import { port } from "../port.ts";
import { smallerShape, writeSyntheticCheckpoint } from "../synthetic-checkpoint.ts";
import { convert } from "./convert.ts";

let root: string;
let source: string;
const path = (name: string): string => join(root, name);
const tokens = [256, 67, 97, 108, 108, 32, 109, 101, 32, 73, 115, 104];
const int64 = (values: readonly number[], shape: readonly number[]): Tensor =>
  new Tensor("int64", BigInt64Array.from(values, BigInt), [...shape]);

/** A checkpoint as Hugging Face has them: DeepSeek-V3's naming, YaRN, no graphs. */
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  source = path("source");
  await port({
    source: publishExampleModel(path("checkpoints")),
    destination: source,
    format: "fp32",
    platform: "ascend",
  });
  for (const name of ["prefill.onnx", "decode.onnx", "port.json"]) rmSync(join(source, name));
  const config = JSON.parse(readFileSync(join(source, "config.json"), "utf8"));
  config.rope_scaling = {
    ...{ type: "yarn", factor: 4, original_max_position_embeddings: 64, beta_fast: 32, beta_slow: 1 },
    ...{ mscale: 1, mscale_all_dim: 1 },
  };
  writeFileSync(join(source, "config.json"), JSON.stringify(config));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function expectClose(got: unknown, wanted: readonly number[] | undefined): void {
  if (!(got instanceof Float32Array) || !wanted) throw new Error("no float32 logits");
  expect(got).toHaveLength(wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  for (const [at, value] of got.entries()) expect(Math.abs(value - wanted[at]!)).toBeLessThan(2e-5 * largest);
}

test.each([
  ["dynamic", undefined],
  ["fixed", 16],
])(
  "%s shapes: the prompt's last logits and the next token's are those of the plain forward pass",
  async (name, capacityTokens) => {
    const destination = path(name);
    await convert({
      ...{ source, destination, format: "bf16", shardBytesMax: 20_000 },
      graphs: { platform: "ascend", capacityTokens },
    });
    expect(readdirSync(destination).filter((file) => file.endsWith(".safetensors")).length).toBeGreaterThan(3);
    const model = await openModel(destination);
    const weights = new Map(model.parameters.map((one) => [one.name, float32Of(model, one.name)]));
    model.close();
    const wanted = plainForward(model.config, (weight) => weights.get(weight)!, tokens);

    const length = capacityTokens ?? tokens.length - 1;
    const prompt = [...tokens.slice(0, -1), ...Array(length - (tokens.length - 1)).fill(0)];
    const last = tokens.length - 2;
    const read = await runGraph(join(destination, "prefill.onnx"), {
      tokens: int64(prompt, [1, length]),
      lastPosition: int64([last], [1]),
    });
    expectClose(read.logits?.data, wanted[last]);
    const caches = Object.entries(read).filter(([output]) => output.startsWith("cache/"));
    expect(caches).toHaveLength(exampleConfig.num_hidden_layers);
    const next = await runGraph(join(destination, "decode.onnx"), {
      ...{ tokens: int64(tokens.slice(-1), [1, 1]), position: int64([tokens.length - 1], [1]) },
      ...Object.fromEntries(caches),
    });
    expectClose(next.logits?.data, wanted.at(-1));
    // Without YaRN the answer is another one, so the comparison above could have failed.
    const without = plainForward({ ...model.config, rope_scaling: null }, (weight) => weights.get(weight)!, tokens);
    expect(() => expectClose(next.logits?.data, without.at(-1))).toThrow();
  },
);

test("an FP8 checkpoint's graphs load and give numbers", async () => {
  const shape = {
    ...smallerShape(128, { layers: 2, experts: 4 }),
    heads: 2,
    kvHeads: 2,
    nope: 8,
    rope: 8,
    headDim: 8,
    block: 16,
  };
  writeSyntheticCheckpoint(path("fp8"), shape, { shardBytes: 1e5 });
  await convert({ source: path("fp8"), destination: path("fp8-onnx"), format: "bf16", graphs: { platform: "ascend" } });
  const { logits } = await runGraph(join(path("fp8-onnx"), "prefill.onnx"), {
    tokens: int64([1, 2, 3], [1, 3]),
    lastPosition: int64([2], [1]),
  });
  const values = logits?.data;
  if (!(values instanceof Float32Array)) throw new Error("no float32 logits");
  expect(values).toHaveLength(shape.vocab);
  expect(values.every(Number.isFinite)).toBe(true);
  expect(new Set(values).size).toBeGreaterThan(shape.vocab / 2);
});

test("another model's key and too large a capacity are refused before anything is written", async () => {
  writeSyntheticCheckpoint(path("llama"), {
    ...smallerShape(256, { layers: 1, experts: 0 }),
    family: "llama",
    mtpLayers: 0,
    block: 0,
  });
  const config = JSON.parse(readFileSync(join(path("llama"), "config.json"), "utf8"));
  const changed = { ...config, max_position_embeddings: 256, attn_logit_softcapping: 30 };
  writeFileSync(join(path("llama"), "config.json"), JSON.stringify(changed));
  const graphs = { platform: "ascend" } as const;
  const refused = convert({ source: path("llama"), destination: path("no"), format: "bf16", graphs });
  await expect(refused).rejects.toThrow(/llama.config.json: .*attn_logit_softcapping.*port it --to bf16/);
  const long = { ...graphs, capacityTokens: 100_000 };
  const tooLong = convert({ source, destination: path("no"), format: "bf16", graphs: long });
  await expect(tooLong).rejects.toThrow(/--capacity 100000: the model reads at most 256 tokens/);
  expect(readdirSync(root)).not.toContain("no");
});
