/**
 * What the next attempt of a program starts: command, environment and flags that resume it.
 * Knows: run file, state. Does not know: how it is started.
 */
import { dirname } from "node:path";
import type { RunState } from "../journal/state.ts";
import type { ProgramAttempt } from "../launcher/program-attempt.ts";
import { resumeFlags } from "../spec/program.ts";
import type { ProgramRunFile } from "../spec/run-file.ts";

/** A look takes a second or two of one core where there are eight devices. */
const usualTelemetrySeconds = 10;

/** Of the attempt that `state` has just intended; `program.checkpoint.dir` must be absolute by now. */
export function programAttempt(state: RunState, file: ProgramRunFile, folder: string): ProgramAttempt {
  const { attempt } = state;
  const pool = file.pools.find(({ name }) => name === attempt?.pool);
  if (attempt === undefined || pool === undefined) throw new RangeError(`no attempt on a pool of ${file.name}`);
  const { command, env, workersPerNode, adapter, steps = 0, checkpoint, resume } = file.program;
  const { telemetrySeconds = usualTelemetrySeconds } = file.program;
  const from = attempt.resume;
  const flags =
    from === null || resume === undefined
      ? []
      : resumeFlags(resume.flags, { path: from.path, step: from.step, dir: checkpoint?.dir ?? dirname(from.path) });
  return {
    run: file.name,
    command: [...(pool.command ?? command), ...flags],
    env: { ...env, ...pool.env },
    cwd: folder,
    ...{ workersPerNode, adapter, steps, step: from?.step ?? 0, checkpoint: checkpoint ?? null, telemetrySeconds },
  };
}
