/**
 * FLEET.yaml: pools of several kinds, training jobs with deadlines and serving loads over periods.
 * Knows: keys, units, defaults, dates, which values contradict each other. Does not know: YAML, speeds, how it is solved.
 */
import * as z from "zod";
import { type Accelerator, requireAccelerator } from "../catalog/accelerators.ts";
import { type ModelPreset, requireModel } from "../catalog/models.ts";
import { failuresPerNodeDay } from "../catalog/reliability.ts";
import { BadInput, didYouMean } from "../spec/bad-input.ts";
import { PoolEvidence } from "./evidence.ts";

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/, "use lower-case letters, digits and dashes, at most 41");
const devices = z.int().nonnegative().max(1e7);
const dollars = z.number().nonnegative().max(1e12);
/** An ISO date, or days after the fleet's start. */
const When = z.union([z.number().min(0).max(36_500), z.iso.date()]);
const TrainingPrecision = z.enum(["bf16", "fp16", "fp8"]);

export const FleetPool = z.strictObject({
  accelerator: z.string().min(1).max(80),
  /** Devices at the start, and later arrivals. */
  devices,
  arrivals: z
    .array(z.strictObject({ at: When, devices }))
    .max(100)
    .default([]),
  /** Cost of a device in use; idle devices cost nothing here. */
  dollarsPerDeviceHour: dollars.max(1000),
  /** More devices that may be bought at the start, and when they come. */
  supply: z
    .strictObject({ devices, dollarsPerDevice: dollars.max(1e7), leadDays: z.number().min(0).max(3650) })
    .optional(),
  uses: z
    .array(z.enum(["train", "serve"]))
    .min(1)
    .default(["train", "serve"]),
  /** A record's id or failures per node-day: replaces the prior as if 1,000 node-days had shown it. */
  reliability: z.union([z.string().min(1).max(80), z.number()]).optional(),
  evidence: PoolEvidence.prefault({}),
  /** Share of a training run's devices kept idle as spares. */
  spareShare: z.number().min(0).max(1).default(0.02),
  /** Mean days until a failed node comes back as a spare. */
  repairDays: z.number().min(0).max(3650).default(1),
  checkpointStallSeconds: z.number().positive().max(86_400).default(60),
  /** From a fault to the first step after it. */
  downSeconds: z.number().nonnegative().max(864_000).default(900),
  /** Measured here instead of calculated, per device. */
  measured: z
    .strictObject({
      trainingTokensPerSecondPerDevice: z.number().positive().max(1e7).optional(),
      outputTokensPerSecondPerDevice: z.number().positive().max(1e7).optional(),
    })
    .prefault({}),
});
export type FleetPool = z.infer<typeof FleetPool>;

export const FleetJob = z.strictObject({
  model: z.string().min(1).max(120),
  tokens: z.number().positive().max(1e18),
  seq: z.int().positive().max(1_048_576).default(4096),
  globalBatch: z.int().positive().max(1_048_576),
  /** In order of preference; a pool takes the first that its chip computes in. */
  precisions: z.array(TrainingPrecision).min(1).default(["bf16"]),
  earliest: When.default(0),
  deadline: When,
  after: z.array(name).max(20).default([]),
  /** Cost of each day of lateness, and of not having finished at the end of the last period. */
  lateDollarsPerDay: dollars,
  unfinishedDollars: dollars.optional(),
  /** What each day until the job is done is worth, before the deadline as well. */
  dollarsPerDay: dollars.default(0),
  /** Sizes to consider; left out: a quarter, a half, three quarters and all of a pool. */
  sizes: z.array(devices.min(1)).min(1).max(20).optional(),
  /** Days that each start on a pool costs: staging, bring-up, checkpoint conversion after a move. */
  bringUpDays: z.number().min(0).max(365).default(2),
  /** A pool is only trusted with the job when P(one full run completes there) is at least this. */
  confidence: z.number().min(0).max(1).default(0.5),
});
export type FleetJob = z.infer<typeof FleetJob>;

export const FleetService = z.strictObject({
  model: z.string().min(1).max(120),
  inputTokens: z.int().positive().max(10_000_000),
  outputTokens: z.int().positive().max(10_000_000),
  /** Seconds to the first token and between tokens. */
  ttft: z.number().positive().max(3600).default(5),
  tpot: z.number().positive().max(60).default(0.05),
  /** Share of prompt tokens whose keys and values are found in a cache. */
  prefixHit: z.number().min(0).max(0.99).default(0),
  /** Load in output tokens per second: one figure, or one per period. */
  outputTokensPerSecond: z.union([
    z.number().nonnegative().max(1e12),
    z.array(z.number().nonnegative().max(1e12)).min(1).max(400),
  ]),
  unservedDollarsPerMillionTokens: dollars.max(1e6),
});
export type FleetService = z.infer<typeof FleetService>;

export const FleetFile = z.strictObject({
  name,
  start: z.iso.date(),
  periods: z.strictObject({ count: z.int().positive().max(104), days: z.number().positive().max(366) }),
  pools: z.record(name, FleetPool),
  jobs: z.record(name, FleetJob).default({}),
  services: z.record(name, FleetService).default({}),
});
export type FleetFile = z.infer<typeof FleetFile>;

/** A fleet whose names are resolved and whose dates are days after the start. */
export interface Fleet {
  name: string;
  start: string;
  periodDays: number;
  periods: number;
  pools: readonly (FleetPool & {
    id: string;
    chip: Accelerator;
    arrivalDays: readonly { day: number; devices: number }[];
  })[];
  jobs: readonly (FleetJob & { id: string; architecture: ModelPreset; earliestDay: number; deadlineDay: number })[];
  services: readonly (FleetService & { id: string; architecture: ModelPreset; load: readonly number[] })[];
}
export type ResolvedPool = Fleet["pools"][number];
export type ResolvedJob = Fleet["jobs"][number];
export type ResolvedService = Fleet["services"][number];

/** Parses what a YAML file held; BadInput with one line per problem: where, what, how to mend. */
export function parseFleet(value: unknown, file: string): Fleet {
  const parsed = FleetFile.safeParse(value);
  if (!parsed.success) throw new BadInput(...parsed.error.issues.flatMap((issue) => problemLines(issue, file)));
  const { data } = parsed;
  const problems: string[] = [];
  const day = (when: number | string): number =>
    typeof when === "number" ? when : dayNumber(when) - dayNumber(data.start);
  if (Object.keys(data.pools).length === 0) problems.push(`${file} pools: there is none; name at least one pool`);
  if (Object.keys(data.jobs).length + Object.keys(data.services).length === 0)
    problems.push(`${file} jobs: there is neither a job nor a service; add one to plan for`);
  const resolve = <T>(build: () => T): T[] => {
    try {
      return [build()];
    } catch (error) {
      if (!(error instanceof BadInput)) throw error;
      problems.push(...error.problems);
      return [];
    }
  };
  const pools = Object.entries(data.pools).flatMap(([id, pool]) =>
    resolve(() => {
      if (pool.evidence.runsCompleted > pool.evidence.runsAttempted)
        throw new BadInput(`${file} pools.${id}.evidence: more runs completed than attempted; raise runsAttempted`);
      if (pool.reliability !== undefined) failuresPerNodeDay(pool.reliability);
      const chip = requireAccelerator(pool.accelerator, `${file} pools.${id}.accelerator`);
      return { ...pool, id, chip, arrivalDays: pool.arrivals.map((a) => ({ day: day(a.at), devices: a.devices })) };
    }),
  );
  const jobs = Object.entries(data.jobs).flatMap(([id, job]) =>
    resolve(() => {
      for (const other of job.after)
        if (!(other in data.jobs) || other === id)
          throw new BadInput(
            `${file} jobs.${id}.after: no other job ${other}${didYouMean(other, Object.keys(data.jobs))}`,
          );
      const deadlineDay = day(job.deadline);
      const earliestDay = day(job.earliest);
      if (deadlineDay <= Math.max(0, earliestDay))
        throw new BadInput(`${file} jobs.${id}.deadline: it is not after the start of the job; give a later date`);
      return {
        ...job,
        id,
        architecture: requireModel(job.model, `${file} jobs.${id}.model`),
        earliestDay,
        deadlineDay,
      };
    }),
  );
  const services = Object.entries(data.services).flatMap(([id, service]) =>
    resolve(() => ({
      ...service,
      id,
      architecture: requireModel(service.model, `${file} services.${id}.model`),
      load: loadOf(service, data.periods.count, `${file} services.${id}`),
    })),
  );
  if (problems.length > 0) throw new BadInput(...problems);
  return {
    name: data.name,
    start: data.start,
    periods: data.periods.count,
    periodDays: data.periods.days,
    pools,
    jobs,
    services,
  };
}

function loadOf({ outputTokensPerSecond: given }: FleetService, periods: number, where: string): number[] {
  if (typeof given === "number") return new Array<number>(periods).fill(given);
  if (given.length !== periods)
    throw new BadInput(
      `${where}.outputTokensPerSecond: ${given.length} figures for ${periods} periods; give one per period or one for all`,
    );
  return given;
}

/** Days since 1970 of an ISO date. */
function dayNumber(date: string): number {
  const [year = 0, month = 1, dayOfMonth = 1] = date.split("-").map(Number);
  return Date.UTC(year, month - 1, dayOfMonth) / 86_400_000;
}

/** The ISO date `days` after `start`, rounded down to a day. */
export function dateAfter(start: string, days: number): string {
  return new Date((dayNumber(start) + Math.floor(days)) * 86_400_000).toISOString().slice(0, 10);
}

/** Devices of the pool in `period`, bought ones not counted. */
export function devicesIn(fleet: Fleet, pool: ResolvedPool, period: number): number {
  const start = period * fleet.periodDays;
  return (
    pool.devices + pool.arrivalDays.filter(({ day }) => day <= start).reduce((sum, arrival) => sum + arrival.devices, 0)
  );
}

function problemLines(issue: z.core.$ZodIssue, file: string): string[] {
  const where = `${file}${issue.path.length > 0 ? ` ${issue.path.join(".")}` : ""}`;
  if (issue.code !== "unrecognized_keys") return [`${where}: ${issue.message}; see docs/reference/fleet.md`];
  const known = knownKeys(issue.path);
  const prefix = issue.path.length > 0 ? `${issue.path.join(".")}.` : "";
  return issue.keys.map(
    (key) => `${file} ${prefix}${key}: unknown key${didYouMean(key, known) || `; known are ${known.join(", ")}`}`,
  );
}

/** The keys that the schema has at a path of the file. */
function knownKeys(path: readonly PropertyKey[]): string[] {
  const [section, , ...rest] = path;
  const shapes: Record<string, z.core.$ZodShape> = {
    pools: FleetPool.shape,
    jobs: FleetJob.shape,
    services: FleetService.shape,
  };
  if (section === undefined) return Object.keys(FleetFile.shape);
  if (section === "periods") return ["count", "days"];
  const inner = rest[0];
  if (inner === "evidence") return Object.keys(PoolEvidence.shape);
  if (inner === "supply") return ["devices", "dollarsPerDevice", "leadDays"];
  if (inner === "arrivals") return ["at", "devices"];
  if (inner === "measured") return ["trainingTokensPerSecondPerDevice", "outputTokensPerSecondPerDevice"];
  return Object.keys(shapes[String(section)] ?? {});
}
