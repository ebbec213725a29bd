/**
 * Detects ranks that live and do not get on: progress, not liveness, is health.
 * Knows: observed silence, phases, who waits for whom. Does not know: clocks (silence is a value), what is done about it.
 */
import type { RunState } from "../journal/state.ts";
import type { Failover } from "../spec/run-file.ts";
import { nextStep, startOf } from "./detect-end.ts";
import { type Finding, plainFinding } from "./finding.ts";
import { type RankView, silentSecondsOf, stoppedSecondsOf, type View } from "./view.ts";

/** Intervals between a program's reports before a longer one can be told from a usual one, and before it can be told well. */
const reportsKnown = 5;
const reportsTrusted = 16;
/** Meanwhile a program that announces nothing may be saving, evaluating or waiting for data without a word: it gets so many times `hangSeconds`. */
const unannounced = 10;
/** A silence that it has come back from may come again, and longer. */
const longestFactor = 2;

/**
 * A hang: no step completed for max(hangSeconds, hangStepFactor × p99 step), or `startSeconds` before the first step and in
 * a phase that may take long. Of somebody's own program, a step is a report, and where it hung before it gets `startSeconds`
 * (`faults` are the run's so far). Heartbeats do not count as progress. A process that is stopped (state T) needs only
 * `hangSeconds` whatever the phase. The rank to blame is the one that waits for nobody.
 */
export function detectSilence(
  view: View,
  policy: Failover,
  saysSteps = true,
  faults: RunState["faults"] = [],
): Finding[] {
  if (view.agentEnded !== undefined) return [];
  const stopped = [...view.stopped].filter(
    (rank) => rank.exit === undefined && stoppedSecondsOf(view, rank) >= policy.hangSeconds,
  );
  if (stopped.length > 0) {
    return stopped.map((rank) =>
      hang(view, rank, [
        `process is stopped by a signal for ${round(stoppedSecondsOf(view, rank))} s`,
        describe(view, rank),
      ]),
    );
  }
  // A program that has never shown a step may simply print none: its silence says nothing.
  if (!saysSteps && !view.firstStep) return [];
  const limit = Math.max(silenceLimit(view, policy), hungBefore(view, faults) ? policy.startSeconds : 0);
  if (view.silentSeconds <= limit) return [];
  const evidence = [`no step for ${round(view.silentSeconds)} s, the limit is ${round(limit)} s`];
  const rank = toBlame(view);
  if (!view.firstStep) {
    const why = `no first step within ${round(limit)} s; rank ${rank?.rank ?? "?"} has not got on`;
    const base = { ...plainFinding, rank: rank?.rank ?? null, step: nextStep(view), detectedBy: "progress" };
    return [{ ...base, kind: "hang", why, evidence: [...evidence, ...(rank ? [describe(view, rank)] : [])] }];
  }
  return rank === undefined ? [] : [hang(view, rank, [...evidence, describe(view, rank)])];
}

/**
 * Whether somebody's own program was taken for hung at this very step before. It may do something there that takes long and that it
 * says nothing of, evaluate for example, and would be stopped there again and again.
 */
function hungBefore(view: View, faults: RunState["faults"]): boolean {
  if (view.speaker !== "any") return false;
  const step = nextStep(view);
  return faults.some(({ detected }) => detected.kind === "hang" && detected.step === step);
}

/** Seconds of silence that are no hang yet. */
export function silenceLimit(view: View, policy: Failover): number {
  const isMute = view.speaker === "any" && !view.ranks.some(({ announces }) => announces);
  const patience = isMute && view.stepSeconds.size < reportsTrusted ? unannounced : 1;
  const longest = isMute ? longestFactor * view.longestReportSeconds : 0;
  const limit = Math.max(patience * policy.hangSeconds, policy.hangStepFactor * view.usualStepSeconds.p99, longest);
  // The usual time of somebody's own program is known only after a few reports.
  const unknown = view.speaker === "any" && view.stepSeconds.size < reportsKnown;
  // Whoever has ended with 0 leaves the others to finish.
  const isEnding = view.speaker === "any" && view.ranks.some(({ exit }) => exit?.code === 0);
  const takesLong = unknown || isEnding || !view.firstStep || view.inLongPhase > 0;
  return takesLong ? Math.max(limit, policy.startSeconds) : limit;
}

function hang(view: View, rank: RankView, evidence: readonly string[]): Finding {
  return {
    ...plainFinding,
    kind: "hang",
    rank: rank.rank,
    step: nextStep(view),
    detectedBy: "progress",
    since: startOf(rank) ?? view.lastProgressAt,
    why: `rank ${rank.rank} does not get on`,
    evidence,
  };
}

/** A rank whose process is stopped; else follows who waits for whom to the rank that waits for nobody, and of several to the one that was silent longest. */
function toBlame(view: View): RankView | undefined {
  const stopped = [...view.stopped].find(({ exit }) => exit === undefined);
  if (stopped !== undefined) return stopped;
  const living = view.ranks.filter((rank) => rank.exit === undefined);
  const notWaiting = living.filter((rank) => rank.phase !== "reduce");
  const candidates = notWaiting.length > 0 ? notWaiting : living;
  const awaited = new Set(living.map((rank) => rank.waitingFor));
  const accused = candidates.filter((rank) => awaited.has(rank.rank));
  const from = accused.length > 0 ? accused : candidates;
  return from.reduce<RankView | undefined>(
    (worst, rank) => (worst === undefined || rank.heardAt < worst.heardAt ? rank : worst),
    undefined,
  );
}

function describe(view: View, rank: RankView): string {
  const waits = rank.waitingFor === undefined ? "" : `, waiting for rank ${rank.waitingFor}`;
  return `rank ${rank.rank}: phase ${rank.phase}${waits}, last heard ${round(silentSecondsOf(view, rank))} s ago`;
}

const round = (seconds: number): string => seconds.toFixed(1);
