/**
 * Says what the end of a worker means, from its exit code, its signal and the last lines that it printed.
 * Knows: exit codes of the embedded engine, shells and runtimes; a few words of runtimes that ran out of memory.
 * Does not know: other ranks, the run. The large rule base is `dualgauge diagnose`'s.
 */

import type { FaultKind } from "../spec/vocabulary.ts";
import { workerExitCode } from "../spec/worker-event.ts";

export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly lastLines: readonly string[];
}

export interface EndDiagnosis {
  readonly kind: FaultKind;
  /** One sentence without the rank. */
  readonly why: string;
  readonly evidence: readonly string[];
}

const outOfMemory = [
  /JavaScript heap out of memory/, // V8
  /\bCUDA out of memory\b|\bOutOfMemoryError\b/, // PyTorch
  /\bNPU out of memory\b/, // torch_npu
  /\bMemoryError\b|\bstd::bad_alloc\b|Cannot allocate memory/, // Python, C++, the kernel
];
const traceback = /^\S*(Error|Exception)\b.*:/;

/** What the end of a worker that nobody had asked to stop means; undefined when it is no fault (0 after the last step). */
export function diagnoseEnd(end: WorkerEnd, finished: boolean): EndDiagnosis | undefined {
  const { code, signal, lastLines } = end;
  const memory = lastLines.findLast((line) => outOfMemory.some((pattern) => pattern.test(line)));
  const how = signal === null ? `exit code ${code ?? "unknown"}` : signal;
  if (code === 0 && finished) return undefined;
  if (memory !== undefined && signal !== "SIGTERM") {
    return { kind: "out-of-memory", why: "ran out of memory", evidence: [how, memory] };
  }
  if (signal !== null) return { kind: "process-signal", why: `was ended by ${signal}`, evidence: [how] };
  const known = code === null ? undefined : byCode[code];
  if (known !== undefined) return { ...known, evidence: [how, ...lastLines.slice(-1)] };
  const error = lastLines.findLast((line) => traceback.test(line));
  const why = code === 0 ? "exited before the last step" : `exited with code ${code ?? "unknown"}`;
  return {
    kind: error === undefined ? "process-exit" : "program-error",
    why,
    evidence: [how, ...(error === undefined ? lastLines.slice(-1) : [error])],
  };
}

const byCode: Readonly<Record<number, { kind: FaultKind; why: string }>> = {
  [workerExitCode.badInput]: { kind: "bad-input", why: "refused what it was given" },
  [workerExitCode.linkLost]: { kind: "link-down", why: "lost a link" },
  [workerExitCode.corruptCheckpoint]: { kind: "corrupt-checkpoint", why: "could not load its checkpoint" },
  [workerExitCode.unsupported]: { kind: "unsupported-operator", why: "needs what the platform does not have" },
  [workerExitCode.stopped]: { kind: "process-exit", why: "was stopped by somebody else (SIGTERM)" },
  [workerExitCode.numerics]: { kind: "nan", why: "computed NaN or Inf twice" },
  [workerExitCode.fenced]: { kind: "process-exit", why: "was fenced off by a newer epoch" },
  [workerExitCode.noSpace]: { kind: "no-space", why: "found every storage tier full" },
  134: { kind: "process-signal", why: "aborted (exit code 134 is SIGABRT)" },
  137: {
    kind: "process-signal",
    why: "was killed (exit code 137 is SIGKILL, often the kernel's out-of-memory killer)",
  },
  139: { kind: "process-signal", why: "crashed (exit code 139 is SIGSEGV)" },
};
