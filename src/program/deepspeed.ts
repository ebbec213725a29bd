/**
 * Reads the lines that DeepSpeed prints (runtime/engine.py, runtime/pipe/engine.py, utils/timer.py), and Megatron's under it.
 * Knows: their forms. Does not know: ranks, time.
 */
import { readMegatron } from "./megatron.ts";
import { number, type Reading, stepNumber } from "./reading.ts";

/** Losses beside the first one come between it and the time; a fork writes `step: 10 / 1000`. */
const pipeline = /\bsteps?:\s+(\d+)(?:\s*\/\s*(\d+))? loss: (\S+) (?:\S[^|]{0,500}? )?iter time \(s\): (\S+)/;
const plain = /\[Rank -?\d+\] step=(\d+), skipped=(\d+),/;
const timer = /\bglobal_step=(\d+), RunningAvgSamplesPerSec=/;
const saving = /\bSaving model checkpoint: |\] Saving \S+\.pt\.\.\./;
const saved = /\b[Cc]heckpoint global_step\d+ is ready now|\] Saved \S+\.pt\./;

/** `[Rank 0] step=40, skipped=2, …`, `steps: 10 loss: 2.3100 iter time (s): 1.200 …`, or a line of Megatron. */
export function readDeepspeed(line: string): Reading | undefined {
  const piped = pipeline.exec(line);
  if (piped !== null)
    return stepReading(piped[1], { total: stepNumber(piped[2]), loss: number(piped[3]), seconds: number(piped[4]) });
  // `skipped` counts since the beginning, so it is no figure of this step.
  const reported = plain.exec(line) ?? timer.exec(line);
  if (reported !== null) return stepReading(reported[1], {});
  if (saved.test(line)) return { says: "phase", phase: "compute" };
  if (saving.test(line)) return { says: "phase", phase: "save" };
  return readMegatron(line);
}

function stepReading(
  text: string | undefined,
  figures: { total?: number | undefined; loss?: number | undefined; seconds?: number | undefined },
): Reading | undefined {
  const step = stepNumber(text);
  return step === undefined ? undefined : { says: "step", step, ...figures };
}
