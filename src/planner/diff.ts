/**
 * Compares two plans field by field.
 * Knows: how to walk two JSON documents. Does not know: what the fields mean, beyond that numbers differ by a share.
 */

export interface PlanDifference {
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
  /** after / before − 1 where both are numbers and before is not 0. */
  readonly change: number | null;
}

const depthMax = 12;

/** Fields that differ between two plans, numbers by more than a millionth; `seconds` (how long the search took) does not count. */
export function diffPlans(before: unknown, after: unknown): PlanDifference[] {
  const differences: PlanDifference[] = [];
  walk("", before, after, differences, 0);
  return differences;
}

function walk(path: string, before: unknown, after: unknown, into: PlanDifference[], depth: number): void {
  if (path === "seconds" || depth > depthMax) return;
  if (isRecord(before) && isRecord(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
      walk(path === "" ? key : `${path}.${key}`, before[key], after[key], into, depth + 1);
    return;
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    const length = Math.max(before.length, after.length);
    for (let i = 0; i < length; i++) walk(`${path}[${i}]`, before[i], after[i], into, depth + 1);
    return;
  }
  if (typeof before === "number" && typeof after === "number") {
    const scale = Math.max(Math.abs(before), Math.abs(after));
    if (Math.abs(before - after) <= scale * 1e-6) return;
    into.push({ path, before, after, change: before === 0 ? null : after / before - 1 });
  } else if (before !== after) into.push({ path, before, after, change: null });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
