/**
 * Reads the lines that Megatron-LM and MindSpeed print (training_log in megatron/training/training.py), on the last rank.
 * Knows: their fields and what is printed around saving, loading and evaluating. Does not know: ranks, time.
 */
import { number, type Reading, stepNumber } from "./reading.ts";

const head = /(?:^|[\s\]>])iteration:?\s+(\d+)(?:\/\s*(\d+))?\s*\|(.*)$/;
const field = /([A-Za-z][A-Za-z0-9_ ()/%.-]{0,80}?):\s+([-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|nan|inf))\s*(?=\||$)/gi;
const phases: readonly (readonly [RegExp, "save" | "load" | "validate" | "compute"])[] = [
  [/\bsuccessfully (?:saved|loaded) checkpoint\b/, "compute"],
  [/\bsaving checkpoint at iteration\b/, "save"],
  [/\bloading (?:distributed )?checkpoint from\b/, "load"],
  [/\bEvaluating on \d+ samples\b|\bEvaluating iter \d+\/\d+/, "validate"],
  [/\bvalidation loss at iteration\b/, "compute"],
];

/** `iteration 12/ 100 | … | lm loss: 2.5E+00 | …`. */
export function readMegatron(line: string): Reading | undefined {
  const match = head.exec(line);
  const step = stepNumber(match?.[1]);
  if (match === null || step === undefined) {
    const phase = phases.find(([pattern]) => pattern.test(line))?.[1];
    return phase === undefined ? undefined : { says: "phase", phase };
  }
  const fields = new Map<string, number>();
  for (const [, name = "", text] of (match[3] ?? "").matchAll(field)) {
    const value = number(text);
    if (value !== undefined) fields.set(name.trim().toLowerCase(), value);
  }
  const milliseconds = fields.get("elapsed time per iteration (ms)");
  // A line that times no iteration is somebody's own words about one.
  if (milliseconds === undefined) return undefined;
  const skipped = fields.get("number of skipped iterations");
  const nanSteps = fields.get("number of nan iterations");
  return {
    says: "step",
    step,
    total: stepNumber(match[2]),
    loss: lossOf(fields, skipped ?? 0),
    gradNorm: fields.get("grad norm"),
    seconds: milliseconds / 1000,
    consumedTokens: fields.get("consumed tokens"),
    skipped,
    nanSteps,
  };
}

/**
 * A loss field is printed only where the mean is ≥ 0 (MindSpeed: > 0), which NaN is not: a field that is missing means NaN,
 * unless all that it is the mean of was skipped.
 */
function lossOf(fields: ReadonlyMap<string, number>, skipped: number): number | undefined {
  const loss = fields.get("lm loss") ?? fields.get("lm_loss") ?? fields.get("loss");
  return loss ?? (skipped > 0 ? undefined : Number.NaN);
}
