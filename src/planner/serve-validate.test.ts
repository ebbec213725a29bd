import { describe, expect, test } from "vitest";
import { inferenceFit } from "../catalog/data/inference-fit.ts";
import { inferenceConstants, inferenceParameters } from "../catalog/inference-constants.ts";
import { quantile } from "./serve-accuracy.ts";
import { InferenceRow, lengthsSpread, measurementOf, offeredLoad, quotedFlags, rowFingerprint } from "./serve-rows.ts";
import { constantsFor, isInferenceRow, validateInference } from "./serve-validate.ts";
import { summarize } from "./validate.ts";

/** TensorRT-LLM docs/source/performance/perf-overview.md @258c754, Llama 3.1 8B on one H100. */
const published = {
  id: "trt017-Llama-3.1-8B-tp1-H100-80GB-SXM-2048-2048",
  group: "trtllm-v0.17-offline",
  model: "Llama-3.1-8B",
  accelerator: "H100-80GB-SXM",
  n_devices: 1,
  nodes: 1,
  phase: "mixed-offline (infinite rate)",
  engine: "TensorRT-LLM 0.17",
  parallelism: { tp: 1 },
  precision: { w: "fp8", kv: "fp8" },
  isl: 2048,
  osl: 2048,
  batch_or_concurrency: "max (all queued)",
  tput_out_total: 9488.42,
  tput_out_per_dev: 9488.42,
  tput_in_per_dev: null,
  tput_total_all_tokens: null,
  ttft_ms: null,
  tpot_ms: null,
  constraints: null,
  notes: null,
};
const row = (changes: Record<string, unknown>): InferenceRow => InferenceRow.parse({ ...published, ...changes });

describe("reading rows", () => {
  test("loads as published tables spell them", () => {
    const load = (batch: unknown, phase = "online-serving", isl = 200): unknown =>
      offeredLoad(row({ batch_or_concurrency: batch, phase, isl }));
    expect(load("1000 prompts, peak concurrent 1000")).toEqual({ kind: "burst", requests: 1000 });
    expect(load("100 prompts, peak concurrent 11")).toEqual({ kind: "range", least: 5.5, most: 11 });
    expect(load("500 prompts, peak concurrent None")).toEqual({ kind: "burst", requests: 500 });
    expect(load("QPS 4")).toEqual({ kind: "rate", requestsPerSecond: 4, requests: 500 });
    expect(load("QPS INF")).toEqual({ kind: "burst", requests: 500 });
    expect(load("QPS 32, 1000 prompts (ShareGPT)")).toEqual({ kind: "rate", requestsPerSecond: 32, requests: 1000 });
    expect(load(128, "decode")).toEqual({ kind: "batch", perDevice: 128 });
    expect(load("16,384 tokens/device (4K case)", "prefill")).toEqual({ kind: "prompts", tokensPerDevice: 16384 });
    expect(load(null, "Server")).toEqual({ kind: "latency-limit", interactive: false });
    expect(load("max (all queued)", "mixed-offline")).toEqual({ kind: "queued" });
  });
  test("below saturation the pace is compared, above it the throughput", () => {
    const at = (out: number): unknown => {
      const given = row({
        batch_or_concurrency: "QPS 2",
        osl: 250,
        isl: 467,
        tput_out_total: out,
        tput_out_per_dev: out,
        tpot_ms: 20,
      });
      return measurementOf(given, offeredLoad(given));
    };
    expect(at(498)).toEqual({ quantity: "secondsPerOutputToken", measured: 0.02 });
    expect(at(300)).toEqual({ quantity: "outputTokensPerSecondPerDevice", measured: 300 });
  });
  test("chat traces are spread, generated lengths are not", () => {
    expect(lengthsSpread(row({ isl: 217.4, osl: 201.4 }))).toBe(true);
    expect(lengthsSpread(row({ isl: 3995.9, osl: 199.6 }))).toBe(false);
    expect(lengthsSpread(row({ isl: 500, osl: 2000 }))).toBe(false);
    expect(lengthsSpread(row({ isl: 467, osl: 16 }))).toBe(false);
  });
  test("flags quoted in notes", () => {
    expect(
      quotedFlags(row({ notes: "cmd: vllm serve X --max-num-batched-tokens 4096 --gpu-memory-utilization 0.85" })),
    ).toMatchObject({
      stepTokensMax: 4096,
      memoryShare: 0.85,
      drafted: 0,
    });
    expect(quotedFlags(row({ notes: "--speculative-algorithm EAGLE3" })).drafted).toBe(4);
  });
});

describe("validating rows", () => {
  test("a published row is recognised by its content, not its id, and scored without its configuration", () => {
    const renamed = row({ id: "anything" });
    expect(rowFingerprint(renamed)).toBe(rowFingerprint(row({})));
    const changed = row({ tput_out_total: 9000, tput_out_per_dev: 9000 });
    expect(constantsFor(changed)).toBe(inferenceConstants);
    expect(constantsFor(renamed)).not.toEqual(inferenceConstants);
  });
  test("throughput of a well-known row is predicted within a fifth", () => {
    const [result] = validateInference([published]);
    expect(result?.quantity).toBe("outputTokensPerSecondPerDevice");
    expect(result?.basis).toBe("interpolated");
    expect(result?.error).toBeLessThan(0.2);
    expect(result?.error).toBeCloseTo(Math.abs((result?.predicted ?? 0) - 9488.42) / 9488.42, 9);
  });
  test("a prediction does not depend on the measurement", () => {
    const other = { ...published, tput_out_total: 123, tput_out_per_dev: 123 };
    const third = { ...published, tput_out_total: 98765, tput_out_per_dev: 98765 };
    const [a, b] = validateInference([other, third]);
    expect(a?.predicted).toBe(b?.predicted);
  });
  test("rows that cannot be predicted say why and do not stop the others", () => {
    const results = validateInference([
      { ...published, model: "Nobody-9000B" },
      { ...published, accelerator: "Abacus" },
      { ...published, tput_out_total: null, tput_out_per_dev: null },
      { ...published, precision: { w: "fp7" } },
      { id: 5 },
      published,
    ]);
    expect(results.map(({ reason }) => reason?.split(";")[0])).toEqual([
      "the architecture of Nobody-9000B is not published",
      "unknown accelerator Abacus",
      "the row has no measured throughput or pace",
      "--precision: fp7 is not a known weight format",
      expect.stringContaining("not an inference row"),
      undefined,
    ]);
    const summary = summarize(results);
    expect(summary).toMatchObject({ count: 6, unpredicted: 5 });
    expect(summary.median).toBe(results[5]?.error);
    expect(Object.keys(summary.byFamily)).toEqual(["trtllm-v0.17-offline"]);
  });
  test("training rows are not taken for inference rows", () => {
    expect(isInferenceRow(published)).toBe(true);
    expect(isInferenceRow({ id: "x", measured: {}, parallelism: {} })).toBe(false);
  });
});

describe("the committed fit", () => {
  test("has a finite positive value for every constant that the model names", () => {
    expect(inferenceFit.names).toEqual(inferenceParameters.map(({ name }) => name));
    expect(inferenceFit.values).toHaveLength(inferenceFit.names.length);
    for (const value of inferenceFit.values) expect(value).toBeGreaterThan(0);
  });
  test("quantiles are linear between neighbours", () => {
    expect(quantile([3, 1, 2], 0.5)).toBe(2);
    expect(quantile([0, 10], 0.9)).toBe(9);
    expect(quantile([], 0.5)).toBeNull();
  });
});
