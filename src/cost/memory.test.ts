/** Parameter, gradient and optimizer bytes against hand counts, and activations against the published formula. */
import { describe, expect, test } from "vitest";
import { requireAccelerator } from "../catalog/accelerators.ts";
import { requireModel } from "../catalog/models.ts";
import type { Layout } from "../spec/layout.ts";
import { guessedConstants } from "./constants.ts";
import { hardwareFor } from "./hardware.ts";
import { layerActivationBytes, microBatchesInFlight, stageMemory } from "./memory.ts";
import { modelShape, type StepSetup } from "./setup.ts";

function setupOf(model: string, accelerator: string, changes: Partial<StepSetup> = {}): StepSetup {
  const hardware = hardwareFor(requireAccelerator(accelerator, "test"), "bf16");
  if (!hardware) throw new Error("no bf16");
  return {
    shape: modelShape(requireModel(model, "test").architecture(), 2048),
    hardware,
    constants: guessedConstants,
    stack: "megatron-core",
    seq: 2048,
    globalBatch: 64,
    fusedAttention: true,
    attentionAge: 0,
    sequenceParallel: true,
    tensorOverlap: true,
    forcedBalance: true,
    staticRouting: false,
    capacityFactor: 1,
    adaptersOnly: false,
    rowwiseScaling: false,
    blockScaled: false,
    releaseYears: 0,
    fusedElementwise: true,
    offloadedOptimizer: false,
    optimizerBytes: 12,
    ...changes,
  };
}

const plain: Layout = {
  tp: 1,
  pp: 1,
  dp: 8,
  ep: 1,
  cp: 1,
  vpp: 1,
  zero: 0,
  recompute: "none",
  microBatch: 1,
  schedule: "1f1b",
};

describe("states by hand", () => {
  // Llama 3.1 8B: 8,030,261,248 parameters; embedding and head 128,256 × 4,096 = 525,336,576 each.
  test("one device, ZeRO-1 over 8: 2 + 4 + 12/8 bytes per parameter", () => {
    const memory = stageMemory(setupOf("llama-3.1-8b", "h100-sxm"), { ...plain, zero: 1 }, 0);
    expect(memory.weights).toBe(16_060_522_496);
    expect(memory.gradients).toBe(32_121_044_992);
    expect(memory.optimizer).toBe(12_045_391_872);
  });
  test("tp 2, pp 2, first stage: half the layers and the embedding, halved", () => {
    const memory = stageMemory(setupOf("llama-3.1-8b", "h100-sxm"), { ...plain, tp: 2, pp: 2, dp: 2 }, 0);
    // Body 8,030,261,248 − 2 × 525,336,576 = 6,979,588,096; half of it and one table, over tp 2: 2,007,565,312.
    expect(memory.weights).toBe(2 * 2_007_565_312);
    expect(memory.gradients).toBe(4 * 2_007_565_312);
    expect(memory.optimizer).toBe(12 * 2_007_565_312);
  });
  test("mixture, ep 8 of 8 experts, ZeRO-3: experts have no replicas to shard over, the rest has 8", () => {
    const memory = stageMemory(setupOf("mixtral-8x7b", "h100-sxm"), { ...plain, ep: 8, zero: 3 }, 0);
    // Routed 32 × 8 × 3 × 4,096 × 14,336 = 45,097,156,608; an eighth each. The rest 46,702,792,704 − that = 1,605,636,096.
    expect(memory.weights).toBe((2 * 45_097_156_608) / 8 + (2 * 1_605_636_096) / 8);
    expect(memory.optimizer).toBe((12 * 45_097_156_608) / 8 + (12 * 1_605_636_096) / 8);
  });
});

describe("activations", () => {
  test("GPT-3 keeps s·b·h·34/t per layer with selective recompute and sequence parallelism (arXiv:2205.05198 eq. 6)", () => {
    const setup = setupOf("gpt3-175b", "a100-80-sxm", { fusedAttention: false });
    const bytes = layerActivationBytes(setup, { ...plain, tp: 8, recompute: "selective" });
    const published = (2048 * 12288 * 34) / 8;
    expect(Math.abs(bytes / published - 1)).toBeLessThan(0.12);
  });
  test("scores add 5·a·s/h without recompute", () => {
    const setup = setupOf("gpt3-175b", "a100-80-sxm", { fusedAttention: false });
    const with0 = layerActivationBytes(setup, { ...plain, tp: 8 });
    const without = layerActivationBytes(setup, { ...plain, tp: 8, recompute: "selective" });
    expect(with0 - without).toBeCloseTo((5 * 96 * 2048 * 2048) / 8, 0);
  });
  test("in flight: 1F1B p − stage, interleaved 1 + (p−1)/(p·v) as many, DualPipe p + 1", () => {
    const deep: Layout = { ...plain, pp: 8 };
    expect(microBatchesInFlight(deep, 64, 0)).toBe(8);
    expect(microBatchesInFlight(deep, 64, 7)).toBe(1);
    expect(microBatchesInFlight(deep, 3, 0)).toBe(3);
    expect(microBatchesInFlight({ ...deep, vpp: 2, schedule: "interleaved" }, 64, 0)).toBeCloseTo(8 * (1 + 7 / 16), 9);
    expect(microBatchesInFlight({ ...deep, schedule: "dualpipe" }, 64, 0)).toBe(9);
  });
});
