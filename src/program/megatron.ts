/**
 * Reads the lines that Megatron-LM and MindSpeed print (training_log in megatron/training/training.py), on the last rank.
 * Knows: their fields and what is printed around saving, loading and evaluating. Does not know: ranks, time.
 */
import { number, type Reading, stepNumber } from "./reading.ts";

const head = /(?:^|[\s\]>])iteration:?\s+(\d+)(?:\/\s*(\d+))?\s*\|(.*)$/;
const field = /([A-Za-z][A-Za-z0-9_ ()/%.-]{0,80}?):\s+([-+]?(?:\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|nan|inf))\s*(?=\||$)/gi;
const phases: readonly (readonly [RegExp, "save" | "load" | "validate" | "compute"])[] = [
  [/\bsuccessfully (?:saved|loaded) (?:local )?checkpoint\b|\bscheduled an async checkpoint save\b/, "compute"],
  [/\bsaving checkpoint at iteration\b/, "save"],
  [/\bloading (?:release )?(?:distributed )?checkpoint from\b/, "load"],
  [/\bEvaluating on \d+ samples\b|\bEvaluating iter \d+\/\d+/, "validate"],
  [/\bvalidation loss at iteration\b/, "compute"],
];

/** What the time of a step is called; forks say `this`, or give seconds. */
const elapsed: readonly (readonly [string, number])[] = [
  ["elapsed time per iteration (ms)", 1000],
  ["elapsed time this iteration (ms)", 1000],
  ["elapsed time per iteration (s)", 1],
];

/** `iteration 12/ 100 | … | lm loss: 2.5E+00 | …`. */
export function readMegatron(line: string): Reading | undefined {
  const match = head.exec(line);
  const step = stepNumber(match?.[1]);
  const fields = new Map<string, number>();
  for (const [, name = "", text] of (match?.[3] ?? "").matchAll(field)) {
    const value = number(text);
    if (value !== undefined) fields.set(name.trim().toLowerCase(), value);
  }
  const seconds = elapsed.flatMap(([name, perSecond]) => {
    const value = fields.get(name);
    return value === undefined ? [] : [value / perSecond];
  })[0];
  // A line that times no iteration is about one: what begins, how it was validated, somebody's own words.
  if (match === null || step === undefined || seconds === undefined) {
    const phase = phases.find(([pattern]) => pattern.test(line))?.[1];
    return phase === undefined ? undefined : { says: "phase", phase };
  }
  const skipped = fields.get("number of skipped iterations");
  const nanSteps = fields.get("number of nan iterations");
  return {
    says: "step",
    step,
    total: stepNumber(match[2]),
    loss: lossOf(fields, skipped ?? 0),
    gradNorm: fields.get("grad norm"),
    seconds,
    consumedTokens: fields.get("consumed tokens"),
    skipped,
    nanSteps,
  };
}

/** Losses that come beside the one that is trained on, and what is called a loss and is none. */
const beside = /load_balancing_loss|z_loss|aux|indexer|mtp|scale|ppl/;

/**
 * A loss field is printed only where the mean is ≥ 0 (MindSpeed and older versions: > 0), which NaN is not: a field that is missing
 * means NaN, unless all that it is the mean of was skipped. A task of one's own may call its loss otherwise.
 */
function lossOf(fields: ReadonlyMap<string, number>, skipped: number): number | undefined {
  const own = [...fields].find(([name]) => /\bloss|loss\b/.test(name) && !beside.test(name))?.[1];
  const loss = fields.get("lm loss") ?? fields.get("lm_loss") ?? own;
  return loss ?? (skipped > 0 ? undefined : Number.NaN);
}
