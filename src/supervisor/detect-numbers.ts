/**
 * Detects what only the numbers show: a loss that jumps, a rank that computes slowly, a link that carries little.
 * Knows: recent losses, compute times, link readings. Does not know: policy beyond its thresholds.
 */
import type { RunState } from "../journal/state.ts";
import type { Failover } from "../spec/run-file.ts";
import { startOf } from "./detect-end.ts";
import { type Finding, plainFinding } from "./finding.ts";
import { median } from "./recent.ts";
import { type LinkRates, type LinkView, type RankView, readingsKept, type View } from "./view.ts";

/** Losses before a spike can be told from the start of training. */
const lossHistory = 8;
/** Times below this are the scheduler's noise. */
const noiseSeconds = 0.02;
/** Slowness that lasted less than this may be the scheduler's too, however many short steps it covers. */
const slownessSeconds = 2;
/** So many steps in a row are enough, however short they are. */
const streakMax = readingsKept / 2;

/**
 * How many of the newest `seconds` (oldest first) make a slowness that lasts: `stragglerSteps` at least, and as many as really
 * took two seconds together; undefined while they are too few.
 */
function streak(seconds: readonly number[], policy: Failover): number | undefined {
  let lasted = 0;
  for (let count = 1; count <= seconds.length; count++) {
    lasted += seconds[seconds.length - count] ?? 0;
    const isLong = lasted >= slownessSeconds && count >= policy.stragglerSteps;
    if (isLong || count >= streakMax) return count;
  }
  return undefined;
}

/**
 * Losses above `lossSpikeFactor` × the median of the 32 losses before each; a step is reported once in a run. All that are kept
 * are looked at: several steps may have been completed since the last look.
 */
export function detectLossSpike(view: View, state: RunState, policy: Failover): Finding[] {
  const losses = view.losses.values();
  if (losses.length <= lossHistory) return [];
  // Hardly ever is one high enough above the lowest to be worth a median.
  const worthwhile = policy.lossSpikeFactor * Math.max(0, Math.min(...losses.map(({ loss }) => loss)));
  return losses.flatMap(({ step, loss }, index) => {
    if (index < lossHistory || !(loss > worthwhile)) return [];
    // After a restart, losses of later steps are known already; they say nothing about an earlier one.
    const before = losses.slice(Math.max(0, index - 32), index).filter((earlier) => earlier.step < step);
    if (before.length < lossHistory) return [];
    const usual = median(before.map((earlier) => earlier.loss)) ?? 0;
    if (!(loss > policy.lossSpikeFactor * usual) || usual <= 0) return [];
    if (state.faults.some(({ detected }) => detected.kind === "loss-spike" && detected.step === step)) return [];
    const why = `the loss jumped to ${loss.toPrecision(4)} at step ${step}`;
    const evidence = [`loss ${loss}, median of the steps before ${usual}`];
    const since = view.lastProgressAt;
    return [{ ...plainFinding, kind: "loss-spike", rank: null, step, detectedBy: "loss", since, why, evidence }];
  });
}

/**
 * A rank whose compute time per micro-batch was above `stragglerFactor` × the median of the others for `stragglerSteps`
 * steps in a row and two seconds at least. `share` gives the micro-batches of a rank: with 3 ranks one has twice the work and is no straggler.
 */
export function detectStragglers(view: View, policy: Failover, share: (rank: number) => number): Finding[] {
  if (view.ranks.length < 2) return [];
  const isSlow = (rank: RankView, times: Times, count: number): boolean =>
    ratios(rank, times, count, share).every((ratio) => ratio > policy.stragglerFactor);
  // Whoever was not slow in its newest step is none: of ten thousand ranks hardly one is looked at closer.
  const newest = timesByStep(view, 1, share);
  const suspects = view.ranks.flatMap((rank) => {
    const last = rank.computeSeconds.values().at(-1);
    if (last === undefined || rank.computeSeconds.size < policy.stragglerSteps) return [];
    if (slowness(last.seconds, share(rank.rank), newest.get(last.step)) <= policy.stragglerFactor) return [];
    const steps = streak(
      rank.computeSeconds.values().map(({ seconds }) => seconds),
      policy,
    );
    return steps === undefined ? [] : [{ rank, steps }];
  });
  if (suspects.length === 0) return [];
  const times = timesByStep(view, Math.max(...suspects.map(({ steps }) => steps)), share);
  return suspects.flatMap(({ rank, steps }) => {
    if (!isSlow(rank, times, steps)) return [];
    const own = rank.computeSeconds.values().slice(-steps);
    const worst = Math.min(...ratios(rank, times, steps, share));
    const why = `rank ${rank.rank} computes ${worst.toFixed(1)} times slower than the others`;
    const evidence = own.slice(-4).map(({ step, seconds }) => `step ${step}: ${seconds.toFixed(3)} s of computing`);
    const ids = { rank: rank.rank, step: own.at(-1)?.step ?? 0, since: startOf(rank) };
    return [{ ...plainFinding, ...ids, kind: "straggler", detectedBy: "step-time", why, evidence }];
  });
}

/** How many times slower than the others a rank was in each of its newest steps. */
function ratios(rank: RankView, times: Times, steps: number, share: (rank: number) => number): readonly number[] {
  const own = rank.computeSeconds.values();
  const found: number[] = [];
  for (let at = own.length - steps; at < own.length; at++) {
    const reading = own[at];
    if (reading !== undefined) found.push(slowness(reading.seconds, share(rank.rank), times.get(reading.step)));
  }
  return found;
}

/** All ranks' seconds per micro-batch in a step, sorted. */
type Times = ReadonlyMap<number, Float64Array>;

/** Of the steps that are among the newest `steps` of any rank. */
function timesByStep(view: View, steps: number, share: (rank: number) => number): Times {
  const times = new Map<number, number[]>();
  for (const rank of view.ranks) {
    const own = rank.computeSeconds.values();
    for (let at = Math.max(0, own.length - steps); at < own.length; at++) {
      const step = own[at]?.step ?? 0;
      if (!times.has(step)) times.set(step, []);
    }
  }
  for (const rank of view.ranks) {
    const own = rank.computeSeconds.values();
    // A rank may be a step or two ahead of the one that it is compared with.
    for (let at = Math.max(0, own.length - steps - 2); at < own.length; at++) {
      const reading = own[at];
      if (reading !== undefined) times.get(reading.step)?.push(reading.seconds / share(rank.rank));
    }
  }
  return new Map([...times].map(([step, list]) => [step, Float64Array.from(list).sort()]));
}

/** How many times slower than the median of the others; 0 when the difference is noise or there are no others. */
function slowness(seconds: number, share: number, sorted: Float64Array = new Float64Array()): number {
  const own = seconds / share;
  // Whoever is suspected is slower than the median, so leaving it out moves the middle by half a place down.
  const usual = sorted[Math.ceil((sorted.length - 1) / 2) - 1];
  if (usual === undefined || usual >= own || seconds - usual * share < noiseSeconds) return 0;
  return own / usual;
}

/**
 * A link that carried less than `slowLinkShare` of the usual rate for `stragglerSteps` steps in a row and two seconds at least. Usual is the
 * median over the steps before that of the median over all links, so a pool whose links all are narrow has no slow link.
 */
export function detectSlowLinks(view: View, policy: Failover): Finding[] {
  if (view.links.size === 0) return [];
  const stepSeconds = view.usualStepSeconds.median;
  const usualByStep = [...view.linkRates].map(([step, rates]) => ({ step, rate: medianOf(rates) }));
  const most = Math.max(...usualByStep.map(({ rate }) => rate));
  const found: Finding[] = [];
  for (const link of view.links.values()) {
    // What is usual is at most the most that was usual in any step: hardly a link is looked at closer.
    const newest = link.readings.values().at(-1);
    if (newest === undefined || newest.bytes / newest.seconds >= policy.slowLinkShare * most) continue;
    const known = newestSteps(link, streakMax);
    const seconds = known.map((step) => rateAt(link, step).seconds);
    const enough = streak(seconds, policy);
    const steps = enough === undefined ? [] : known.slice(-enough);
    const from = steps[0];
    if (from === undefined) continue;
    const before = usualByStep.filter(({ step }) => step < from).map(({ rate }) => rate);
    const usual = median(before);
    if (usual === undefined || before.length < policy.stragglerSteps) continue;
    const slow = steps.every((step) => {
      const best = rateAt(link, step);
      return (
        best.rate < policy.slowLinkShare * usual &&
        best.seconds - best.bytes / usual > Math.max(noiseSeconds, 0.1 * stepSeconds)
      );
    });
    if (slow) found.push(slowLink(view, link, { usual, steps }));
  }
  return found;
}

function slowLink(view: View, link: LinkView, { usual, steps }: { usual: number; steps: readonly number[] }): Finding {
  const { rate } = rateAt(link, steps.at(-1) ?? 0);
  const why = `the link between rank ${link.low} and rank ${link.high} carries ${((rate / usual) * 100).toFixed(0)} % of what is usual`;
  const evidence = [`${rate.toFixed(0)} bytes/s, usual ${usual.toFixed(0)} bytes/s, ${steps.length} steps in a row`];
  const ends = [view.ranks[link.low], view.ranks[link.high]];
  const since = ends.flatMap((rank) => (rank === undefined ? [] : [startOf(rank)])).find((time) => time !== null);
  const ids = { rank: link.high, peer: link.low, step: steps.at(-1) ?? 0 };
  return { ...plainFinding, ...ids, kind: "link-slow", detectedBy: "link", since: since ?? null, why, evidence };
}

function medianOf(known: LinkRates): number {
  const { rates } = known;
  if (known.counted === rates.length) return known.median;
  known.counted = rates.length;
  known.median = Float64Array.from(rates).sort()[Math.ceil(rates.length / 2) - 1] ?? 0;
  return known.median;
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
