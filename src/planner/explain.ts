/**
 * Puts a training plan into words: the answer, why it won, what the runner-up lost by.
 * Knows: estimates and how people say them. Does not know: tables, terminals.
 */
import type { StepParts } from "../cost/step.ts";
import { layoutText } from "../spec/layout.ts";
import type { TrainingEstimate } from "./train.ts";

const partNames: Readonly<Record<Exclude<keyof StepParts, "total">, string>> = {
  compute: "compute",
  recompute: "recomputed activations",
  tensorCommunication: "tensor-parallel communication",
  contextCommunication: "context-parallel communication",
  expertCommunication: "expert all-to-all",
  pipelineCommunication: "stage transfers",
  dataCommunication: "gradient traffic",
  bubble: "pipeline bubble",
  optimizer: "optimizer",
  jitter: "stragglers",
  other: "step overhead",
};

const partKeys = Object.keys(partNames) as (keyof typeof partNames)[];

/** Parts with their names, largest first. */
export function rankedParts(parts: StepParts): { name: string; seconds: number; share: number }[] {
  return partKeys
    .map((key) => ({ name: partNames[key], seconds: parts[key], share: parts[key] / parts.total }))
    .sort((a, b) => b.seconds - a.seconds);
}

const percent = (share: number): string => `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** `61 to 74 days` in the precision that the spread deserves. */
export function daysRange(days: TrainingEstimate["days"]): string {
  const digits = days.p90 - days.p10 < 2 ? (days.p90 < 1 ? 2 : 1) : 0;
  const low = days.p10.toFixed(digits);
  const high = days.p90.toFixed(digits);
  return low === high ? `about ${low} days` : `${low}–${high} days`;
}

/** The first line of the answer. */
export function answerLine(best: TrainingEstimate, deadlineDays: number | null): string {
  const lost = percent(1 - best.goodput);
  if (!Number.isFinite(best.days.p50))
    return "will most likely never finish: failures come faster than the run recovers from them; add reliability, not devices";
  const finish = Number.isFinite(best.days.p90)
    ? `finishes in ${daysRange(best.days)} with 80 % probability`
    : `takes ${best.days.p50.toFixed(0)} days or more, and may never finish`;
  const failures = `${lost} of the time is lost to failures`;
  if (deadlineDays === null || best.probabilityByDeadline === null) return `${finish}; ${failures}`;
  const chance = best.probabilityByDeadline;
  const shown = chance > 0.995 ? "over 99 %" : chance < 0.005 ? "under 1 %" : percent(chance);
  return `${finish}; ${shown} chance to meet the deadline of ${deadlineDays} days; ${failures}`;
}

/** Why `winner` is faster than `loser`: the parts in which the loser spends more, largest first. */
export function whyLost(winner: TrainingEstimate, loser: TrainingEstimate): string {
  const gap = loser.stepSeconds - winner.stepSeconds;
  if (gap <= winner.stepSeconds * 1e-4) return `${layoutText(loser.layout)} is as fast`;
  const differences = partKeys
    .map((key) => ({ name: partNames[key], seconds: loser.parts[key] - winner.parts[key] }))
    .sort((a, b) => b.seconds - a.seconds);
  const worse = differences.filter(({ seconds }) => seconds > gap * 0.15).slice(0, 3);
  const better = differences
    .filter(({ seconds }) => seconds < -gap * 0.15)
    .reverse()
    .slice(0, 1);
  const more = worse.map(({ name, seconds }) => `${shownSeconds(seconds)} more ${name}`).join(", ");
  const less = better.map(({ name, seconds }) => `${shownSeconds(-seconds)} less ${name}`).join(", ");
  return `${percent(gap / winner.stepSeconds)} slower: ${more || "a little more of everything"}${less ? ` against ${less}` : ""}`;
}

export function shownSeconds(seconds: number): string {
  if (seconds >= 100) return `${seconds.toFixed(0)} s`;
  if (seconds >= 1) return `${seconds.toFixed(2)} s`;
  return `${(seconds * 1000).toFixed(seconds < 0.01 ? 2 : 0)} ms`;
}
