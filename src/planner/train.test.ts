/** The step adds up, and grows and shrinks with what it must. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { requireAccelerator } from "../catalog/accelerators.ts";
import { calibration } from "../catalog/calibration.ts";
import { requireModel } from "../catalog/models.ts";
import { allReduceSeconds, allToAllSeconds, groupOf } from "../cost/collectives.ts";
import { constantsFrom, guessedConstants } from "../cost/constants.ts";
import { trainingFlopsPerToken } from "../cost/flops.ts";
import { hardwareFor } from "../cost/hardware.ts";
import { completion, goodputClosedForm, normalBelow } from "../cost/reliability.ts";
import { bubbleUnits, stepSeconds } from "../cost/step.ts";
import type { Layout } from "../spec/layout.ts";
import { evaluateTraining, prepareQuestion, type TrainingQuestion } from "./train.ts";

function prepared(model: string, accelerator: string, changes: Partial<TrainingQuestion> = {}) {
  return prepareQuestion({
    architecture: requireModel(model, "test").architecture(),
    accelerator: requireAccelerator(accelerator, "test"),
    devices: 64,
    tokens: 1e12,
    seq: 4096,
    globalBatch: 1024,
    precision: "bf16",
    stack: "megatron-core",
    constants: guessedConstants,
    deadlineDays: null,
    failuresPerNodeDay: 4e-3,
    dollarsPerDeviceHour: null,
    checkpointBytesPerSecondPerNode: 1e9,
    restartSeconds: 600,
    detectSeconds: 120,
    stepDeviation: 0.1,
    ...changes,
  });
}

const layout: Layout = {
  tp: 4,
  pp: 2,
  dp: 8,
  ep: 1,
  cp: 1,
  vpp: 1,
  zero: 1,
  recompute: "none",
  microBatch: 1,
  schedule: "1f1b",
};

describe("step", () => {
  test("its parts add up to the total", () => {
    const { setup } = prepared("deepseek-v3", "h800-sxm");
    const { total, ...parts } = stepSeconds(setup, { ...layout, ep: 8 });
    expect(Object.values(parts).reduce((sum, part) => sum + part, 0)).toBeCloseTo(total, 9);
    for (const part of Object.values(parts)) expect(part).toBeGreaterThanOrEqual(0);
  });
  test("no layout computes faster than the peak, and a longer batch never takes less time", () =>
    fc.assert(
      fc.property(
        fc.constantFrom("llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "deepseek-v3"),
        fc.constantFrom("a100-80-sxm", "h100-sxm", "ascend-910b", "gb200"),
        fc.constantFrom(1, 2, 4, 8),
        fc.constantFrom(1, 2, 4, 8),
        fc.constantFrom(1, 2, 4),
        fc.integer({ min: 1, max: 64 }),
        (model, accelerator, tp, pp, microBatch, rounds) => {
          const dp = 4;
          const globalBatch = dp * microBatch * rounds;
          const { setup, flopsPerToken } = prepared(model, accelerator, { globalBatch });
          const one = { ...layout, tp, pp, dp, microBatch };
          const seconds = stepSeconds(setup, one).total;
          const flops = (globalBatch * 4096 * flopsPerToken) / seconds / (tp * pp * dp);
          expect(flops).toBeLessThan(setup.hardware.peakFlopsPerSecond);
          const more = prepared(model, accelerator, { globalBatch: 2 * globalBatch });
          expect(stepSeconds(more.setup, one).total).toBeGreaterThan(seconds);
        },
      ),
      { seed: 11, numRuns: 200 },
    ));
  test("full recompute costs a forward pass, about a third of the compute", () => {
    const { setup } = prepared("llama-3.1-70b", "h100-sxm");
    const parts = stepSeconds(setup, { ...layout, recompute: "full" });
    expect(parts.recompute / parts.compute).toBeGreaterThan(0.28);
    expect(parts.recompute / parts.compute).toBeLessThan(0.38);
  });
  test("bubbles: 1F1B p−1, interleaved ÷ v, zero-bubble a third, DualPipe (p/2−1)·⅔", () => {
    expect(bubbleUnits({ ...layout, pp: 8 })).toBe(7);
    expect(bubbleUnits({ ...layout, pp: 8, vpp: 7, schedule: "interleaved" })).toBe(1);
    expect(bubbleUnits({ ...layout, pp: 7, schedule: "zero-bubble" })).toBe(2);
    expect(bubbleUnits({ ...layout, pp: 8, schedule: "dualpipe" })).toBeCloseTo(2, 12);
  });
});

test("FLOPs per token by convention match published figures", () => {
  const gpt = requireModel("gpt3-175b", "test").architecture();
  // 72·L·h²·(1 + s/6h + V/12Lh), Narayanan et al. 2021 eq. 3 without recompute.
  const [L, h, s, V] = [96, 12288, 2048, 51200];
  const published = 72 * L * h * h * (1 + s / (6 * h) + V / (12 * L * h));
  expect(trainingFlopsPerToken(gpt, s, "model-full") / published).toBeCloseTo(1, 3);
  expect(trainingFlopsPerToken(gpt, s, "hardware-full-recompute") / published).toBeCloseTo(4 / 3, 3);
  // Megatron Bridge prints 2186 TFLOPS at 4864 tokens/s for Llama 3 70B at 8192: 449.4 GFLOP a token, causal.
  const llama = requireModel("llama-3-70b", "test").architecture();
  expect(trainingFlopsPerToken(llama, 8192, "model-causal") / 449.4e9).toBeCloseTo(1, 2);
});

describe("collectives", () => {
  const hardware = hardwareFor(requireAccelerator("h100-sxm", "test"), "bf16");
  if (!hardware) throw new Error("no bf16");
  test("one rank costs nothing, and across nodes costs more than inside", () => {
    expect(allReduceSeconds(hardware, guessedConstants, { size: 1, perDomain: 1 }, 1e9)).toBe(0);
    const inside = allReduceSeconds(hardware, guessedConstants, groupOf(hardware, 8, 1), 1e9);
    const across = allReduceSeconds(hardware, guessedConstants, groupOf(hardware, 16, 8), 1e9);
    expect(across).toBeGreaterThan(inside);
  });
  test("8 H200 reach 368 GB/s bus bandwidth at 16 GiB, within a quarter", () => {
    const bytes = 2 ** 34;
    const seconds = allReduceSeconds(hardware, guessedConstants, { size: 8, perDomain: 8 }, bytes);
    const bus = (2 * (7 / 8) * bytes) / seconds;
    expect(Math.abs(bus / 368e9 - 1)).toBeLessThan(0.25);
  });
  test("node-limited routing sends less", () => {
    const group = { size: 64, perDomain: 8 };
    const all = allToAllSeconds(hardware, guessedConstants, group, 1e8, 1);
    expect(allToAllSeconds(hardware, guessedConstants, group, 1e8, 0.5)).toBeLessThan(all);
  });
});

describe("failures in closed form", () => {
  test("the interval √(2C/λ) is the best one", () => {
    const costs = { failuresPerSecond: 1e-5, checkpointSeconds: 60, detectSeconds: 60, restartSeconds: 600 };
    const { goodput, checkpointIntervalSeconds: best } = goodputClosedForm(costs);
    const at = (interval: number) => 1 / (1 + 60 / interval + 1e-5 * (interval / 2 + 660));
    expect(goodput).toBeCloseTo(at(best), 12);
    expect(at(best * 1.3)).toBeLessThan(goodput);
    expect(at(best / 1.3)).toBeLessThan(goodput);
  });
  test("Llama 3's 54 days: about 419 failures and over 90 % goodput on 16,384 H100 (arXiv:2407.21783 §3.3.4)", () => {
    const failuresPerSecond = (2048 * 3.8e-3) / 86400;
    // 5.7 TB of states to a file system of 2 TB/s (§3.3.1); restarts were automated.
    const costs = { failuresPerSecond, checkpointSeconds: 3, detectSeconds: 120, restartSeconds: 600 };
    const { goodput } = goodputClosedForm(costs);
    expect(goodput).toBeGreaterThan(0.9);
    const done = completion(54 * 86400 * goodput, costs, {
      stepDeviation: 0.05,
      rateDeviation: 0.5,
      deadlineSeconds: 60 * 86400,
    });
    expect(done.failuresExpected).toBeGreaterThan(380);
    expect(done.failuresExpected).toBeLessThan(460);
    expect(done.days.p10).toBeLessThan(done.days.p50);
    expect(done.days.p50).toBeLessThan(done.days.p90);
    expect(done.probabilityByDeadline).toBeGreaterThan(0.8);
  });
  test("no failures: no checkpoints, goodput 1", () => {
    expect(
      goodputClosedForm({ failuresPerSecond: 0, checkpointSeconds: 1, detectSeconds: 1, restartSeconds: 1 }),
    ).toEqual({
      goodput: 1,
      checkpointIntervalSeconds: Number.POSITIVE_INFINITY,
    });
  });
  test("the normal distribution's table values", () => {
    expect(normalBelow(0)).toBeCloseTo(0.5, 6);
    expect(normalBelow(1.96)).toBeCloseTo(0.9750021, 6);
    expect(normalBelow(-1.2815515655)).toBeCloseTo(0.1, 6);
  });
});

describe("DeepSeek's own software", () => {
  const own = {
    tp: 1,
    pp: 16,
    dp: 128,
    ep: 64,
    cp: 1,
    vpp: 1,
    zero: 1,
    recompute: "selective",
    microBatch: 1,
  } as const;
  const dualPipe: Layout = { ...own, schedule: "dualpipe" };
  const asked: Partial<TrainingQuestion> = {
    ...{ devices: 2048, tokens: 14.8e12, globalBatch: 15360 },
    precision: "fp8",
    constants: constantsFrom(calibration.constants),
  };
  const deepSeek = prepared("deepseek-v3", "h800-sxm", { ...asked, stack: "deepseek" });
  const bridge = prepared("deepseek-v3", "h800-sxm", { ...asked, stack: "bridge" });

  test("the layout of its report fits with its moments and cached formats, and not without them", () => {
    expect(evaluateTraining(deepSeek, dualPipe).memoryBytesPerDevice).toBeLessThan(80 * 2 ** 30);
    expect(evaluateTraining(bridge, dualPipe).memoryBytesPerDevice).toBeGreaterThan(80 * 2 ** 30);
  });
  test("DualPipe hides its all-to-all, a plain pipeline does not", () => {
    expect(evaluateTraining(deepSeek, dualPipe).parts.expertCommunication).toBe(0);
    expect(evaluateTraining(deepSeek, { ...own, schedule: "1f1b" }).parts.expertCommunication).toBeGreaterThan(0);
  });
  test("a run that no constant was fitted to is predicted within 30 % of its 2.664 million device-hours", () => {
    const { deviceHours } = evaluateTraining(deepSeek, dualPipe);
    expect(Math.abs(deviceHours / 2.664e6 - 1)).toBeLessThan(0.3);
  });
  test("moments in bf16 take a third off the optimizer's bytes", () => {
    const [half, full] = [deepSeek, bridge].map((p) => evaluateTraining(p, dualPipe).memoryParts.optimizer);
    expect((half ?? 0) / (full ?? 1)).toBeCloseTo(8 / 12, 12);
  });
});
