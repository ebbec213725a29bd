/**
 * The published training runs that the cost model is fitted to and judged by.
 * Knows: where the records lie. Does not know: their meaning; planner/training-rows.ts has the schema.
 */
import { runs as bloom } from "./data/training-runs-bloom.ts";
import { runs as bridge } from "./data/training-runs-bridge.ts";
import { runs as foundry } from "./data/training-runs-foundry.ts";
import { runs as manual } from "./data/training-runs-manual.ts";
import { runs as others } from "./data/training-runs-others.ts";
import { shapes } from "./data/training-shapes.ts";

/** Every record as parsed JSON, `shape` replaced by the architecture it counts to. */
export function trainingRecords(): unknown[] {
  const architectures: unknown[] = shapes.map((text) => JSON.parse(text));
  return [...manual, ...bridge, ...foundry, ...bloom, ...others].map((text) => {
    const { shape, ...run } = JSON.parse(text);
    return { ...run, architecture: shape === undefined || shape === null ? null : (architectures[shape] ?? null) };
  });
}
