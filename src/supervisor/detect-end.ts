/**
 * Detects processes that ended: workers by exit code or signal, the agent by its absence.
 * Knows: the view. Does not know: policy.
 */
import { diagnoseEnd } from "../diagnosis/worker-end.ts";
import { type Finding, plainFinding } from "./finding.ts";
import { byRank, type RankView, type View } from "./view.ts";

export function detectEnds(view: View): Finding[] {
  const ends = byRank(view.ended).flatMap((rank) => detectEnd(view, rank));
  return ends.length > 0 ? ends : detectAgent(view);
}

function detectEnd(view: View, rank: RankView): Finding[] {
  // A rank may be a step ahead of what rank 0 has said to be kept.
  const step = Math.max(nextStep(view), rank.strikes.at(-1)?.step ?? 0);
  const base = { ...plainFinding, rank: rank.rank, step, detectedBy: "exit" };
  if (rank.spawnFailed !== undefined) {
    const why = `rank ${rank.rank} did not start`;
    return [{ ...base, kind: "launch-failed", why, evidence: [rank.spawnFailed] }];
  }
  if (rank.exit === undefined) return [];
  const diagnosis = diagnoseEnd(rank.exit, rank.saidFinished);
  if (diagnosis === undefined) return [];
  const { kind, why, evidence } = diagnosis;
  const since = startOf(rank) ?? rank.exit.monotonicSeconds;
  return [{ ...base, kind, since, why: `rank ${rank.rank} ${why}`, evidence }];
}

function detectAgent(view: View): Finding[] {
  if (view.agentEnded === undefined && view.agent !== "gone") return [];
  const base = { ...plainFinding, rank: null, step: nextStep(view), detectedBy: "agent", kind: "agent-lost" } as const;
  if (view.agentEnded === "stopped") {
    return [{ ...base, why: "the agent was told to stop by somebody else", evidence: ["ended: stopped"] }];
  }
  if (view.agentEnded === "all-exited" && view.speaker === "any") {
    const why = "all ranks ended with 0 and left processes behind without having shown a step: the program forked away";
    return [{ ...base, kind: "process-exit", why, evidence: ["ended: all-exited"] }];
  }
  if (view.agentEnded === undefined && view.agent === "gone") {
    return [{ ...base, why: "the agent is gone", evidence: ["no process, no last record"] }];
  }
  return [];
}

/** When the last injected fault of a rank struck: what is then seen began there. */
export function startOf(rank: RankView): number | null {
  return rank.strikes.at(-1)?.monotonicSeconds ?? null;
}

/** The step that was being computed. */
export function nextStep(view: View): number {
  return (view.speaker === "any" ? view.step : (view.ranks[0]?.step ?? 0)) + 1;
}
