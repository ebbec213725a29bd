/** Checks that an emulated platform refuses what the real one does not have, with its error code, and nothing else. */
import { expect, test } from "vitest";
import { refusals } from "./platform-support.ts";

const needs = { operators: ["Gemm", "TopK"], precision: "fp32" as const, unsupportedOps: [] };

test.each(["ascend", "nvidia", "cpu"] as const)("%s runs what it has", (platform) => {
  expect(refusals(platform, needs)).toEqual([]);
});

test("ascend refuses an operator that CANN does not register, and one that the pool names", () => {
  expect(refusals("ascend", { ...needs, operators: ["Gemm", "Loop"] })).toEqual([
    {
      kind: "unsupported-operator",
      message: expect.stringMatching(/^EZ3003: \(emulated ascend\) operator type Loop /),
    },
  ]);
  expect(refusals("ascend", { ...needs, unsupportedOps: ["TopK"] })[0]?.message).toMatch(/TopK/);
  expect(refusals("nvidia", { ...needs, operators: ["Loop"] })).toEqual([]);
});

test("a number format that the chips lack is refused", () => {
  expect(refusals("ascend", { ...needs, precision: "fp8" })).toEqual([
    {
      kind: "unsupported-precision",
      message: expect.stringMatching(/^EZ3002: .*fp8; the pool's chips have fp32, bf16, fp16$/),
    },
  ]);
  expect(refusals("nvidia", { ...needs, precisions: ["bf16"] })[0]).toMatchObject({ kind: "unsupported-precision" });
  expect(refusals("nvidia", { ...needs, precision: "fp8" })).toEqual([]);
});
