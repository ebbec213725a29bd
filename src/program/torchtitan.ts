/**
 * Reads the lines that torchtitan prints (components/metrics.py, components/checkpoint.py).
 * Knows: its one-line metrics. Does not know: ranks, time. `tps` there is per device, so the job's tokens cannot be told from it.
 */
import { number, type Reading, stepNumber, withoutColours } from "./reading.ts";

const metrics =
  /(?:^|\s)step:\s*(\d+)(?:\/(\d+)(?: = [\d.]+%)?)?\s+loss:\s*(\S+)(?:\s+grad_norm:\s*(\S+))?\s[^|]{0,200}?\bmemory:\s*-?[\d.]+GiB/;
const saving = /\b(?:Saving|Staging) the checkpoint\b|\bSaving a (?:full|model only) checkpoint\b/;
const loading = /\bLoading the checkpoint\b|\bLoading (?:from )?HF safetensors from\b/;
const done = /\bFinished (?:saving|staging|loading) the checkpoint\b|\bLast step checkpoint completed\b/;
const validating = /\bvalidate step:\s*\d+/;

/** `step: 10  loss:  7.76543  grad_norm:  2.3456  memory: 45.12GiB(56.78%)  tps: 5,678 …`. */
export function readTorchtitan(given: string): Reading | undefined {
  const line = withoutColours(given);
  if (validating.test(line)) return { says: "phase", phase: "validate" };
  const match = metrics.exec(line);
  const step = stepNumber(match?.[1]);
  if (match !== null && step !== undefined) {
    const total = stepNumber(match[2]);
    return {
      says: "step",
      step,
      ...(total !== undefined && { total }),
      loss: number(match[3]),
      gradNorm: number(match[4]),
    };
  }
  if (done.test(line)) return { says: "phase", phase: "compute" };
  if (saving.test(line)) return { says: "phase", phase: "save" };
  return loading.test(line) ? { says: "phase", phase: "load" } : undefined;
}
