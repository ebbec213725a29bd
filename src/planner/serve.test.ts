import { describe, expect, test } from "vitest";
import frameworks from "../catalog/data/framework-flags.json" with { type: "json" };
import { inferenceConstants } from "../catalog/inference-constants.ts";
import { findModel } from "../catalog/models.ts";
import { emitServing } from "./emit-serving.ts";
import { planServing } from "./serve.ts";
import { brokenRule } from "./serve-layouts.ts";
import { type ServingRequest, servingQuestion } from "./serve-question.ts";

const architecture = (id: string) => findModel(id)!.architecture();
const request: ServingRequest = {
  architecture: architecture("llama-3.1-70b"),
  accelerator: "h100-sxm",
  devices: 8,
  isl: 1000,
  osl: 500,
  ttft: 1,
  tpot: 0.05,
  disaggregate: "auto",
  prefixHit: 0,
  mtp: 0,
};
const planOf = (changes: Partial<ServingRequest>) => {
  const { question } = servingQuestion({ ...request, ...changes });
  return { question, plan: planServing(question, inferenceConstants) };
};

describe("planning serving", () => {
  test("the best plan keeps every promise it makes", () => {
    const deepseek = {
      architecture: architecture("deepseek-r1"),
      accelerator: "h800-sxm",
      devices: 144,
      isl: 4096,
      osl: 1024,
      ttft: 2,
    };
    for (const changes of [{}, { disaggregate: "no" }, deepseek, { ...deepseek, disaggregate: "yes" }]) {
      const { question, plan } = planOf(changes);
      const best = plan.best!;
      expect(best.ttftSeconds).toBeLessThanOrEqual(question.ttftSeconds * 1.0001);
      expect(best.tpotSeconds).toBeLessThanOrEqual(question.tpotSeconds * 1.0001);
      expect(best.devicesUsed).toBeLessThanOrEqual(question.devices);
      for (const pool of [best.decode, ...(best.prefill ? [best.prefill] : [])]) {
        const domain = Math.max(question.accelerator.intraLink.domainDevices, question.accelerator.nodeDevices);
        expect(brokenRule(question.architecture, pool.split, domain)).toBeUndefined();
        expect(pool.weightBytesPerDevice).toBeLessThan(question.accelerator.memoryBytes);
      }
      const room = best.decode.sequences * (question.promptTokens + question.outputTokens);
      expect(room).toBeLessThanOrEqual(best.decode.cacheTokens);
      expect(best.outputTokensPerSecond).toBeCloseTo(best.requestsPerSecond * question.outputTokens, 3);
      for (const other of plan.alternatives)
        expect(other.outputTokensPerSecond).toBeLessThanOrEqual(best.outputTokensPerSecond);
    }
  });
  test("a stricter objective never serves more", () => {
    const rates = [0.1, 0.05, 0.03, 0.02].map(
      (tpot) => planOf({ tpot, disaggregate: "no" }).plan.best?.outputTokensPerSecond ?? 0,
    );
    for (let i = 1; i < rates.length; i++) expect(rates[i]).toBeLessThanOrEqual(rates[i - 1] ?? 0);
    expect(rates[0]).toBeGreaterThan(0);
  });
  test("a prefix cache, a smaller format and drafting help", () => {
    const base = planOf({ disaggregate: "no" }).plan.best!.outputTokensPerSecond;
    expect(planOf({ disaggregate: "no", prefixHit: 0.6 }).plan.best!.outputTokensPerSecond).toBeGreaterThan(base);
    expect(planOf({ disaggregate: "no", precision: "fp8" }).plan.best!.outputTokensPerSecond).toBeGreaterThan(base);
  });
  test("an objective that cannot be met gives no plan and says what stood in the way", () => {
    const { plan } = planOf({ tpot: 1e-5 });
    expect(plan.best).toBeNull();
    expect(Object.values(plan.rejected).reduce((a, b) => a + b, 0)).toBeGreaterThan(0);
  });
  test("weights that do not fit are counted by how much", () => {
    const { plan } = planOf({ architecture: architecture("llama-3.1-405b"), devices: 4 });
    expect(plan.best).toBeNull();
    expect(Object.keys(plan.rejected).some((reason) => /^does not fit: /.test(reason))).toBe(true);
  });
});

describe("refusals in one line", () => {
  test.each([
    [{ accelerator: "h900" }, /^--accelerator: unknown accelerator h900/],
    [{ devices: 0 }, /^--devices: 0 is not a whole number/],
    [{ devices: 1e12 }, /^--devices: 1000000000000 is not/],
    [{ isl: Number.NaN }, /^--isl: NaN is not/],
    [{ tpot: -1 }, /^--tpot: -1 is not/],
    [{ prefixHit: 1 }, /^--prefix-hit: 1 is not a share/],
    [{ engine: "mindie" }, /^--engine: mindie does not run on h100-sxm/],
    [{ engine: "ollama" }, /^--engine: ollama is not known/],
    [{ precision: "nvfp4" }, /^--precision: h100-sxm has no FP4/],
    [{ accelerator: "ascend-910b3", precision: "fp8" }, /^--precision: ascend-910b3 has no fp8/],
    [{ disaggregate: "maybe" }, /^--disaggregate: maybe is not/],
  ])("%o", (changes, message) => {
    expect(() => servingQuestion({ ...request, ...changes })).toThrow(message);
  });
});

/** Options of `vllm serve` that a framework's list does not have. */
function unknownOptions(script: string, framework: "vllm" | "vllm-ascend"): string[] {
  const known = new Set(frameworks.find((list) => list.framework === framework)?.flags.split(" "));
  const used = [...script.matchAll(/\s--([a-z][a-z-]*)/g)].map((match) => match[1] ?? "");
  expect(used.length).toBeGreaterThan(5);
  return used.filter((option) => !known.has(option));
}

describe("command lines", () => {
  test("vllm: the numbers divide and the pools of a separate plan name their roles", () => {
    const { question, plan } = planOf({
      architecture: architecture("deepseek-r1"),
      accelerator: "h800-sxm",
      devices: 96,
      isl: 4096,
      osl: 1024,
      ttft: 2,
      disaggregate: "yes",
    });
    const text = emitServing("vllm", question, plan.best!, "deepseek-ai/DeepSeek-R1").join("\n");
    const { attentionTp, devices } = plan.best!.decode.split;
    expect(text).toContain(`--tensor-parallel-size ${attentionTp}`);
    expect(text).toContain(`--data-parallel-size ${devices / attentionTp}`);
    expect(text).toContain('"kv_role":"kv_producer"');
    expect(text).toContain('"kv_role":"kv_consumer"');
    expect(unknownOptions(text, "vllm")).toEqual([]);
    // Newer too: the Ascend documentation for vLLM 0.23 uses the same but for balancing, which it does another way.
    expect(unknownOptions(text, "vllm-ascend").filter((option) => !option.includes("eplb"))).toEqual([]);
  });
  test("vllm: on one node, with a cached prefix, drafting and an 8-bit cache", () => {
    const { question, plan } = planOf({
      architecture: architecture("deepseek-v3"),
      accelerator: "h200-sxm",
      devices: 8,
      isl: 2000,
      osl: 500,
      ttft: 5,
      tpot: 0.1,
      disaggregate: "no",
      prefixHit: 0.5,
      mtp: 1,
      cachePrecision: "fp8",
    });
    const text = emitServing("vllm", question, plan.best!, "deepseek-ai/DeepSeek-V3").join("\n");
    for (const option of ["--enable-prefix-caching", "--kv-cache-dtype fp8", "--speculative-config", "--max-model-len"])
      expect(text).toContain(option);
    expect(unknownOptions(text, "vllm")).toEqual([]);
  });
  test("vllm-ascend: dies are ranks, W8A8 is ModelSlim's", () => {
    const { question, plan } = planOf({
      architecture: architecture("deepseek-r1"),
      accelerator: "ascend-910c",
      devices: 16,
      isl: 3500,
      osl: 1500,
      ttft: 5,
      tpot: 0.1,
      disaggregate: "no",
    });
    expect(question.devices).toBe(32);
    const text = emitServing("vllm-ascend", question, plan.best!, "a path's name").join("\n");
    expect(text).toContain("--quantization ascend");
    expect(unknownOptions(text, "vllm-ascend")).toEqual([]);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills it in
    expect(text).toContain("MODEL=${MODEL:-'a path'\\''s name'}");
  });
});
