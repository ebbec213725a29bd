/** What the catalog says of operator sets, including what it refuses. */
import { expect, test } from "vitest";
import { onnxOperators, uncoveredOperators } from "./onnx-operators.ts";

test("covered operators give no line", () => {
  expect(uncoveredOperators(Object.keys(onnxOperators), 13)).toEqual([]);
  expect(uncoveredOperators(Object.keys(onnxOperators), 15)).toEqual([]);
});

test("a newer set is refused by the CANN provider, an older one by what came later", () => {
  expect(uncoveredOperators(["MatMul"], 16)).toEqual(["MatMul: the CANN provider takes sets 8 to 15, not 16"]);
  expect(uncoveredOperators(["GatherElements", "OneHot", "ScatterElements"], 8).join()).toContain(
    "ScatterElements: ATC",
  );
});

test("what is not listed is refused, whatever its name", () => {
  expect(uncoveredOperators(["RMSNormalization", "constructor"], 13)).toHaveLength(2);
});
