/**
 * What the workers of an attempt are told.
 * Knows: run file, state. Does not know: how it reaches them.
 */
import type { RunState } from "../journal/state.ts";
import { isEngineRun, type RunFile } from "../spec/run-file.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";

/** The spec of the attempt that `state` has just intended; `file.data` must hold absolute paths by now. */
export function workerSpec(state: RunState, file: RunFile, folders: WorkerSpec["folders"]): WorkerSpec {
  const { attempt } = state;
  if (!isEngineRun(file)) throw new RangeError(`${file.name} has no model to train`);
  const pool = file.pools.find(({ name }) => name === attempt?.pool);
  if (attempt === undefined || pool === undefined) throw new RangeError(`no attempt on a pool of ${file.name}`);
  const struck: Record<string, number> = {};
  for (const { fault } of state.strikes) struck[fault] = (struck[fault] ?? 0) + 1;
  const { resume } = attempt;
  return {
    v: 1,
    run: file.name,
    epoch: attempt.epoch,
    pool: pool.name,
    model: file.model,
    data: file.data,
    train: file.train,
    emulate: pool.emulate,
    failover: file.failover,
    folders,
    resume: resume === null ? null : { path: resume.path, step: resume.step },
    struck,
  };
}
