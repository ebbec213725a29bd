/** The rule base: its size, its sources, and that every rule tells its own texts from near ones. */
import { describe, expect, test } from "vitest";
import * as z from "zod";
import vendorRules from "../../src/catalog/data/fault-rules.json" with { type: "json" };
import ownRules from "../../src/catalog/data/fault-rules-own.json" with { type: "json" };
import { FaultRule } from "../../src/catalog/fault-rule.ts";
import { faultRules } from "../../src/catalog/fault-rules.ts";
import { readLine } from "../../src/diagnosis/line.ts";
import { matchesOf } from "../../src/diagnosis/match.ts";

const context = { before: () => "", nvidia: true, ascend: true };
const rulesOf = (text: string): string[] => matchesOf(readLine(text), context).map(({ rule }) => rule.id);

/** A line as its program prints it. */
function positive(rule: FaultRule): string {
  if (rule.example !== undefined) return rule.example;
  switch (rule.family) {
    case "xid":
      return `NVRM: Xid (PCI:0000:3b:00): ${rule.value}, pid=4242, name=python, text`;
    case "sxid":
      return `nvidia-nvswitch0: SXid (PCI:0000:c3:00.0): ${rule.value}, Fatal, Link 32`;
    case "npu-event":
      return `[ERROR] DRV(12,npu):2026-11-24-10:00:00.100.100 [dms.c:88] Event id=0x${rule.value} raised`;
    case "acl-return":
      return `RuntimeError: Foo:torch_npu/csrc/x.cpp:208 NPU function error: foo, error code is ${rule.value}`;
    case "torch-npu":
      return `[ERROR] 2026-11-24-10:00:00 (PID:9, Device:0, RankID:0) ${rule.value} call failed.`;
    case "exception":
      return `${rule.value}: something`;
    default:
      return `[ERROR] ${rule.all?.[0]?.join(" ") ?? ""}`;
  }
}

/** The same line with one thing that matters changed. */
function nearMiss(rule: FaultRule): string {
  const line = positive(rule);
  if (rule.family === "exception") return line.replace(rule.value ?? "", `not${rule.value}Here`);
  if (rule.family !== undefined && rule.value !== undefined && rule.family !== "cann-code") {
    return line.replace(
      rule.value,
      rule.family === "npu-event" ? "80ffffff" : rule.family === "torch-npu" ? "ERR77777" : "999",
    );
  }
  const lists = rule.all;
  if (lists === undefined) return `{"text": ${JSON.stringify(line)}, "id": 7}`;
  return lists.reduce((text, list) => {
    const [longest = ""] = list.toSorted((a, b) => b.length - a.length);
    return text.replaceAll(longest, `${longest.slice(0, longest.length >> 1)}~${longest.slice(longest.length >> 1)}`);
  }, line);
}

/** The same line with each short string that betrays the rule broken in its middle. */
function broken(rule: FaultRule): string {
  return (rule.anchors ?? []).reduce((text, anchor) => {
    const literal = new RegExp(anchor.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "gi");
    return text.replace(literal, (found) => `${found.slice(0, found.length >> 1)}~${found.slice(found.length >> 1)}`);
  }, positive(rule));
}

/** The same line with its code's last digit moved on by one. */
function nextCode(rule: FaultRule): string {
  const { value = "" } = rule;
  const digit = Number.parseInt(value.slice(-1), 16);
  return positive(rule).replaceAll(value, `${value.slice(0, -1)}${((digit + 1) % 10).toString()}`);
}

test("every rule keeps to the schema, and none is left out", () => {
  const whole = z.array(FaultRule).parse([...vendorRules, ...ownRules]);
  expect(faultRules).toEqual(whole);
});

test("all published signatures are there, and our own beside them", () => {
  const ids = new Set(faultRules.map(({ id }) => id));
  expect(ids.size).toBe(faultRules.length);
  const vendors = faultRules.filter(({ source }) =>
    /mind-cluster|gpud|recalled|Ascend\/pytorch|vllm|onnxruntime/i.test(source),
  );
  expect(vendors.length).toBeGreaterThanOrEqual(600);
  for (const { source } of faultRules) expect(source.length).toBeGreaterThan(8);
});

describe("every rule", () => {
  test.each(faultRules.map((rule) => [rule.id, rule] as const))("%s", (id, rule) => {
    expect(rulesOf(positive(rule))).toContain(id);
    expect(rulesOf(nearMiss(rule))).not.toContain(id);
    if (rule.regex !== undefined && rule.family === undefined) expect(rulesOf(broken(rule))).not.toContain(id);
    if (/\d$/.test(rule.value ?? "") && rule.example === undefined) expect(rulesOf(nextCode(rule))).not.toContain(id);
    if (rule.category !== "numerics") {
      expect(rulesOf(`{"text": ${JSON.stringify(positive(rule))}, "id": 7}`)).not.toContain(id);
      expect(rulesOf(`# ${positive(rule)}`)).not.toContain(id);
    }
    for (const all of rule.all ?? []) expect(rulesOf(`[ERROR] ${all.join(" ")}`)).toContain(id);
    const { regex, caseSensitive } = rule;
    if (regex !== undefined) expect(() => new RegExp(regex, caseSensitive ? "" : "i")).not.toThrow();
  });
});
