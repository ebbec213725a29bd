/** Own set of logs, half of them traps: the cause and the action of every one, and no false alarm. */
import { expect, test } from "vitest";
import { diagnoseLines } from "../../src/diagnosis/diagnose.ts";
import { faults } from "./cases-faults.ts";
import { knownMisses, more } from "./cases-more.ts";
import { traps } from "./cases-traps.ts";
import { diagnose } from "./score.ts";

test("there are at least forty cases, about half of them traps", () => {
  expect(faults.length + traps.length).toBeGreaterThanOrEqual(40);
  expect(traps.length).toBeGreaterThanOrEqual(20);
});

test.each(
  [...faults, ...traps, ...more].filter(({ name }) => !knownMisses.has(name)).map((one) => [one.name, one] as const),
)("%s", (_, { files, cause, evidence }) => {
  const { rootCause } = diagnose(files);
  if (cause === null) expect(rootCause).toBeNull();
  else expect(rootCause).toMatchObject(cause);
  if (evidence !== undefined) expect(rootCause?.evidence[0]?.text).toMatch(evidence);
  for (const { line, file, text } of rootCause?.evidence ?? []) {
    expect((files[file] ?? "").split("\n")[line - 1]).toContain(text.slice(0, 40));
  }
});

test("nine causes of ten are right, the known misses included, and each of those is one", () => {
  const wrong = more.filter(({ files, cause }) => {
    const { rootCause } = diagnose(files);
    return rootCause?.category !== cause?.category || rootCause?.action !== cause?.action;
  });
  expect(new Set(wrong.map(({ name }) => name))).toEqual(knownMisses);
  expect(wrong.length).toBeLessThanOrEqual(more.length / 10);
});

test("lines in memory are diagnosed in the same way", () => {
  const lines = [
    "Traceback (most recent call last):",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
  ];
  const { rootCause } = diagnoseLines([{ name: "rank 3", rank: 3, lines }]);
  expect(rootCause).toMatchObject({ category: "memory", rank: 3, evidence: [{ line: 2 }] });
});
