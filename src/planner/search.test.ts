/** Layout rules and search: what is legal, what is counted, what wins. */
import { describe, expect, test } from "vitest";
import { requireAccelerator } from "../catalog/accelerators.ts";
import { calibration } from "../catalog/calibration.ts";
import { requireModel } from "../catalog/models.ts";
import { constantsFrom } from "../cost/constants.ts";
import { BadInput } from "../spec/bad-input.ts";
import { type Layout, layoutText, parseLayout } from "../spec/layout.ts";
import { diffPlans } from "./diff.ts";
import { emitTraining } from "./emit.ts";
import { answerLine, whyLost } from "./explain.ts";
import { brokenRule, type LayoutFrame } from "./layout-rules.ts";
import { frameFor, searchLayouts } from "./search.ts";
import { evaluateTraining, memoryShare, prepareQuestion, type TrainingQuestion } from "./train.ts";

function question(model: string, accelerator: string, changes: Partial<TrainingQuestion> = {}): TrainingQuestion {
  return {
    architecture: requireModel(model, "test").architecture(),
    accelerator: requireAccelerator(accelerator, "test"),
    devices: 64,
    tokens: 1e12,
    seq: 4096,
    globalBatch: 1024,
    precision: "bf16",
    stack: "bridge",
    constants: constantsFrom(calibration.constants),
    deadlineDays: null,
    failuresPerNodeDay: 4e-3,
    dollarsPerDeviceHour: 2,
    checkpointBytesPerSecondPerNode: 1e9,
    restartSeconds: 600,
    detectSeconds: 120,
    stepDeviation: 0.1,
    ...changes,
  };
}

const layout: Layout = {
  tp: 8,
  pp: 8,
  dp: 1,
  ep: 1,
  cp: 1,
  vpp: 1,
  zero: 1,
  recompute: "none",
  microBatch: 1,
  schedule: "1f1b",
};
const frame: LayoutFrame = {
  architecture: question("llama-3.1-70b", "h100-sxm").architecture,
  devices: 64,
  globalBatch: 1024,
  seq: 4096,
  nodeDevices: 8,
};

describe("rules", () => {
  test.each<[string, Partial<Layout>, RegExp | null]>([
    ["a plain layout", {}, null],
    ["too few degrees", { tp: 4 }, /not 64 devices/],
    ["heads that do not divide", { tp: 3, pp: 1, dp: 1 }, /devices|heads/],
    ["more stages than layers", { tp: 1, pp: 64, vpp: 2, schedule: "interleaved" }, /layers/],
    ["interleaving without its schedule", { vpp: 2 }, /interleaved/],
    [
      "DualPipe without enough micro-batches",
      { tp: 1, pp: 2, dp: 32, microBatch: 16, schedule: "dualpipe" },
      /DualPipe/,
    ],
    ["experts where there are none", { ep: 2 }, /no experts/],
    ["a batch that does not divide", { microBatch: 3 }, /batch/],
    ["ZeRO-3 with a pipeline", { zero: 3 }, /ZeRO/],
  ])("%s", (_, changes, pattern) => {
    const rule = brokenRule(frame, { ...layout, ...changes });
    if (pattern) expect(rule?.sentence).toMatch(pattern);
    else expect(rule).toBeNull();
  });
});

describe("search", () => {
  const prepared = prepareQuestion(question("llama-3.1-70b", "h100-sxm"));
  const result = searchLayouts(prepared, { fixed: {}, schedules: ["1f1b", "interleaved"], keep: 4 });
  test("the best fits, obeys the rules and beats the alternatives", () => {
    const { best } = result;
    if (!best) return expect.unreachable();
    expect(best.memoryBytesPerDevice).toBeLessThanOrEqual(prepared.setup.hardware.memoryBytes * memoryShare);
    for (const other of [best, ...result.alternatives, ...result.pareto]) {
      expect(brokenRule(frameFor(prepared, other.layout), other.layout)).toBeNull();
      expect(other.fits).toBe(true);
      expect(other.stepSeconds).toBeGreaterThanOrEqual(best.stepSeconds);
    }
    expect(result.alternatives).toHaveLength(4);
    expect(result.alternatives.map((other) => whyLost(best, other)).every((line) => /slower|as fast/.test(line))).toBe(
      true,
    );
  });
  test("no member of the front is beaten in time, memory and devices at once", () => {
    const devices = ({ tp, pp, dp, cp }: Layout) => tp * pp * dp * cp;
    for (const a of result.pareto)
      for (const b of result.pareto)
        if (a !== b)
          expect(
            b.stepSeconds <= a.stepSeconds &&
              b.memoryBytesPerDevice <= a.memoryBytesPerDevice &&
              devices(b.layout) <= devices(a.layout),
          ).toBe(false);
  });
  test("refusals are counted by reason, memory among them", () => {
    expect(Object.keys(result.rejected).some((reason) => reason.startsWith("does not fit"))).toBe(true);
    expect(Object.keys(result.rejected).some((reason) => reason.startsWith("does not divide"))).toBe(true);
  });
  test("what cannot fit says by how much the nearest misses", () => {
    const small = prepareQuestion(question("llama-3.1-405b", "rtx-4090", { devices: 8 }));
    const none = searchLayouts(small, { fixed: {}, schedules: ["1f1b"], keep: 1 });
    expect(none.best).toBeNull();
    expect(none.nearest?.bytesOver).toBeGreaterThan(0);
  });
  test("more failures lose time and deadline alike", () => {
    const calm = evaluateTraining(
      prepareQuestion(question("llama-3.1-70b", "h100-sxm", { deadlineDays: 300 })),
      layout,
    );
    const rough = evaluateTraining(
      prepareQuestion(question("llama-3.1-70b", "h100-sxm", { deadlineDays: 300, failuresPerNodeDay: 1 })),
      layout,
    );
    expect(rough.goodput).toBeLessThan(calm.goodput);
    expect(rough.days.p50).toBeGreaterThan(calm.days.p50);
    expect(rough.probabilityByDeadline ?? 1).toBeLessThanOrEqual(calm.probabilityByDeadline ?? 0);
    expect(answerLine(calm, 300)).toMatch(/^finishes in .* days with 80 % probability; .* chance to meet the deadline/);
  });
});

test("FP8 on a chip without it is refused with what it has", () => {
  expect(() => prepareQuestion(question("llama-3.1-8b", "ascend-910b", { precision: "fp8" }))).toThrow(
    /no published fp8 peak; use one of bf16/,
  );
});

describe("layout text", () => {
  test("reads back what it writes", () => {
    expect(parseLayout(layoutText(layout))).toEqual({
      ...layout,
      schedule: undefined,
      ...parseLayout(layoutText(layout)),
    });
  });
  test.each(["tp", "tp=0", "tp=8,tp=4", "tpp=8", "tp=8.5", "zero=4", "recompute=some", "tp=1e99", "tp=NaN"])(
    "%s is refused",
    (text) => {
      expect(() => parseLayout(text)).toThrow(BadInput);
    },
  );
});

describe("emitted command lines", () => {
  const asked = question("deepseek-v3", "h800-sxm", { devices: 2048, globalBatch: 15360, precision: "fp8" });
  const estimate = evaluateTraining(prepareQuestion(asked), { ...layout, tp: 1, pp: 16, dp: 128, ep: 64 });
  test.each(["megatron", "mindspeed", "slurm"])("%s carries the degrees and the shape", (framework) => {
    const script = emitTraining(
      framework,
      framework === "mindspeed" ? { ...asked, precision: "bf16" } : asked,
      estimate,
    );
    for (const flag of [
      "--pipeline-model-parallel-size 16",
      "--expert-model-parallel-size 64",
      "--num-experts 256",
      "--kv-lora-rank 512",
      "--global-batch-size 15360",
      "--num-layers 61",
    ])
      expect(script).toContain(flag);
    expect(script).toMatch(/nodes?[ =]256/);
  });
  test("torchtitan gets a configuration file", () => {
    expect(emitTraining("torchtitan", asked, estimate)).toMatch(
      /pipeline_parallel_degree = 16[\s\S]*expert_parallel_degree = 64/,
    );
  });
  test("an unknown framework is refused", () =>
    expect(() => emitTraining("megatorn", asked, estimate)).toThrow(/did you mean megatron/));
});

test("a plan differs from another in what differs", () => {
  const differences = diffPlans(
    { best: { stepSeconds: 2, layout: { tp: 1 } }, seconds: 1 },
    { best: { stepSeconds: 3, layout: { tp: 1 } }, seconds: 9 },
  );
  expect(differences).toEqual([{ path: "best.stepSeconds", before: 2, after: 3, change: 0.5 }]);
});
