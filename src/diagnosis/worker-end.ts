/**
 * Says what the end of a worker means, from its exit code, its signal and what the diagnosis of its last lines says.
 * Knows: exit codes of the embedded engine, shells and runtimes. Does not know: texts (the rule base does), other ranks, the run.
 */

import type { FaultKind } from "../spec/vocabulary.ts";
import { workerExitCode } from "../spec/worker-event.ts";
import { diagnoseLines, type RankLines } from "./diagnose.ts";
import type { Diagnosis, Finding } from "./diagnosis.ts";

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

/** What the end of a worker that nobody had asked to stop means; undefined when it is no fault (0 after the last step). */
export function diagnoseEnd(end: WorkerEnd, finished: boolean): EndDiagnosis | undefined {
  const { code, signal, lastLines } = end;
  if (code === 0 && finished) return undefined;
  const how = signal === null ? `exit code ${code ?? "unknown"}` : signal;
  const { rootCause } = diagnosisOf(end);
  const said = rootCause?.evidence[0]?.text;
  const evidence = [how, ...(said === undefined ? lastLines.slice(-1) : [said])];
  if (rootCause?.category === "memory" && rootCause.action === "fix-job" && signal !== "SIGTERM") {
    return { kind: "out-of-memory", why: "ran out of memory", evidence };
  }
  if (signal !== null) return { kind: "process-signal", why: `was ended by ${signal}`, evidence: [how] };
  const known = code === null ? undefined : byCode[code];
  if (known !== undefined) return { ...known, evidence: [how, ...lastLines.slice(-1)] };
  const why = code === 0 ? "exited before the last step" : `exited with code ${code ?? "unknown"}`;
  return { kind: rootCause === null ? "process-exit" : kindOf(rootCause), why, evidence };
}

function kindOf({ category, action }: Finding): FaultKind {
  if (action === "free-space") return "no-space";
  if (action === "fail-over") return "unsupported-operator";
  return category === "workload" ? "program-error" : "process-exit";
}

const remembered = new WeakMap<WorkerEnd, Diagnosis>();

/** Looked at on every tick until the fault is settled, so each end is diagnosed once. */
function diagnosisOf(end: WorkerEnd): Diagnosis {
  const known = remembered.get(end);
  if (known !== undefined) return known;
  const diagnosis = diagnoseLines([{ name: "worker", rank: undefined, lines: end.lastLines }]);
  remembered.set(end, diagnosis);
  return diagnosis;
}

/** More ranks than these say nothing new, and one look must not take long. */
const ranksMax = 1024;

/** The cause among the last lines of all ranks together, as `diagnose` would name it; line numbers count within them. */
export function diagnoseEnds(ends: readonly { readonly rank: number; readonly end: WorkerEnd }[]): Finding | null {
  const logs = ends
    .filter(({ end }) => end.lastLines.length > 0)
    .slice(0, ranksMax)
    .map(({ rank, end }): RankLines => ({ name: `rank ${rank}`, rank, lines: end.lastLines }));
  return logs.length === 0 ? null : diagnoseLines(logs).rootCause;
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
