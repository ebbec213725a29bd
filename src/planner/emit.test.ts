/** Holds every flag and setting that is emitted against the lists read from the frameworks' own sources. */
import { describe, expect, test } from "vitest";
import { requireAccelerator } from "../catalog/accelerators.ts";
import { calibration } from "../catalog/calibration.ts";
import frameworks from "../catalog/data/framework-flags.json" with { type: "json" };
import { requireModel } from "../catalog/models.ts";
import { constantsFrom } from "../cost/constants.ts";
import type { Layout } from "../spec/layout.ts";
import { emitTraining } from "./emit.ts";
import { evaluateTraining, prepareQuestion, type TrainingQuestion } from "./train.ts";

const flagsOf = (framework: string): Set<string> =>
  new Set(frameworks.find((known) => known.framework === framework)?.flags.split(" "));

function emitted(framework: string, model: string, chip: string, changes: Partial<Layout>, precision = "bf16"): string {
  const layout: Layout = {
    ...{ tp: 1, pp: 1, dp: 8, ep: 1, cp: 1, vpp: 1, zero: 1, microBatch: 1, recompute: "none", schedule: "1f1b" },
    ...changes,
  };
  const question: TrainingQuestion = {
    architecture: requireModel(model, "test").architecture(),
    accelerator: requireAccelerator(chip, "test"),
    devices: layout.tp * layout.pp * layout.dp * layout.cp,
    tokens: 1e12,
    seq: 4096,
    globalBatch: 1024,
    precision: precision === "fp8" ? "fp8" : precision === "fp4" ? "fp4" : "bf16",
    stack: chip.startsWith("ascend") ? "mindspeed" : "bridge",
    constants: constantsFrom(calibration.constants),
    deadlineDays: null,
    failuresPerNodeDay: 4e-3,
    dollarsPerDeviceHour: null,
    checkpointBytesPerSecondPerNode: 1e9,
    restartSeconds: 600,
    detectSeconds: 120,
    stepDeviation: 0.1,
  };
  return emitTraining(framework, question, evaluateTraining(prepareQuestion(question), layout));
}

/** Options given to pretrain_gpt.py. */
const options = (script: string): string[] =>
  [...script.slice(script.indexOf("pretrain_gpt.py")).matchAll(/(?<=\s)--([a-z][a-z0-9-]*)/g)].map((m) => m[1] ?? "");

const everything: Partial<Layout> = { tp: 2, pp: 4, dp: 8, cp: 2, vpp: 2, schedule: "interleaved", recompute: "full" };
const cases: readonly [string, string, string, Partial<Layout>, string][] = [
  ["megatron", "llama-3.1-405b", "h100-sxm", { tp: 8, pp: 7, vpp: 2, schedule: "interleaved" }, "fp8"],
  ["megatron", "llama-3.1-8b", "b200-sxm", { zero: 3 }, "fp8"],
  ["megatron", "llama-3.1-8b", "b200-sxm", {}, "fp4"],
  ["megatron", "qwen3-30b-a3b", "h100-sxm", { ...everything, ep: 4 }, "bf16"],
  ["megatron", "deepseek-v3", "h800-sxm", { pp: 16, dp: 64, ep: 64, recompute: "selective" }, "fp8"],
  ["megatron", "gpt-oss-20b", "h100-sxm", { ep: 8 }, "bf16"],
  ["megatron", "gpt3-175b", "a100-80-sxm", { tp: 8, pp: 8 }, "bf16"],
  ["mindspeed", "deepseek-v3", "ascend-910c", { pp: 16, dp: 64, ep: 64, recompute: "full" }, "bf16"],
  ["mindspeed", "qwen2.5-72b", "ascend-910b3", { ...everything, tp: 8 }, "bf16"],
  ["slurm", "qwen2.5-72b", "ascend-910b3", { tp: 8, pp: 4 }, "bf16"],
  ["slurm", "llama-3.1-70b", "h100-sxm", { tp: 8, pp: 4 }, "bf16"],
];

describe("every flag exists in the version that the script names", () => {
  test.each(cases)("%s, %s on %s", (framework, model, chip, layout, precision) => {
    const script = emitted(framework, model, chip, layout, precision);
    const dialect = framework !== "slurm" ? framework : chip.startsWith("ascend") ? "mindspeed" : "megatron";
    const used = options(script);
    expect(used.length).toBeGreaterThan(25);
    const known = flagsOf(dialect);
    expect(used.filter((flag) => !known.has(flag))).toEqual([]);
    expect(used.length, "each is given once").toBe(new Set(used).size);
  });

  test.each(["llama-3.1-8b", "deepseek-v3"])("torchtitan, %s", (model) => {
    const script = emitted("torchtitan", model, "h100-sxm", { ...everything, dp: 16, zero: 3 }, "fp8");
    const config = script.slice(script.indexOf("<<'TOML'\n") + 9, script.indexOf("\nTOML\n"));
    let table = "";
    const settings: string[] = [];
    for (const line of config.split("\n").filter((text) => text !== "" && !text.startsWith("#"))) {
      const heading = /^\[(.*)\]$/.exec(line);
      if (heading) table = heading[1] ?? "";
      else settings.push(`${table}.${line.split(" = ")[0]}`);
    }
    const known = flagsOf("torchtitan");
    expect(settings.length).toBeGreaterThan(20);
    expect(settings.filter((setting) => !known.has(setting))).toEqual([]);
  });
});

describe("what Megatron asserts on start", () => {
  test("layers that do not divide are laid out stage by stage, and add up", () => {
    const script = emitted("megatron", "deepseek-v3", "h800-sxm", { pp: 16, dp: 64, ep: 64 }, "fp8");
    const stages = /--pipeline-model-parallel-layout "([^"]*)"/.exec(script)?.[1]?.split("|") ?? [];
    expect(stages).toHaveLength(16);
    expect(stages[0]).toMatch(/^E,/);
    expect(stages[15]).toMatch(/,m,L$/);
    const layers = stages.map((stage) => Number(/t\*(\d+)/.exec(stage)?.[1]));
    expect(layers.reduce((a, b) => a + b, 0)).toBe(61);
    expect(Math.max(...layers)).toBe(4);
  });
  test("its FSDP wants its own checkpoint format and more than one connection", () => {
    const script = emitted("megatron", "llama-3.1-8b", "h100-sxm", { zero: 3 });
    expect(script).toContain("--ckpt-format fsdp_dtensor");
    expect(script).not.toContain("CUDA_DEVICE_MAX_CONNECTIONS");
  });
  test("its backend has no name but nccl and gloo, on Ascend too", () =>
    expect(emitted("mindspeed", "llama-3.1-8b", "ascend-910b3", {})).toContain("--distributed-backend nccl"));
  test("MindSpeed-LLM takes uneven stages as a list and dense layers as a number", () => {
    const script = emitted("mindspeed", "deepseek-v3", "ascend-910c", { pp: 16, dp: 64, ep: 64 });
    const list = /--num-layer-list ([\d,]+)/.exec(script)?.[1]?.split(",").map(Number) ?? [];
    expect(list.reduce((a, b) => a + b, 0)).toBe(61);
    expect(script).toContain("--first-k-dense-replace 3 --moe-layer-freq 1");
  });
});

test.each<[string, string, Partial<Layout>, RegExp]>([
  ["megatron", "llama-3.1-8b", { schedule: "zero-bubble", pp: 2 }, /has no zero-bubble/],
  ["megatron", "llama-3.1-8b", { zero: 3, pp: 2 }, /FSDP does not combine/],
  ["mindspeed", "llama-3.1-8b", { zero: 3 }, /no Megatron FSDP/],
  ["mindspeed", "deepseek-v3", { pp: 8, vpp: 2, schedule: "interleaved" }, /cannot interleave 61 layers/],
  ["torchtitan", "llama-3.1-8b", { schedule: "dualpipe", pp: 2 }, /torchtitan/],
])("%s cannot express this: %s %o", (framework, model, layout, expected) =>
  expect(() => emitted(framework, model, "h800-sxm", layout)).toThrow(expected),
);
