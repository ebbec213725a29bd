/** What a comparison prints: the verdict first, then why, nothing wider than the page. */
import { expect, test } from "vitest";
import type { CompareReport } from "../../porting/compare-report.ts";
import { compareLines } from "./compare.ts";
import { portLines } from "./port.ts";

const side = {
  path: "runs/a/checkpoints/step-00000007",
  kind: "checkpoint",
  step: 7,
  weightsSha256: "ab".repeat(32),
  format: "fp32",
  contentSha256: "ef".repeat(32),
  contentOf: "weights and configuration",
  computedBy: "the embedded engine on this machine's CPU, in float32",
} as const;
const report: CompareReport = {
  v: 2,
  verdict: "within tolerance",
  cause: { reason: "type", layer: null, module: null, text: "fp32 against bf16: rounding" },
  reasons: [],
  a: side,
  b: { ...side, path: "exported", kind: "export", step: null, format: "bf16" },
  computedBy: "the embedded engine on this machine's CPU, in float32",
  positions: 40,
  topOneAgreement: 0.975,
  topFiveShare: 0.99,
  klOf: "all tokens",
  modules: null,
  firstDivergence: null,
  routerTies: 0,
  scoring: null,
  task: null,
  meanKl: 0.0000123,
  largestKl: 0.1,
  largestLogitDifference: { value: 0.25, prompt: 1, position: 8 },
  repeatable: { a: true, b: true },
  configurationDifferences: [],
  weights: { equal: 1, rounded: 70, roundedTo: "bf16", different: [] },
  prompts: [
    { promptTokens: 4, truncated: false, answerTokens: 16, meanKl: 0, greedyDivergence: null },
    {
      ...{ promptTokens: 4, truncated: false, answerTokens: 16, meanKl: 0 },
      greedyDivergence: { at: 2, tokens: { a: 1, b: 2 }, gapNats: 0.03, rank: 2, nearTie: true },
    },
  ],
  checks: [
    { name: "smallest cosine of logits within rounding", value: 0.99996, limit: 0.9, passed: true, source: "x" },
    { name: "mean KL divergence, nats per token", value: 0.0000123, limit: 0.05, passed: true, source: "x" },
  ],
};
const textOf = (given: CompareReport): string =>
  compareLines(given)
    .map(({ text }) => text)
    .join("\n");

test("within tolerance", () => {
  expect(textOf(report)).toBe(`within tolerance: B answers as A does, up to rounding
  by   type: fp32 against bf16: rounding
  A    checkpoint runs/a/checkpoints/step-00000007 (step 7, fp32, weights abababababab)
  B    export exported (bf16, weights abababababab)
  check                                      measured   limit
  smallest cosine of logits within rounding  0.999960   0.900
  mean KL divergence, nats per token           1.2e-5  0.0500
  top-1 agreement 97.5 %, top-5 99.0 % of 40 tokens in 2 prompts; largest logit difference 0.250
  (prompt 2, token 9)
  greedy answers: 1 of 2 the same over 16 tokens; prompt 2 parts at token 3 (near tie: 0.0300 nats,
  rank 2)
  computed by the embedded engine on this machine's CPU, in float32
next: dualgauge serve exported`);
});

test("different: why comes right after the verdict, and the failing check is marked", () => {
  const text = textOf({
    ...report,
    verdict: "different",
    reasons: [`model.layers.3.${"very_".repeat(20)}long.weight differs most of 1 tensors: relative error 0.05`],
    checks: [{ name: "weights beyond rounding", value: 1, limit: 0, passed: false, source: "x" }],
  });
  expect(text).toMatch(/^different: B is not the model that A is\n {2}why {2}model\.layers\.3/);
  expect(text).toMatch(/weights beyond rounding +1 +0 {2}fails/);
  expect(Math.max(...text.split("\n").map((row) => row.length))).toBeLessThanOrEqual(100);
});

test("a port says what it came from and what it holds", () => {
  const lines = portLines({
    v: 1,
    source: { kind: "checkpoint", path: "runs/a", run: "a", epoch: 2, step: 7, weightsSha256: "cd".repeat(32) },
    destination: "exported",
    format: "bf16",
    platform: "ascend",
    onnx: { operatorSet: 13, operators: ["Add", "Gemm"] },
    tensors: 71,
    parameters: 1_324_504,
    bytes: 2_700_000,
    files: [{ name: "model.safetensors", bytes: 2_650_000, sha256: "ef".repeat(32) }],
  });
  expect(lines.map(({ text }) => text).join("\n")).toBe(`ported to exported
  from    step 7 of a, weights cdcdcdcdcdcd
  weights 1.32 M parameters in bf16, 2.70 MB in all
  graphs  2 ONNX operators of set 13, all known to ascend's toolkit
  file                 bytes  sha256
  model.safetensors  2650000  efefefefefef
next: dualgauge compare runs/a exported --prompts prompts.txt`);
});
