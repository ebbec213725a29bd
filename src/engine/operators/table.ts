/**
 * Every operator that a graph may hold, by its ONNX name.
 * Knows: the list. Does not know: which platform covers which (catalog/onnx-operators.ts does).
 */
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { layout } from "./layout.ts";
import { matrix } from "./matrix.ts";
import type { Operator } from "./operator.ts";
import { reduction } from "./reduction.ts";

export const operators: Readonly<Record<string, Operator>> = {
  ...elementwise,
  ...matrix,
  ...reduction,
  ...layout,
  ...indexing,
};
