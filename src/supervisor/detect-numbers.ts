/**
 * Detects what only the numbers show: a loss that jumps, a rank that computes slowly, a link that carries little.
 * Knows: recent losses, compute times, link readings. Does not know: policy beyond its thresholds.
 */
import type { RunState } from "../journal/state.ts";
import type { Failover } from "../spec/run-file.ts";
import { startOf } from "./detect-end.ts";
import { type Finding, plainFinding } from "./finding.ts";
import { median } from "./recent.ts";
import { type LinkView, readingsKept, type View } from "./view.ts";

/** Losses before a spike can be told from the start of training. */
const lossHistory = 8;
/** Times below this are the scheduler's noise. */
const noiseSeconds = 0.02;
/** Slowness shorter than this is the scheduler's too, however many short steps it covers. */
const slownessSeconds = 1;

/** How many steps in a row must be slow: `stragglerSteps`, and enough of them to last a second. */
function streak(view: View, policy: Failover): number {
  const usual = median(view.stepSeconds.values()) ?? 1;
  return Math.min(
    readingsKept / 2,
    Math.max(policy.stragglerSteps, Math.ceil(slownessSeconds / Math.max(usual, 1e-3))),
  );
}

/** A loss above `lossSpikeFactor` × the median of the 32 losses before it; each step is reported once in a run. */
export function detectLossSpike(view: View, state: RunState, policy: Failover): Finding[] {
  const losses = view.losses.values();
  const newest = losses.at(-1);
  if (newest === undefined || losses.length <= lossHistory) return [];
  // After a restart, losses of later steps are known already; they say nothing about an earlier one.
  const before = losses.slice(-33, -1).filter(({ step }) => step < newest.step);
  if (before.length < lossHistory) return [];
  const usual = median(before.map(({ loss }) => loss)) ?? 0;
  if (!(newest.loss > policy.lossSpikeFactor * usual) || usual <= 0) return [];
  if (state.faults.some(({ detected }) => detected.kind === "loss-spike" && detected.step === newest.step)) return [];
  const why = `the loss jumped to ${newest.loss.toPrecision(4)} at step ${newest.step}`;
  const evidence = [`loss ${newest.loss}, median of the steps before ${usual}`];
  return [
    {
      ...plainFinding,
      kind: "loss-spike",
      rank: null,
      step: newest.step,
      detectedBy: "loss",
      since: view.lastProgressAt,
      why,
      evidence,
    },
  ];
}

/**
 * A rank whose compute time per micro-batch was above `stragglerFactor` × the median of the others for `stragglerSteps`
 * steps in a row and a second at least. `share` gives the micro-batches of a rank: with 3 ranks one has twice the work and is no straggler.
 */
export function detectStragglers(view: View, policy: Failover, share: (rank: number) => number): Finding[] {
  if (view.ranks.length < 2) return [];
  const enough = streak(view, policy);
  const times = timesByStep(view, enough, share);
  return view.ranks.flatMap((rank) => {
    const own = rank.computeSeconds.values().slice(-enough);
    if (own.length < enough) return [];
    const ratios = own.map(({ step, seconds }) => slowness(seconds, share(rank.rank), times.get(step) ?? []));
    if (!ratios.every((ratio) => ratio > policy.stragglerFactor)) return [];
    const worst = Math.min(...ratios);
    const why = `rank ${rank.rank} computes ${worst.toFixed(1)} times slower than the others`;
    const evidence = own.slice(-4).map(({ step, seconds }) => `step ${step}: ${seconds.toFixed(3)} s of computing`);
    const ids = { rank: rank.rank, step: own.at(-1)?.step ?? 0, since: startOf(rank) };
    return [{ ...plainFinding, ...ids, kind: "straggler", detectedBy: "step-time", why, evidence }];
  });
}

/** Of each recent step, all ranks' seconds per micro-batch, sorted. */
function timesByStep(view: View, steps: number, share: (rank: number) => number): Map<number, number[]> {
  const times = new Map<number, number[]>();
  for (const rank of view.ranks) {
    for (const { step, seconds } of rank.computeSeconds.values().slice(-steps)) {
      const list = times.get(step) ?? [];
      times.set(step, list);
      list.push(seconds / share(rank.rank));
    }
  }
  for (const list of times.values()) list.sort((a, b) => a - b);
  return times;
}

/** How many times slower than the median of the others; 0 when the difference is noise or there are no others. */
function slowness(seconds: number, share: number, sorted: readonly number[]): number {
  const own = seconds / share;
  // Whoever is suspected is slower than the median, so leaving it out moves the middle by half a place down.
  const usual = sorted[Math.ceil((sorted.length - 1) / 2) - 1];
  if (usual === undefined || usual >= own || seconds - usual * share < noiseSeconds) return 0;
  return own / usual;
}

/**
 * A link that carried less than `slowLinkShare` of the usual rate for `stragglerSteps` steps in a row and a second at least. Usual is the median
 * over all links of the attempt before that, so a pool whose links all are narrow has no slow link.
 */
export function detectSlowLinks(view: View, policy: Failover): Finding[] {
  const links = [...view.links.values()];
  const stepSeconds = median(view.stepSeconds.values()) ?? 0;
  const enough = streak(view, policy);
  return links.flatMap((link) => {
    const steps = newestSteps(link, enough);
    const from = steps[0];
    if (from === undefined || steps.length < enough) return [];
    const before = links.flatMap((other) => other.readings.values().filter((reading) => reading.step < from));
    const usual = median(before.map(({ bytes, seconds }) => bytes / seconds));
    if (usual === undefined || before.length < policy.stragglerSteps) return [];
    const slow = steps.every((step) => {
      const best = rateAt(link, step);
      return (
        best.rate < policy.slowLinkShare * usual &&
        best.seconds - best.bytes / usual > Math.max(noiseSeconds, 0.1 * stepSeconds)
      );
    });
    if (!slow) return [];
    const { rate } = rateAt(link, steps.at(-1) ?? 0);
    const why = `the link between rank ${link.low} and rank ${link.high} carries ${((rate / usual) * 100).toFixed(0)} % of what is usual`;
    const evidence = [`${rate.toFixed(0)} bytes/s, usual ${usual.toFixed(0)} bytes/s, ${steps.length} steps in a row`];
    const ends = [view.ranks[link.low], view.ranks[link.high]];
    const since = ends.flatMap((rank) => (rank === undefined ? [] : [startOf(rank)])).find((time) => time !== null);
    const ids = { rank: link.high, peer: link.low, step: steps.at(-1) ?? 0 };
    return [{ ...plainFinding, ...ids, kind: "link-slow", detectedBy: "link", since: since ?? null, why, evidence }];
  });
}

function newestSteps(link: LinkView, count: number): number[] {
  return [...new Set(link.readings.values().map(({ step }) => step))].sort((a, b) => a - b).slice(-count);
}

/** The better of the two ends' readings: the worse one also waited for the other end's computing. */
function rateAt(link: LinkView, step: number): { rate: number; bytes: number; seconds: number } {
  const readings = link.readings.values().filter((reading) => reading.step === step);
  const rated = readings.map(({ bytes, seconds }) => ({ rate: bytes / seconds, bytes, seconds }));
  return rated.reduce((best, next) => (next.rate > best.rate ? next : best), { rate: 0, bytes: 0, seconds: 0 });
}
