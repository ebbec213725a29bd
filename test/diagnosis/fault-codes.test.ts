/** Codes that no single rule lists: each of a family's table says whose it is, and near ones fall to what the family means. */
import { describe, expect, test } from "vitest";
import { aclRule, cannRule, listedCannCodes, xidRule } from "../../src/catalog/fault-codes.ts";
import { FaultRule } from "../../src/catalog/fault-rule.ts";
import { readLine } from "../../src/diagnosis/line.ts";
import { matchesOf } from "../../src/diagnosis/match.ts";

const context = { before: () => "", nvidia: true, ascend: true };
const first = (text: string) => matchesOf(readLine(text), context)[0];

test("every code of CANN's lists is found on its line, quoted it is none", () => {
  const codes = listedCannCodes();
  expect(new Set(codes).size).toBe(codes.length);
  expect(codes.length).toBeGreaterThan(500);
  for (const code of codes) {
    FaultRule.parse(cannRule(code));
    expect(
      matchesOf(readLine(`[rank3]: ${code}: text`), context).map((match) => match.code),
      code,
    ).toContain(code);
    expect(matchesOf(readLine(`{"text": "${code}: text", "id": 7}`), context), code).toEqual([]);
  }
});

test.each([
  ["EI0005: The arguments are inconsistent", "workload", "fix-job"],
  ["EI0008: The HCCL versions are inconsistent", "software-kit", "fix-job"],
  ["EI0011: Failed to allocate [512] bytes of NPU memory.", "memory", "fix-job"],
  ["EL0001: Device not found or invalid.", "instability", "evict-node"],
  ["E40021: Failed to compile Op [x].", "software-kit", "fail-over"],
])("%s", (text, category, action) => {
  expect(first(text)?.rule).toMatchObject({ category, action });
});

test("a number that no list names falls to its module's kind", () => {
  expect(cannRule("E61234")).toMatchObject({ category: "software-kit", action: "fail-over" });
  expect(cannRule("E31234")).toMatchObject({ category: "instability", action: "restart" });
  expect(cannRule("EX1234")).toBeUndefined();
});

describe("return codes of AscendCL", () => {
  test.each([
    ["507054", "memory", "evict-node"],
    ["507056", "interconnect", "evict-node"],
    ["107011", "software-kit", "fix-job"],
    ["561003", "software-kit", "fail-over"],
    ["507098", "instability", "restart"],
  ])("%s", (code, category, action) => {
    expect(first(`RuntimeError: NPU function error: aclrtX, error code is ${code}`)?.rule).toMatchObject({
      category,
      action,
    });
  });

  test("six digits of another family are no code", () => {
    expect(aclRule("123456")).toBeUndefined();
    expect(aclRule("600001")).toBeUndefined();
  });
});

test.each([
  ["41", "instability", "restart", "fatal"],
  ["166", "interconnect", "evict-node", "fatal"],
  ["106", "instability", "none", "notice"],
  ["199", "instability", "evict-node", "fatal"],
])("Xid %s", (code, category, action, severity) => {
  FaultRule.parse(xidRule(code));
  expect(first(`NVRM: Xid (PCI:0000:3b:00): ${code}, pid=42, name=python, text`)?.rule).toMatchObject({
    category,
    action,
    severity,
  });
});

test("a link's error that did no harm is none unless a failure follows", () => {
  expect(first("NVRM: Xid (PCI:0018:01:00): 145, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x04)")?.severity).toBe(
    "degraded",
  );
  expect(first("NVRM: Xid (PCI:0018:01:00): 145, RLW_RXPIPE Fatal XC0 i0 Link 13 (0x04)")?.severity).toBe("fatal");
});
