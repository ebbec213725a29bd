/**
 * What a pool's own burn-in says about the chance that it completes one full run.
 * Knows: Gamma–Poisson for the fault rate, Beta–binomial for whether runs complete at all, link and operator findings.
 * Does not know: layouts, prices, how the evidence was gathered.
 *
 * Two doubts are kept apart. How often nodes fail is a rate, and a run outlives faults at the price of time. Whether the
 * platform carries this run to its end at all (kernels, collectives, numerics) is a probability that no fault count
 * shows; only completed and abandoned runs speak to it.
 */
import * as z from "zod";
import { type GammaRate, ratePrior } from "../catalog/reliability.ts";
import { platformRuns } from "../catalog/reliability-platforms.ts";
import type { Platform } from "../spec/vocabulary.ts";
import { completionMoments, probabilityWithin } from "./evidence-completion.ts";
import { betaQuantile, gammaQuantile } from "./evidence-distributions.ts";

const secondsPerDay = 86400;

/** Findings of a burn-in; everything may be left out, and then the prior speaks. */
export const PoolEvidence = z.strictObject({
  /** Node-days watched under load, and the faults seen in them that would have stopped a run. */
  nodeDays: z.number().nonnegative().max(1e9).default(0),
  faults: z.number().nonnegative().max(1e9).default(0),
  /** Measured over nominal all-reduce bus bandwidth. */
  linkShare: z.number().positive().max(1.5).default(1),
  /** Operators that the run needs and the platform's kit lacks, and the days that porting one takes; without days the run is blocked. */
  missingOperators: z.array(z.string().min(1).max(200)).max(10_000).default([]),
  portDaysEach: z.number().nonnegative().max(3650).optional(),
  /** Full-size runs begun on this pool, and those of them that reached their end. */
  runsAttempted: z.int().nonnegative().max(100_000).default(0),
  runsCompleted: z.int().nonnegative().max(100_000).default(0),
});
export type PoolEvidence = z.infer<typeof PoolEvidence>;

/** A run as this question needs it: size, failure-free work, recovery costs and the time there is. */
export interface RunOnPool {
  platform: Platform;
  nodes: number;
  /** Failure-free seconds of the run at nominal link speed, and the seconds until it must be done. */
  productiveSeconds: number;
  deadlineSeconds: number;
  checkpointStallSeconds: number;
  downSeconds: number;
  /** Share of a step that waits for communication at nominal link speed. */
  exposedCommunicationShare: number;
}

export interface CompletionBelief {
  /** P(one full run completes in time), and its 90 % credible interval. */
  probability: number;
  interval: readonly [number, number];
  /** The factors of `probability`: in time despite faults; the platform completes runs at all; no operator blocks it. */
  parts: { faults: number; platform: number; operators: number };
  /** Posterior of faults per node-day: mean and 90 % interval. */
  rate: GammaRate;
  ratePerNodeDay: { mean: number; interval: readonly [number, number] };
  /** How much longer a step takes than nominal because of slow links; days before training can start. */
  stretch: number;
  portDays: number;
  /** Productive over wall time at the mean rate, and at the rate that nine pools in ten like this one stay below. */
  goodput: number;
  goodputCautious: number;
  /** What would have to be seen to change the answer. */
  wanted: string[];
}

/** Posterior of the fault rate: gamma prior, Poisson faults over node-days. */
export function updateRate(prior: GammaRate, { faults, nodeDays }: { faults: number; nodeDays: number }): GammaRate {
  return { shape: prior.shape + faults, nodeDays: prior.nodeDays + nodeDays };
}

/** P(one full run completes in time) on a pool of which `evidence` is known; `prior` defaults to that of published systems. */
export function completionBelief(run: RunOnPool, evidence: PoolEvidence, prior = ratePrior()): CompletionBelief {
  const rate = updateRate(prior, evidence);
  const stretch = 1 + run.exposedCommunicationShare * Math.max(0, 1 / evidence.linkShare - 1);
  const missing = evidence.missingOperators.length;
  const portDays = missing * (evidence.portDaysEach ?? 0);
  const operators = missing > 0 && evidence.portDaysEach === undefined ? 0 : 1;
  const within = (perNodeDay: number): number =>
    probabilityWithin(stretched(run, stretch, perNodeDay), run.deadlineSeconds - portDays * secondsPerDay);
  const rateAt = (p: number): number => gammaQuantile(rate.shape, p) / rate.nodeDays;
  const bins = 64;
  let faults = 0;
  for (let i = 0; i < bins; i++) faults += within(rateAt((i + 0.5) / bins)) / bins;
  const record = platformRecord(run.platform, evidence);
  const platform = record.completed / (record.completed + record.abandoned);
  const mean = rate.shape / rate.nodeDays;
  const goodputAt = (perNodeDay: number): number =>
    run.productiveSeconds / completionMoments(stretched(run, stretch, perNodeDay)).meanSeconds;
  // Each end of the interval lets both doubts lean the same way, each to the quantile that makes 5 % jointly if independent.
  const tail = 0.05 ** 0.75;
  const end = (p: number): number =>
    operators * within(rateAt(1 - p)) * betaQuantile(record.completed, record.abandoned, p);
  return {
    probability: faults * platform * operators,
    interval: [end(tail), end(1 - tail)],
    parts: { faults, platform, operators },
    rate,
    ratePerNodeDay: { mean, interval: [rateAt(0.05), rateAt(0.95)] },
    stretch,
    portDays,
    goodput: goodputAt(mean),
    goodputCautious: goodputAt(rateAt(0.9)),
    wanted: wantedEvidence({ faults, platform, operators, record, evidence, rate, within }),
  };
}

function stretched(run: RunOnPool, stretch: number, perNodeDay: number) {
  return {
    productiveSeconds: run.productiveSeconds * stretch,
    hazard: (run.nodes * perNodeDay) / secondsPerDay,
    checkpointStallSeconds: run.checkpointStallSeconds,
    downSeconds: run.downSeconds,
  };
}

/** Runs that count for and against the platform: Jeffreys' half each, the published ones, and the pool's own. */
function platformRecord(platform: Platform, { runsAttempted, runsCompleted }: PoolEvidence) {
  const published = platformRuns[platform];
  const abandoned = Math.max(0, runsAttempted - runsCompleted);
  return { completed: 0.5 + published.completed + runsCompleted, abandoned: 0.5 + published.abandoned + abandoned };
}

function wantedEvidence(state: {
  faults: number;
  platform: number;
  operators: number;
  record: { completed: number; abandoned: number };
  evidence: PoolEvidence;
  rate: GammaRate;
  within: (perNodeDay: number) => number;
}): string[] {
  const { faults, platform, operators, record, evidence, rate, within } = state;
  const wanted: string[] = [];
  if (operators === 0)
    wanted.push(
      `${evidence.missingOperators.length} missing operators ported (${evidence.missingOperators.slice(0, 3).join(", ")})`,
    );
  if (faults < 0.8) {
    // The clean node-days after which the run is in time at the posterior's mean rate.
    let days = 0;
    for (let more = 16; more <= 1 << 22; more *= 2) {
      if (within(rate.shape / (rate.nodeDays + more)) >= 0.8) {
        days = more;
        break;
      }
    }
    wanted.push(
      days > 0
        ? `about ${days} further node-days without a fault`
        : "a faster layout or a later deadline: it is too late even without faults",
    );
  }
  if (platform < 0.8) {
    const runs = Math.ceil((0.8 * (record.completed + record.abandoned) - record.completed) / 0.2);
    wanted.push(`${runs} ${runs === 1 ? "run" : "runs"} carried to the end here`);
  }
  return wanted;
}
