/** Which steps replay as graphs, and what packed documents do to attention. */
import { expect, test } from "vitest";
import { requireAccelerator } from "../catalog/accelerators.ts";
import { requireModel } from "../catalog/models.ts";
import { hardwareFor } from "./hardware.ts";
import { graphsOf, modelShape } from "./setup.ts";

const graphs = (model: string, accelerator: string, releaseYears: number) => {
  const hardware = hardwareFor(requireAccelerator(accelerator, "test"), "fp8");
  if (!hardware) throw new Error("no fp8");
  const shape = modelShape(requireModel(model, "test").architecture(), 4096);
  return graphsOf({ shape, hardware, stack: "bridge", releaseYears, blockScaled: true });
};

test.each([
  ["deepseek-v3", "gb200", 0, "modules"],
  ["deepseek-v3", "gb200", 0.5, "step"],
  ["deepseek-v3", "b200-sxm", 0.5, "none"],
  ["llama-3.1-405b", "gb200", 0.5, "none"],
] as const)("%s on %s, %s years after 2026: %s", (model, accelerator, years, expected) => {
  expect(graphs(model, accelerator, years)).toBe(expected);
});

test("attention inside packed documents sees the document's keys, never more than the sequence's", () => {
  const architecture = requireModel("llama-3.1-405b", "test").architecture();
  expect(modelShape(architecture, 4096, 512).keysCausal).toBe(modelShape(architecture, 512).keysCausal);
  expect(modelShape(architecture, 4096, 8192).keysCausal).toBe(modelShape(architecture, 4096).keysCausal);
});
