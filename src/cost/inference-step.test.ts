import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findModel } from "../catalog/models.ts";
import { weightFormat, weightFormatNames } from "./inference-formats.ts";
import { cacheTokens, weightBytesPerDevice } from "./inference-memory.ts";
import { attendedTokens, causalPairs, expertsHit, servingShape } from "./inference-shape.ts";
import { type ServingSplit, type StepLoad, type StepRates, stepSeconds } from "./inference-step.ts";

const shapeOf = (id: string) => servingShape(findModel(id)!.architecture());
const llama = shapeOf("llama-3.1-8b");
const deepseek = shapeOf("deepseek-v3");

const plain: StepRates = {
  denseFlopsPerSecond: 1e12,
  expertFlopsPerSecond: 1e12,
  attentionFlopsPerSecond: 1e12,
  latentFlopsPerSecond: 1e12,
  headFlopsPerSecond: 1e12,
  weightBytesPerSecond: 1e12,
  cacheBytesPerSecond: 1e12,
  vectorBytesPerSecond: 1e12,
  vectorPasses: 0,
  denseBytesPerWeight: 2,
  attentionBytesPerWeight: 2,
  projectionFlopsPerSecond: 1e12,
  expertBytesPerWeight: 2,
  cacheBytesPerValue: 2,
  padTokens: 0,
  expertPadTokens: 0,
  expertIndependence: 1,
  expertImbalance: 1,
  expertImbalanceWide: 1,
  linkBytesPerSecond: 1e11,
  linkLatencySeconds: 1e-5,
  networkBytesPerSecond: 1e10,
  networkLatencySeconds: 5e-5,
  domain: 8,
  exposedShare: 1,
  hiddenCompute: 0,
  layerSeconds: 0,
  eagerLayerSeconds: 0,
  graphContextMax: Infinity,
  mixtureLaunches: 0,
  indexerLaunches: 0,
  indexerPasses: 0,
  stepSeconds: 0,
  sequenceSeconds: 0,
  promptTokenSeconds: 0,
  requestSeconds: 0,
  sharpness: 1e12,
};
const one: ServingSplit = { devices: 1, attentionTp: 1, expertParallel: false, pipeline: 1 };
const decode = (sequences: number, meanContext: number): StepLoad => ({
  promptTokens: 0,
  promptPairs: 0,
  prompts: 0,
  sequences,
  meanContext,
  tokensPerSequence: 1,
});

describe("the shape of a served model", () => {
  test("Llama 3.1 8B by hand: layers × (2·4096·4096 + 2·4096·1024 + 3·4096·14336) weights, 65,536 cached values", () => {
    expect(llama.denseParameters).toBe(32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336));
    expect(llama.cachedValues).toBe(32 * 2 * 8 * 128);
    expect(llama.decodeFlopsPerPair).toBe(32 * 4 * 32 * 128);
  });
  test("DeepSeek V3 caches 70,272 bytes a token in bf16 and scores in the absorbed form", () => {
    expect(2 * deepseek.cachedValues).toBe(70272);
    expect(deepseek.decodeFlopsPerPair).toBe(61 * 2 * 128 * (512 + 64 + 512));
  });
  test("experts hit: one token hits its top-k, many tokens hit all, and never more", () => {
    expect(expertsHit(deepseek, 1)).toBeCloseTo(8, 6);
    expect(expertsHit(deepseek, 1e5)).toBeCloseTo(256, 3);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e6 }), (tokens) => {
        const hit = expertsHit(deepseek, tokens);
        expect(hit).toBeLessThanOrEqual(Math.min(256, 8 * tokens) + 1e-9);
        expect(hit).toBeGreaterThan(0);
      }),
      { seed: 7 },
    );
  });
  test("pairs read in chunks add up to pairs read at once, with and without a window", () => {
    const windowed = { ...llama, windowShare: 0.5, window: 128 };
    fc.assert(
      fc.property(fc.nat(5000), fc.nat(5000), (a, b) => {
        for (const shape of [llama, windowed]) {
          const whole = causalPairs(shape, 0, a + b);
          expect(causalPairs(shape, 0, a) + causalPairs(shape, a, a + b)).toBeCloseTo(whole, 3);
          expect(whole).toBeLessThanOrEqual(((a + b) * (a + b)) / 2 + 1e-6);
        }
        expect(attendedTokens(windowed, a)).toBeLessThanOrEqual(a);
      }),
      { seed: 8 },
    );
  });
});

describe("seconds of a step", () => {
  test("one decoding sequence on an ideal chip takes the time to read weights and cache", () => {
    const fast = { ...plain, attentionFlopsPerSecond: 1e18 };
    const { dense, attention, communication } = stepSeconds(llama, one, fast, decode(1, 1000));
    expect(dense).toBeCloseTo((2 * (llama.denseParameters + llama.headParameters)) / 1e12, 9);
    expect(attention).toBeCloseTo((1000 * llama.cachedValues * 2) / 1e12, 9);
    expect(communication).toBe(0);
  });
  test("a long prompt takes the time to multiply", () => {
    const load = {
      promptTokens: 8192,
      promptPairs: causalPairs(llama, 0, 8192),
      prompts: 1,
      sequences: 0,
      meanContext: 0,
      tokensPerSequence: 1,
    };
    const { dense, attention } = stepSeconds(llama, one, plain, load);
    expect(dense).toBeGreaterThan((2 * llama.denseParameters * 8192) / 1e12);
    expect(attention).toBeCloseTo(((8192 * 8192) / 2) * llama.prefillFlopsPerPair * 1e-12, 6);
  });
  test("tensor parallelism divides the work and adds two all-reduces a layer", () => {
    const split = { ...one, devices: 4, attentionTp: 4 };
    const alone = stepSeconds(llama, one, plain, decode(64, 500));
    const four = stepSeconds(llama, split, plain, decode(64, 500));
    expect(four.dense).toBeCloseTo(alone.dense / 4, 9);
    expect(four.attention).toBeCloseTo(alone.attention / 4, 9);
    const payload = 64 * 4096 * 2;
    expect(four.communication).toBeCloseTo(64 * (1e-5 * 2 + (1.5 * payload) / 1e11), 9);
  });
  test("a latent cache is not divided by tensor parallelism, but by data-parallel attention", () => {
    const tp = { devices: 8, attentionTp: 8, expertParallel: false, pipeline: 1 };
    const dp = { devices: 8, attentionTp: 1, expertParallel: true, pipeline: 1 };
    const cheap = { ...plain, attentionFlopsPerSecond: 1e18, latentFlopsPerSecond: 1e18 };
    const a = stepSeconds(deepseek, tp, cheap, decode(64, 4000)).attention;
    const b = stepSeconds(deepseek, dp, cheap, decode(64, 4000)).attention;
    expect(a / b).toBeCloseTo(8, 6);
  });
  test("a prompt that one of eight attention ranks reads takes eight times as long as one that all share", () => {
    const dp = { devices: 8, attentionTp: 1, expertParallel: true, pipeline: 1 };
    const read = { ...decode(0, 0), promptTokens: 4096, promptPairs: causalPairs(deepseek, 0, 4096), prompts: 1 };
    const shared = stepSeconds(deepseek, dp, plain, read);
    const alone = stepSeconds(deepseek, dp, plain, { ...read, promptSkew: 8 });
    expect(alone.attention / shared.attention).toBeCloseTo(8, 9);
    expect(alone.experts).toBe(shared.experts);
  });
  test("sparse attention computes as many slots for a short context as for a long one, and indexes more for the long one", () => {
    const sparse = shapeOf("deepseek-v3.2");
    expect(attendedTokens(sparse, 100_000)).toBe(2048);
    const rates = { ...plain, latentFlopsPerSecond: 1e9, projectionFlopsPerSecond: 1e30, cacheBytesPerSecond: 1e30 };
    const at = (context: number, slow = rates): number => stepSeconds(sparse, one, slow, decode(1, context)).attention;
    expect(at(100)).toBeCloseTo((2048 * sparse.decodeFlopsPerPair) / 1e9, 3);
    expect(at(100_000)).toBeCloseTo(at(100), 3);
    const indexed = { ...rates, latentFlopsPerSecond: 1e30, projectionFlopsPerSecond: 1e9 };
    expect(at(100_000, indexed)).toBeCloseTo((100_000 * 61 * 2 * 64 * 128) / 1e9, 3);
  });
  test("experts sliced below a tile are computed in whole tiles", () => {
    const glm = { ...deepseek, expertParameters: 3 * deepseek.hidden * 1536 };
    const split = { devices: 8, attentionTp: 8, expertParallel: false, pipeline: 1 };
    const whole = { ...glm, expertParameters: 3 * deepseek.hidden * 2048 };
    // 192 of 256 columns: as long as 256 of 256.
    const rates = { ...plain, weightBytesPerSecond: 1e30 };
    const sliced = stepSeconds(glm, split, rates, decode(64, 100)).experts;
    expect(sliced).toBeCloseTo(stepSeconds(whole, split, rates, decode(64, 100)).experts, 9);
  });
  test("more sequences never take less time, and never more time per sequence", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 2000 }), (a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        const x = stepSeconds(deepseek, one, plain, decode(low, 1000)).total;
        const y = stepSeconds(deepseek, one, plain, decode(high, 1000)).total;
        expect(y).toBeGreaterThanOrEqual(x * (1 - 1e-12));
        expect(y / high).toBeLessThanOrEqual((x / low) * (1 + 1e-12));
      }),
      { seed: 9 },
    );
  });
});

describe("memory of a served model", () => {
  test("DeepSeek V3 in FP8 on 16 devices, tensor parallel: 1/16 of 671.0 B weights, embeddings and head in 16 bits", () => {
    const split = { devices: 16, attentionTp: 16, expertParallel: false, pipeline: 1 };
    const bytes = weightBytesPerDevice(deepseek, split, weightFormat("fp8"));
    const wide = 2 * 129280 * 7168;
    expect(bytes * 16).toBeGreaterThan(671.0e9 + wide - 0.01e9 * 16);
    expect(bytes * 16).toBeLessThan(671.1e9 + wide);
  });
  test("expert ranks that do not divide the experts hold a redundant one", () => {
    const wide = { devices: 144, attentionTp: 1, expertParallel: true, pipeline: 1 };
    const half = { devices: 128, attentionTp: 1, expertParallel: true, pipeline: 1 };
    expect(weightBytesPerDevice(deepseek, wide, weightFormat("fp8"))).toBe(
      weightBytesPerDevice(deepseek, half, weightFormat("fp8")),
    );
  });
  test("cache room is what the weights leave", () => {
    const free = cacheTokens(llama, one, weightFormat("bf16"), 2, 40e9);
    expect(free).toBeCloseTo(
      (40e9 - weightBytesPerDevice(llama, one, weightFormat("bf16"))) / (2 * llama.cachedValues),
      3,
    );
    expect(cacheTokens(llama, one, weightFormat("bf16"), 2, 10e9)).toBeLessThan(0);
  });
  test("every listed format is known by its own name, and an unknown one is refused in one line", () => {
    for (const name of weightFormatNames) if (name !== "fp16") expect(weightFormat(name).name).toBe(name);
    expect(weightFormat("fp8 (native)").name).toBe("fp8");
    expect(weightFormat("w8a8-int8").name).toBe("w8a8");
    expect(() => weightFormat("fp7")).toThrow(/--precision: fp7 is not a known weight format/);
  });
});
