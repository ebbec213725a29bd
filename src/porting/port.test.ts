/** An export is loaded by what it is meant for: Hugging Face's tokenizer library and ONNX Runtime from the files alone. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { exampleConfig, publishExampleModel } from "../../test/example-model.ts";
import { toBfloat16 } from "../checkpoint/bfloat16.ts";
import { loadCheckpoint } from "../checkpoint/load-checkpoint.ts";
import { openSafetensors } from "../checkpoint/safetensors-file.ts";
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { openSession } from "../engine/session.ts";
import { BadInput } from "../spec/bad-input.ts";
import { DeepseekConfig } from "../spec/deepseek-config.ts";
import { float32Of, openModel } from "./open-model.ts";
import { type PortRequest, port } from "./port.ts";

let root: string;
let source: string;
let destination: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  source = publishExampleModel(join(root, "run", "checkpoints"));
  destination = join(root, "export");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const request = (more: Partial<PortRequest> = {}): PortRequest => ({
  source,
  destination,
  format: "bf16",
  platform: "ascend",
  ...more,
});
const readJson = (name: string) => JSON.parse(readFileSync(join(destination, name), "utf8"));

describe("an export", () => {
  test("holds every weight rounded to bfloat16, the routing bias exactly, and what the extra layer shares", async () => {
    const report = await port(request());
    const { weights } = await loadCheckpoint(source);
    const file = openSafetensors(join(destination, "model.safetensors"));
    for (const tensor of weights.values()) {
      const { dtype, shape, bytes } = file.read(tensor.name);
      expect(shape).toEqual(tensor.shape);
      const values = new Float32Array(tensor.bytes.buffer, tensor.bytes.byteOffset, tensor.bytes.length / 4);
      if (tensor.name.endsWith("e_score_correction_bias"))
        expect({ dtype, bytes }).toEqual({ dtype: "F32", bytes: tensor.bytes });
      else expect({ dtype, bytes }).toEqual({ dtype: "BF16", bytes: new Uint8Array(toBfloat16(values).buffer) });
    }
    expect(file.read("model.layers.2.shared_head.head.weight").bytes).toEqual(file.read("lm_head.weight").bytes);
    expect([...file.tensors.keys()].length).toBe(weights.size + 2);
    file.close();
    expect(report.source).toMatchObject({ kind: "checkpoint", run: "example", step: 7 });
    expect(readJson("port.json")).toEqual(report);
    const listed = report.files.map(({ name }) => name).concat("port.json");
    expect(readdirSync(destination).sort()).toEqual(listed.sort());
  });

  test("says what it is in config.json, also to this project", async () => {
    await port(request());
    const config = readJson("config.json");
    expect(config).toMatchObject({
      architectures: ["DeepseekV3ForCausalLM"],
      torch_dtype: "bfloat16",
      num_key_value_heads: 2,
      bos_token_id: 256,
      eos_token_id: 257,
    });
    const model = await openModel(destination);
    expect(model.config).toMatchObject({ ...exampleConfig, num_key_value_heads: 2 });
    model.close();
  });

  test("makes a model without experts dense for transformers too", async () => {
    const config = DeepseekConfig.parse({ ...exampleConfig, n_routed_experts: null, num_nextn_predict_layers: 0 });
    source = publishExampleModel(join(root, "dense"), { config });
    await port(request());
    expect(readJson("config.json")).toMatchObject({ n_routed_experts: null, first_k_dense_replace: 2 });
  });

  test("encodes text as training did, from its own files", async () => {
    await port(request());
    const tokenizer = new Tokenizer(readJson("tokenizer.json"), readJson("tokenizer_config.json"));
    expect(tokenizer.encode("Née 鯨\n").ids).toEqual([...Buffer.from("Née 鯨\n")]);
  });

  test.each(["bf16", "fp32"] as const)(
    "%s: the ONNX files answer alone, as the engine does with the same weights",
    async (format) => {
      await port(request({ format }));
      const model = await openModel(destination);
      const programs = deepseekV3(model.config);
      const parameters = Object.fromEntries(
        model.parameters.map(({ name, shape }) => [name, { shape, data: float32Of(model, name) }]),
      );
      model.close();
      const tokens = { shape: [1, 6], data: BigInt64Array.of(256n, 84n, 104n, 101n, 32n, 66n) };
      const lastPosition = { shape: [1], data: BigInt64Array.of(5n) };
      const engine = await openSession(programs.prefill());
      const expected = await engine.run({ ...parameters, tokens, lastPosition });
      const prefill = await InferenceSession.create(join(destination, "prefill.onnx"));
      const asTensor = ({ shape, data }: { shape: readonly number[]; data: BigInt64Array }) =>
        new Tensor("int64", data, shape);
      const got = await prefill.run({ tokens: asTensor(tokens), lastPosition: asTensor(lastPosition) });
      expect(prefill.inputNames).toEqual(["tokens", "lastPosition"]);
      expect(Object.keys(got).sort()).toEqual(Object.keys(expected).sort());
      expectClose(got.logits?.data, expected.logits?.data);

      const decode = await InferenceSession.create(join(destination, "decode.onnx"));
      const position = { shape: [1], data: BigInt64Array.of(6n) };
      const next = { shape: [1, 1], data: BigInt64Array.of(117n) };
      const caches = Object.fromEntries(
        Object.entries(expected).flatMap(([name, tensor]) => (name.startsWith("cache/") ? [[name, tensor]] : [])),
      );
      const engineDecode = await openSession(programs.decode());
      const expectedNext = await engineDecode.run({ ...parameters, ...caches, tokens: next, position });
      const gotNext = await decode.run({
        tokens: asTensor(next),
        position: asTensor(position),
        ...Object.fromEntries(
          Object.entries(caches).map(([name, { shape, data }]) => [
            name,
            new Tensor("float32", Float32Array.from(data, Number), shape),
          ]),
        ),
      });
      expectClose(gotNext.logits?.data, expectedNext.logits?.data);
      await Promise.all([engine.close(), engineDecode.close(), prefill.release(), decode.release()]);
    },
  );

  test("takes away what a killed port to the same place left, and leaves alone what a living one writes", async () => {
    const [dead, living] = [join(root, ".export.dualgauge-999999999"), join(root, `.export.dualgauge-${process.ppid}`)];
    for (const left of [dead, living]) mkdirSync(left);
    await port(request());
    expect([existsSync(dead), existsSync(living)]).toEqual([false, true]);
  });

  test("from a run takes the newest checkpoint that verifies; from an export it is the same again", async () => {
    const newer = publishExampleModel(join(root, "run", "checkpoints"), { step: 9, seed: 2 });
    const file = join(newer, "weights.safetensors");
    const bytes = readFileSync(file);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(file, bytes);
    const first = await port(request({ source: join(root, "run") }));
    expect(first.source.step).toBe(7);
    await port(request({ source: join(root, "run"), destination: join(root, "run", "export") }));
    const again = await port(request({ source: destination, destination: join(root, "again") }));
    const sums = (files: typeof first.files) =>
      Object.fromEntries(
        files.filter(({ name }) => !name.startsWith("tokenizer")).map(({ name, sha256 }) => [name, sha256]),
      );
    expect(sums(again.files)).toEqual(sums(first.files));
  });
});

function expectClose(got: unknown, expected: unknown): void {
  if (!(got instanceof Float32Array && expected instanceof Float32Array)) throw new Error("no float32 logits");
  expect(got.length).toBe(expected.length);
  const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const worst = got.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index]!)), 0);
  expect(worst / scale).toBeLessThan(1e-5);
}

describe("refused in one line, with nothing left behind", () => {
  const refused = async (more: Partial<PortRequest>, why: RegExp): Promise<void> => {
    const before = readdirSync(root, { recursive: true }).sort();
    const error = await port(request(more)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BadInput);
    if (error instanceof BadInput) {
      expect(error.message).toMatch(why);
      expect(error.message).toMatch(/; /);
      expect(error.problems).toHaveLength(1);
    }
    expect(readdirSync(root, { recursive: true }).sort()).toEqual(before);
  };

  test("a source that is missing, a file, something else or corrupt", async () => {
    await refused({ source: join(root, "absent") }, /does not exist/);
    await refused({ source: join(source, "manifest.json") }, /is a file/);
    await refused({ source: root }, /holds neither/);
    mkdirSync(join(root, "empty", "checkpoints"), { recursive: true });
    await refused({ source: join(root, "empty") }, /no checkpoint verifies/);
    const file = join(source, "weights.safetensors");
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(file, bytes);
    await refused({}, /weights.safetensors: its SHA-256 differs/);
    await refused({ source: join(root, "run") }, /no checkpoint verifies \(step 7: weights.safetensors/);
  });

  test("an export with a tensor missing, of another shape, or a foreign configuration", async () => {
    await port(request());
    const rewrite = (change: (config: Record<string, unknown>) => void): void => {
      const config = readJson("config.json");
      change(config);
      writeFileSync(join(destination, "config.json"), JSON.stringify(config));
    };
    const next = { source: destination, destination: join(root, "next") };
    rewrite((config) => Object.assign(config, { num_hidden_layers: 3 }));
    await refused(next, /tensor .* is missing/);
    rewrite((config) => Object.assign(config, { num_hidden_layers: 2, hidden_size: 24 }));
    await refused(next, /the configuration needs/);
    rewrite((config) => Object.assign(config, { hidden_size: 48, model_type: "llama" }));
    await refused(next, /model_type/);
    writeFileSync(join(destination, "config.json"), "{");
    await refused(next, /cannot be read as JSON/);
  });

  test("a destination that is not empty, a file, the source, inside it, around it, or without a parent", async () => {
    mkdirSync(join(root, "full"));
    writeFileSync(join(root, "full", "x"), "");
    await refused({ destination: join(root, "full") }, /is not empty/);
    await refused({ destination: join(root, "full", "x") }, /is a file/);
    await refused({ destination: source }, /is not empty/);
    await refused({ destination: join(source, "export") }, /lies inside the source/);
    symlinkSync(source, join(root, "link"));
    await refused({ destination: join(root, "link", "export") }, /lies inside the source/);
    await refused({ destination: join(root, "absent", "export") }, /is no directory/);
    const run = { source: join(root, "run") };
    await refused({ ...run, destination: join(root, "run", "checkpoints", "export") }, /lies inside the source/);
  });

  test.skipIf(process.getuid?.() === 0)(
    "a destination that cannot be written (skipped as root, who may write anywhere)",
    async () => {
      mkdirSync(join(root, "locked"));
      chmodSync(join(root, "locked"), 0o555);
      await refused({ destination: join(root, "locked", "export") }, /cannot be written to/);
    },
  );

  test("an operator or number format that the platform does not have", async () => {
    await refused({ unsupportedOps: ["Softmax"] }, /port to ascend: EZ3003: .*Softmax.*; /);
    await refused({ precisions: ["fp16"] }, /port to ascend: EZ3002: .*bf16.*; choose another --to/);
    expect(existsSync(destination)).toBe(false);
  });

  test("an interrupt between two files", async () => {
    const controller = new AbortController();
    const interrupted = port(request({ signal: controller.signal, onProgress: () => controller.abort() }));
    await expect(interrupted).rejects.toThrow("aborted");
    expect(readdirSync(root).sort()).toEqual(["run"]);
  });
});
