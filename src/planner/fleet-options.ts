/**
 * What each pool could do: for every job the sizes at which it may train there, for every service its speed per device.
 * Knows: estimates, evidence, confidence, the concave hull. Does not know: periods, money, which option is chosen.
 *
 * Between two sizes work is interpolated, which is the two sizes taking turns; sizes below the line through their
 * neighbours are left out, so that the program needs no binary per size.
 */
import { failuresPerNodeDay, type GammaRate, ratePrior } from "../catalog/reliability.ts";
import { type CompletionBelief, completionBelief } from "./evidence.ts";
import type { Fleet, ResolvedJob, ResolvedPool, ResolvedService } from "./fleet.ts";

export interface TrainingSpeed {
  /** Tokens per second of the whole run without faults, and the layout that reaches it. */
  tokensPerSecond: number;
  layout: string;
  /** Share of the step that waits for communication. */
  exposedCommunicationShare: number;
  basis: string;
}

export interface ServingSpeed {
  /** Output tokens per second and device within the latency objective, and the fewest devices that serve at all. */
  outputTokensPerSecondPerDevice: number;
  unitDevices: number;
  basis: string;
}

/** How fast a pool's chips are: the planner's models, or a measurement from the file. `reason` says why it cannot be done. */
export interface FleetEstimators {
  training(question: {
    job: ResolvedJob;
    pool: ResolvedPool;
    devices: number;
    precision: "bf16" | "fp16" | "fp8";
  }): TrainingSpeed | { reason: string };
  serving(question: { service: ResolvedService; pool: ResolvedPool }): ServingSpeed | { reason: string };
}

export interface TrainingPoint {
  /** Devices taken, spares included, and those that compute. */
  devices: number;
  active: number;
  /** Share of the job done per day, slow links and a cautious rate of faults included: nine pools in ten do as much. */
  workPerDay: number;
  speed: TrainingSpeed;
  belief: CompletionBelief;
}

export interface TrainingOption {
  job: string;
  pool: string;
  precision: string;
  /** First day on which training can start: operators ported. */
  readyDay: number;
  /** Ascending in devices, concave in work. */
  points: readonly TrainingPoint[];
}

export interface Rejection {
  job: string;
  pool: string;
  reason: string;
  /** The best chance found, where it was the chance that was too small; such a pool may be tried as if it were fit. */
  belief?: CompletionBelief;
  /** What it could do if it were trusted. */
  untrusted?: TrainingOption;
}

export interface ServingOption {
  service: string;
  pool: string;
  speed: ServingSpeed;
}

export interface FleetOptions {
  training: TrainingOption[];
  rejected: Rejection[];
  serving: ServingOption[];
  cannotServe: { service: string; pool: string; reason: string }[];
}

/** All options of a fleet. Deterministic; calls an estimator at most once per job, pool and size. */
export function fleetOptions(fleet: Fleet, estimators: FleetEstimators): FleetOptions {
  const options: FleetOptions = { training: [], rejected: [], serving: [], cannotServe: [] };
  for (const pool of fleet.pools) {
    for (const job of fleet.jobs) {
      const found = trainingOption(job, pool, estimators);
      if ("points" in found) options.training.push(found);
      else options.rejected.push({ job: job.id, pool: pool.id, ...found });
    }
    for (const service of fleet.services) {
      const found = pool.uses.includes("serve")
        ? estimators.serving({ service, pool })
        : { reason: "the file keeps this pool for training" };
      if ("reason" in found) options.cannotServe.push({ service: service.id, pool: pool.id, reason: found.reason });
      else options.serving.push({ service: service.id, pool: pool.id, speed: found });
    }
  }
  return options;
}

type Refusal = Omit<Rejection, "job" | "pool">;

function trainingOption(job: ResolvedJob, pool: ResolvedPool, estimators: FleetEstimators): TrainingOption | Refusal {
  if (!pool.uses.includes("train")) return { reason: "the file keeps this pool for serving" };
  const precision = job.precisions.find((candidate) => pool.chip.peakFlopsPerSecond[candidate] !== null);
  if (precision === undefined) return { reason: `${pool.chip.id} does not compute in ${job.precisions.join(" or ")}` };
  const reasons = new Map<string, number>();
  const points: TrainingPoint[] = [];
  for (const active of sizesOf(job, pool)) {
    const speed = estimators.training({ job, pool, devices: active, precision });
    if ("reason" in speed) reasons.set(speed.reason, active);
    else points.push(pointOf(job, pool, active, speed));
  }
  if (points.length === 0) return { reason: [...reasons.keys()].at(-1) ?? "the pool has no devices" };
  const option = (trusted: TrainingPoint[]): TrainingOption => ({
    job: job.id,
    pool: pool.id,
    precision,
    readyDay: Math.max(0, ...trusted.map(({ belief }) => belief.portDays)),
    points: concaveHull(trusted),
  });
  const trusted = points.filter(({ belief }) => belief.probability >= job.confidence);
  if (trusted.length > 0) return option(trusted);
  const best = points.reduce((a, b) => (b.belief.probability > a.belief.probability ? b : a));
  return { reason: doubt(best.belief, job.confidence), belief: best.belief, untrusted: option(points) };
}

function doubt({ probability, parts }: CompletionBelief, confidence: number): string {
  const [weakest] = Object.entries(parts).sort(([, a], [, b]) => a - b)[0] ?? ["faults"];
  const why = { faults: "faults", platform: "no run carried to its end", operators: "missing operators" }[weakest];
  return `P(one full run completes) is ${percent(probability)}, below the ${percent(confidence)} asked for: ${why}`;
}

const percent = (share: number): string => `${(share * 100).toFixed(0)} %`;

/** Devices that compute, in whole nodes; spares come on top. */
function sizesOf(job: ResolvedJob, pool: ResolvedPool): number[] {
  const node = pool.chip.nodeDevices;
  const all = pool.devices + pool.arrivals.reduce((sum, a) => sum + a.devices, 0) + (pool.supply?.devices ?? 0);
  const most = Math.floor(all / (1 + pool.spareShare) / node) * node;
  const asked = job.sizes ?? [1 / 4, 1 / 2, 3 / 4, 1].map((share) => Math.floor((most * share) / node) * node);
  return [...new Set(asked)].filter((size) => size > 0 && size <= most).sort((a, b) => a - b);
}

/** Devices that a run of `active` ones takes with its spares. */
function withSpares(pool: ResolvedPool, active: number): number {
  return Math.ceil(active * (1 + pool.spareShare));
}

function pointOf(job: ResolvedJob, pool: ResolvedPool, active: number, speed: TrainingSpeed): TrainingPoint {
  const productiveSeconds = job.tokens / speed.tokensPerSecond;
  const belief = completionBelief(
    {
      platform: pool.chip.platform ?? "cpu",
      nodes: Math.ceil(active / pool.chip.nodeDevices),
      productiveSeconds,
      // Whether it completes at all; the date is the program's affair. Twice the undisturbed time counts as never.
      deadlineSeconds: 2 * productiveSeconds,
      checkpointStallSeconds: pool.checkpointStallSeconds,
      downSeconds: pool.downSeconds,
      exposedCommunicationShare: speed.exposedCommunicationShare,
    },
    pool.evidence,
    priorOf(pool),
  );
  const daysUndisturbed = productiveSeconds / 86_400;
  return {
    devices: withSpares(pool, active),
    active,
    workPerDay: belief.goodputCautious / daysUndisturbed,
    speed,
    belief,
  };
}

function priorOf({ reliability }: ResolvedPool): GammaRate {
  if (reliability === undefined) return ratePrior();
  return { shape: failuresPerNodeDay(reliability) * 1000, nodeDays: 1000 };
}

/** The points on the upper concave hull; larger sizes that do less work are dropped. */
export function concaveHull<T extends { devices: number; workPerDay: number }>(points: readonly T[]): T[] {
  const hull: T[] = [];
  for (const point of [...points].sort((a, b) => a.devices - b.devices)) {
    if (hull.length > 0 && point.workPerDay <= (hull.at(-1)?.workPerDay ?? 0)) continue;
    for (;;) {
      const [a, b] = hull.slice(-2);
      if (a === undefined || b === undefined) break;
      const slope = (point.workPerDay - a.workPerDay) / (point.devices - a.devices);
      if (a.workPerDay + slope * (b.devices - a.devices) < b.workPerDay) break;
      hull.pop();
    }
    hull.push(point);
  }
  return hull;
}
