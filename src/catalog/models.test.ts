/** Presets against published parameter counts, and every spelling in use. */
import { describe, expect, test } from "vitest";
import { Architecture } from "../spec/architecture.ts";
import { BadInput } from "../spec/bad-input.ts";
import { cacheBytesPerToken, parameterCounts } from "../spec/parameter-counts.ts";
import { accelerators, findAccelerator, requireAccelerator } from "./accelerators.ts";
import { findModel, models, requireModel } from "./models.ts";

// Published counts are exact where Hugging Face prints the number of a checkpoint's parameters; those have 7 digits or more.
const exact = models.filter(({ publishedTotal }) => publishedTotal !== null && publishedTotal % 1e6 !== 0);
const rounded = models.filter(({ publishedTotal }) => publishedTotal !== null && publishedTotal % 1e6 === 0);

// Presets are built without the schema, so that a question about one loads none; here they meet it.
test.each(models.map((m) => [m.id, m] as const))("%s is a possible architecture", (_, m) => {
  expect(Architecture.parse(m.architecture())).toEqual(m.architecture());
});

describe("parameter counts", () => {
  const presets = exact.filter(({ source }) => !source.startsWith("shape as printed"));
  test("there are enough exact ones to mean something", () => expect(presets.length).toBeGreaterThanOrEqual(40));
  test.each(presets.map((m) => [m.id, m] as const))("%s is exact to a millionth", (_, m) => {
    const { total } = parameterCounts(m.architecture());
    expect(Math.abs(total / (m.publishedTotal ?? 0) - 1)).toBeLessThan(1.2e-6);
  });
  // Gopher's relative positions add a projection per layer that no other model has; bench shapes have their own test.
  const near = rounded.filter(({ id, source }) => id !== "gopher-280b" && !source.startsWith("shape as printed"));
  test.each(near.map((m) => [m.id, m] as const))("%s is within 2 %% of its rounded figure", (_, m) => {
    expect(Math.abs(parameterCounts(m.architecture()).total / (m.publishedTotal ?? 0) - 1)).toBeLessThan(0.02);
  });
  const mixtures = models.filter(({ publishedActive }) => publishedActive !== null);
  // Reports differ on whether embeddings are active; the published figure lies between the two conventions, ± 8 %.
  test.each(mixtures.map((m) => [m.id, m] as const))("%s activates about what is published", (_, m) => {
    const { active, embedding, head } = parameterCounts(m.architecture());
    expect(m.publishedActive).toBeGreaterThan((active - embedding - head) * 0.92);
    expect(m.publishedActive).toBeLessThan(active * 1.08);
  });
  test("DeepSeek V3: 671.0 B total, 37.6 B active with both embedding tables", () => {
    const counts = parameterCounts(requireModel("deepseek-v3", "test").architecture());
    expect((counts.total / 1e9).toFixed(1)).toBe("671.0");
    expect((counts.active / 1e9).toFixed(1)).toBe("37.6");
    expect(cacheBytesPerToken(requireModel("deepseek-v3", "test").architecture(), 2)).toBe(70_272);
  });
});

describe("spellings", () => {
  test.each([
    ["A100-80GB-SXM", "a100-80-sxm"],
    ["Ascend-910B (variant not stated)", "ascend-910b"],
    ["Ascend-910C (Atlas 800 A3, 752T)", "ascend-910c"],
    ["GB200-NVL72", "gb200"],
    ["h800-sxm", "h800-sxm"],
    ["H100-80GB-SXM", "h100-sxm"],
  ])("%s is %s", (spelling, id) => expect(findAccelerator(spelling)?.id).toBe(id));
  test.each([
    ["DeepSeek-V3/R1", "deepseek-r1"],
    ["LLAMA3.1_405B", "llama-3.1-405b"],
    ["Qwen3_30B_a3B (tokendrop)", "qwen3-30b-a3b"],
  ])("%s is %s", (spelling, id) => expect(findModel(spelling)?.id).toBe(id));
  test("ids are unique and kebab-case", () => {
    for (const ids of [accelerators.map(({ id }) => id), models.map(({ id }) => id)]) {
      expect(new Set(ids).size).toBe(ids.length);
      for (const id of ids) expect(id).toMatch(/^[a-z0-9.]+(-[a-z0-9.]+)*$/);
    }
  });
  test("an unknown name is refused with the nearest known", () => {
    expect(() => requireAccelerator("h800-smx", "--accelerator")).toThrow(/did you mean h800-sxm/);
    expect(() => requireModel("deepsek-v3", "--model")).toThrow(/did you mean deepseek-v3/);
    expect(() => requireModel("x".repeat(100_000), "--model")).toThrow(BadInput);
  });
});

test("every accelerator has memory, a source and a sane peak", () => {
  for (const a of accelerators) {
    expect(a.memoryBytes, a.id).toBeGreaterThan(0);
    expect(a.source.length, a.id).toBeGreaterThan(10);
    for (const peak of Object.values(a.peakFlopsPerSecond)) if (peak !== null) expect(peak).toBeGreaterThan(1e12);
  }
});
