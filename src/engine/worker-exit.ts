/**
 * Why a worker ends before its last step, with the exit code that says so.
 * Knows: exit codes. Does not know: processes.
 */
import { workerExitCode } from "../spec/worker-event.ts";

export class WorkerExit extends Error {
  override readonly name = "WorkerExit";
  readonly code: number;
  constructor(why: keyof typeof workerExitCode, message: string) {
    super(message);
    this.code = workerExitCode[why];
  }
}
