/** Tests the reasons that are given for models without a shape. */
import { expect, test } from "vitest";
import { findModel } from "./models.ts";
import { whyNoArchitecture } from "./models-without-shape.ts";

test.each([
  ["DeepSeek-V4-Flash FP8", /configuration is published, but its compressed sparse attention/],
  ["DeepSeekV4 Flash", /not modelled/],
  ["MoE-352B", /neither layers, widths nor experts/],
  ["GPT4-4x13B", /no script of it/],
  ["Nobody-9000B", /^the architecture of Nobody-9000B is not published$/],
])("%s has no preset, and the reason is told", (name, reason) => {
  expect(findModel(name)).toBeUndefined();
  expect(whyNoArchitecture(name)).toMatch(reason);
});
