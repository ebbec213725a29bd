/**
 * Passes on what workers say of themselves and of their links, with the blame put right.
 * Knows: fault events, whose peer lives, is stopped, has ended. Does not know: policy.
 */
import type { RunState } from "../journal/state.ts";
import { startOf } from "./detect-end.ts";
import { type Finding, plainFinding } from "./finding.ts";
import { byRank, type RankView, silentSecondsOf, type View, type WorkerFault } from "./view.ts";

/** Findings of fault events that the journal does not hold yet. */
export function detectWorkerFaults(view: View, state: RunState): Finding[] {
  if (view.accusing.size === 0) return [];
  const known = new Set(
    state.faults
      .filter((fault) => fault.epoch === view.epoch && fault.detected.source !== null)
      .map((fault) => `${fault.detected.source?.rank}:${fault.detected.source?.seq}`),
  );
  return byRank(view.accusing).flatMap((rank) =>
    rank.faults.filter((fault) => !known.has(`${fault.rank}:${fault.seq}`)).map((fault) => finding(view, rank, fault)),
  );
}

function finding(view: View, rank: RankView, fault: WorkerFault): Finding {
  const since =
    fault.detectSeconds !== undefined && fault.monotonicSeconds !== undefined
      ? fault.monotonicSeconds - fault.detectSeconds
      : (startOf(rank) ?? fault.monotonicSeconds ?? null);
  const base: Finding = {
    ...plainFinding,
    kind: fault.kind,
    rank: fault.rank,
    peer: fault.peer ?? null,
    step: fault.step,
    detectedBy: "worker",
    since,
    retried: fault.retried,
    recoverSeconds: fault.recoverSeconds ?? null,
    why: sentence(fault),
    evidence: [fault.detail],
    source: { rank: fault.rank, seq: fault.seq },
  };
  const peer = fault.peer === undefined ? undefined : view.ranks[fault.peer];
  if (peer === undefined || fault.retried) return base;
  // Silence on a link whose other end is stopped is that process's fault, not the link's.
  if ((fault.kind === "link-silent" || fault.kind === "link-down") && peer.stoppedAt !== undefined) {
    const why = `rank ${peer.rank} does not get on: its process is stopped by a signal`;
    const evidence = [fault.detail, `rank ${peer.rank}: process state T`];
    return { ...base, kind: "hang", rank: peer.rank, peer: null, why, evidence, since: startOf(peer) ?? since };
  }
  // A silent link that the other end does not complain about while it says nothing at all: it hangs.
  if (
    fault.kind === "link-silent" &&
    peer.exit === undefined &&
    !accuses(peer, fault.rank) &&
    silentSecondsOf(view, peer) > 1
  ) {
    const why = `rank ${peer.rank} does not get on: silent towards rank ${fault.rank} and everyone else`;
    return { ...base, kind: "hang", rank: peer.rank, peer: null, why, since: startOf(peer) ?? since };
  }
  return base;
}

function accuses(rank: RankView, other: number): boolean {
  return rank.faults.some((fault) => fault.peer === other);
}

function sentence(fault: WorkerFault): string {
  const where = fault.peer === undefined ? `rank ${fault.rank}` : `rank ${fault.rank} and rank ${fault.peer}`;
  return `${where}: ${fault.kind} at step ${fault.step}${fault.retried ? ", mended in place" : ""}`;
}
