/** Two forms of one model are within tolerance, the same form is the same to the bit, and every known-bad change is found. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { publishExampleModel } from "../../test/example-model.ts";
import { fromBfloat16, toBfloat16 } from "../checkpoint/bfloat16.ts";
import { openSafetensors } from "../checkpoint/safetensors-file.ts";
import { BadInput } from "../spec/bad-input.ts";
import { compare } from "./compare.ts";
import { port } from "./port.ts";

let root: string;
let checkpoint: string;
let exported: string;
let prompts: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  checkpoint = publishExampleModel(join(root, "checkpoints"));
  exported = join(root, "export");
  await port({ source: checkpoint, destination: exported, format: "bf16", platform: "ascend" });
  prompts = join(root, "prompts.txt");
  writeFileSync(prompts, "Call me Ishmael.\n\nSome years ago\nThe whale, 鯨\n");
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const compareWith = (b: string, a = checkpoint) => compare({ a, b, prompts, answerTokens: 12 });

describe("one model", () => {
  test("is the same as itself, and as its float32 export, to the bit", async () => {
    const fp32 = join(root, "fp32");
    await port({ source: checkpoint, destination: fp32, format: "fp32", platform: "nvidia" });
    for (const other of [checkpoint, fp32]) {
      const report = await compareWith(other);
      expect(report).toMatchObject({
        verdict: "same",
        reasons: [],
        topOneAgreement: 1,
        meanKl: 0,
        largestLogitDifference: { value: 0 },
        repeatable: { a: true, b: true },
        weights: { rounded: 0, different: [] },
      });
      expect(report.a.weightsSha256).toBe(report.b.weightsSha256);
      expect(report.prompts.map(({ promptTokens }) => promptTokens)).toEqual([17, 15, 15]);
      expect(report.positions).toBe(17 + 15 + 15 + 3 * 12);
    }
  });

  test("in bfloat16 is within tolerance, and not the same", async () => {
    const report = await compareWith(exported);
    expect(report.checks.filter(({ passed }) => !passed)).toEqual([]);
    expect(report.verdict).toBe("within tolerance");
    expect(report.weights).toMatchObject({ different: [] });
    expect(report.weights?.rounded).toBeGreaterThan(report.weights?.equal ?? 0);
    expect(report.meanKl).toBeGreaterThan(0);
    expect(report.largestLogitDifference.value).toBeGreaterThan(0);
  });

  test("from another seed is different", async () => {
    const report = await compareWith(publishExampleModel(join(root, "other"), { seed: 2 }));
    expect(report.verdict).toBe("different");
    expect(report.prompts.every(({ greedyDivergence }) => greedyDivergence?.nearTie === false)).toBe(true);
  });
});

type Change = (values: Float32Array, shape: readonly number[]) => void;

/** Changes one tensor of a copy of the export, in place in its file. */
function mutate(name: string, change: Change): string {
  const folder = mkdtempSync(join(root, "mutated-"));
  for (const file of ["config.json", "tokenizer.json", "tokenizer_config.json"]) {
    writeFileSync(join(folder, file), readFileSync(join(exported, file)));
  }
  const file = readFileSync(join(exported, "model.safetensors"));
  const opened = openSafetensors(join(exported, "model.safetensors"));
  const entry = opened.tensors.get(name)!;
  const { bytes } = opened.read(name);
  opened.close();
  const isBfloat16 = entry.dtype === "BF16";
  const values = isBfloat16 ? fromBfloat16(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
  change(values, entry.shape);
  file.set(new Uint8Array((isBfloat16 ? toBfloat16(values) : values).buffer), opened.start + entry.begin);
  writeFileSync(join(folder, "model.safetensors"), file);
  return folder;
}

const scale =
  (factor: number): Change =>
  (values) =>
    values.forEach((value, index) => {
      values[index] = value * factor;
    });

/** Rows of each head's rotary part from interleaved pairs to halves: the convention of other model families. */
const splitRotary =
  (headRows: number, rotaryRows: number): Change =>
  (values, [rows = 0, columns = 0]) => {
    const before = values.slice();
    for (let head = 0; head < rows; head += headRows) {
      const first = head + headRows - rotaryRows;
      for (let row = 0; row < rotaryRows; row++) {
        const from = first + (row % (rotaryRows / 2)) * 2 + Math.floor(row / (rotaryRows / 2));
        values.set(before.subarray(from * columns, (from + 1) * columns), (first + row) * columns);
      }
    }
  };

describe("a changed export is different, and the tensor is named", () => {
  const layer = "model.layers.1";
  test.each<[string, string, Change]>([
    ["a weight scaled by 1.05", `${layer}.self_attn.o_proj.weight`, scale(1.05)],
    ["a norm scaled by 0.9", "model.norm.weight", scale(0.9)],
    ["rotary order of the queries", `${layer}.self_attn.q_b_proj.weight`, splitRotary(16, 8)],
    ["rotary order of the key", `${layer}.self_attn.kv_a_proj_with_mqa.weight`, splitRotary(24, 8)],
    [
      "a routing bias that sends all to one group",
      `${layer}.mlp.gate.e_score_correction_bias`,
      (bias) => bias.set([9, 9]),
    ],
    ["a block of rows off by one", "lm_head.weight", (values) => values.copyWithin(0, 48, 48 * 129)],
    [
      "one value that is not a number",
      `${layer}.self_attn.kv_b_proj.weight`,
      (values) => values.fill(Number.NaN, 5, 6),
    ],
    ["a tensor that no answer uses", "model.layers.2.eh_proj.weight", scale(1.05)],
  ])("%s", async (_, tensor, change) => {
    const report = await compareWith(mutate(tensor, change));
    expect(report.verdict).toBe("different");
    expect(report.weights?.different.map((one) => one.tensor)).toEqual([tensor]);
    expect(report.reasons.join("\n")).toContain(tensor);
  });

  test("the answers alone give away every change that reaches them", async () => {
    const changes: [string, Change][] = [
      [`${layer}.self_attn.o_proj.weight`, scale(1.2)],
      ["model.norm.weight", scale(0.9)],
      [`${layer}.self_attn.q_b_proj.weight`, splitRotary(16, 8)],
      ["lm_head.weight", (values) => values.copyWithin(0, 48, 48 * 129)],
    ];
    for (const [tensor, change] of changes) {
      const { checks } = await compareWith(mutate(tensor, change));
      const failed = checks.filter(({ passed }) => !passed).map(({ name }) => name);
      expect(
        failed.filter((name) => name !== "weights beyond rounding"),
        tensor,
      ).not.toEqual([]);
    }
  });

  test("another rotary base in the configuration", async () => {
    const folder = mutate("model.norm.weight", () => undefined);
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, rope_theta: 1_000_000 }));
    const report = await compareWith(folder);
    expect(report.verdict).toBe("different");
    expect(report.configurationDifferences).toEqual(["configuration: rope_theta is 10000 and 1000000"]);
    expect(report.weights?.different).toEqual([]);
  });
});

describe("refused in one line", () => {
  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      "no prompts file",
      () => compare({ a: checkpoint, b: exported, prompts: "absent", answerTokens: 4 }),
      /cannot be read/,
    ],
    [
      "an empty prompts file",
      () => {
        writeFileSync(join(root, "empty.txt"), "\n \n");
        return compare({ a: checkpoint, b: exported, prompts: join(root, "empty.txt"), answerTokens: 4 });
      },
      /holds no prompt/,
    ],
    ["a side that is missing", () => compareWith(join(root, "absent")), /does not exist/],
  ])("%s", async (_, run, why) => {
    const error = await run().catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BadInput);
    if (error instanceof BadInput) expect(error.message).toMatch(why);
  });
});
