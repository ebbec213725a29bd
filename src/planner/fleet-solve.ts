/**
 * Solves the fleet's program exactly and asks it what one more chip would be worth and what an unfit pool would change.
 * Knows: the solver (HiGHS, WebAssembly, loaded on first use), solutions as plans. Does not know: files, how a plan is printed.
 */
import * as z from "zod";
import type { CompletionBelief } from "./evidence.ts";
import type { Fleet } from "./fleet.ts";
import {
  type FleetEstimators,
  type FleetOptions,
  fleetOptions,
  type Rejection,
  type TrainingPoint,
} from "./fleet-options.ts";
import { type FleetChange, type FleetProgram, fleetProgram, notDoneDollars, undoneDollars } from "./fleet-program.ts";
import type { LinearProgram } from "./linear-program.ts";

/** One job on one pool over consecutive periods. */
export interface TrainingStretch {
  job: string;
  pool: string;
  precision: string;
  /** Periods, first and last. */
  from: number;
  to: number;
  /** Devices taken in each of the periods, spares included. */
  devices: number[];
  layout: string;
  basis: string;
}

export interface JobOutcome {
  job: string;
  /** Days after the start at which the work is done; undefined when not within the last period. */
  finishDay: number | undefined;
  lateDays: number;
  pools: string[];
  /** P(this run completes on the pool it ends on), from that pool's evidence, and its 90 % interval. */
  probability: number | undefined;
  interval: readonly [number, number] | undefined;
  /** The factors of it. */
  parts: CompletionBelief["parts"] | undefined;
  /** The run as the failure simulator asks for it, where the job is done on one pool without a pause. */
  run: PlannedRun | undefined;
}

/** A run that starts on `startDay`, with the posterior of its pool's fault rate (gamma of this mean and shape). */
export interface PlannedRun {
  startDay: number;
  productiveSeconds: number;
  nodes: number;
  /** Nodes that stand by and come from the devices that the run takes. */
  spareNodes: number;
  /** Mean repair time of a node. */
  repairSeconds: number;
  failuresPerNodeDay: number;
  rateShape: number;
  checkpointStallSeconds: number;
  downSeconds: number;
}

export interface FleetAllocation {
  costDollars: number;
  /** Parts of the cost. */
  dollars: { training: number; serving: number; bought: number; late: number; undone: number; unserved: number };
  jobs: JobOutcome[];
  stretches: TrainingStretch[];
  /** Devices that serve, per service, pool and period (whole units are rounded up only when printed). */
  serving: { service: string; pool: string; devices: number[]; basis: string }[];
  /** Share of each service's tokens that is not served. */
  unservedShare: Record<string, number>;
  bought: Record<string, number>;
}

export interface FleetPlan {
  allocation: FleetAllocation;
  options: FleetOptions;
  /**
   * Dollars over the horizon that one more chip of the kind saves: by solving again with one more, and by the duals of the
   * linear program with all choices held (0 where they disagree only because a choice changes).
   */
  shadowPrices: { pool: string; dollarsPerDevice: number; dualDollarsPerDevice: number }[];
  /** The plan if a pool that trains proves unfit for it. */
  ifUnfit: { pool: string; allocation: FleetAllocation; moreDollars: number }[];
  /** The plan if a pool that was not trusted proved fit: what that proof is worth. */
  ifFit: { pool: string; allocation: FleetAllocation; lessDollars: number; rejection: Rejection }[];
  variables: number;
  binaries: number;
}

/** The plan alone, without prices and what-ifs, which need a solution each. */
export async function allocateFleet(fleet: Fleet, estimators: FleetEstimators): Promise<FleetAllocation> {
  return solveOnce(await loadedSolver(), fleet, fleetOptions(fleet, estimators), {}).allocation;
}

/** Plans the fleet. Throws Error when the solver does not prove an optimum; the program itself always has a solution. */
export async function planFleet(fleet: Fleet, estimators: FleetEstimators): Promise<FleetPlan> {
  const solver = await loadedSolver();
  const options = fleetOptions(fleet, estimators);
  const solve = (change: FleetChange = {}, with_ = options): Solved => solveOnce(solver, fleet, with_, change);
  const base = solve();
  const trainers = [...new Set(base.allocation.stretches.map(({ pool }) => pool))];
  const duals = fixedDuals(solver, base);
  return {
    allocation: base.allocation,
    options,
    shadowPrices: fleet.pools.map(({ id }) => ({
      pool: id,
      dollarsPerDevice: roundedSaving(base.objective - solve({ moreDevices: { pool: id, devices: 1 } }).objective),
      dualDollarsPerDevice: roundedSaving(
        base.built.capacity.filter(({ pool }) => pool === id).reduce((sum, { row }) => sum - (duals[row] ?? 0), 0),
      ),
    })),
    ifUnfit: trainers.map((pool) => {
      const { allocation } = solve({ barredFromTraining: [pool] });
      return { pool, allocation, moreDollars: allocation.costDollars - base.allocation.costDollars };
    }),
    ifFit: untrustedPools(options).map(({ pool, rejection, trusted }) => {
      const { allocation } = solve({}, trusted);
      return { pool, allocation, lessDollars: base.allocation.costDollars - allocation.costDollars, rejection };
    }),
    variables: base.built.program.variables.length,
    binaries: base.built.program.variables.filter(({ kind }) => kind === "binary").length,
  };
}

/** The part of the solver's answer that is read here. */
const Solution = z.object({
  Status: z.string(),
  ObjectiveValue: z.number(),
  Columns: z.record(z.string(), z.object({ Primal: z.number().optional() })),
  Rows: z.array(z.object({ Dual: z.number().optional() })),
});

interface Solver {
  solve(text: string, options?: Readonly<Record<string, string | number | boolean>>): unknown;
}

let solver: Promise<Solver> | undefined;

/** The solver, loaded once: its WebAssembly takes longer to compile than a fleet to solve. */
function loadedSolver(): Promise<Solver> {
  solver ??= loadSolver();
  return solver;
}

async function loadSolver(): Promise<Solver> {
  const { default: load }: { default: unknown } = await import("highs");
  // The package's types describe its CommonJS build, which wraps the loader once more than the module that Node loads.
  if (!isLoader(load)) throw new Error("the highs package has no loader as its default export");
  return load();
}

function isLoader(value: unknown): value is () => Promise<Solver> {
  return typeof value === "function";
}

interface Solved {
  objective: number;
  values: number[];
  built: FleetProgram;
  allocation: FleetAllocation;
}

function solveOnce(solver: Solver, fleet: Fleet, options: FleetOptions, change: FleetChange): Solved {
  const built = fleetProgram(fleet, options, change);
  const { objective, values } = optimum(solver, built.program);
  return { objective, values, built, allocation: allocationOf(fleet, built, values) };
}

function optimum(solver: Solver, program: LinearProgram): { objective: number; values: number[]; duals: number[] } {
  const solution = Solution.parse(solver.solve(program.text(), { mip_rel_gap: 1e-9, mip_abs_gap: 1e-7 }));
  if (solution.Status !== "Optimal") throw new Error(`the fleet's program ended ${solution.Status}`);
  const values = program.variables.map((_, i) => solution.Columns[`x${i}`]?.Primal ?? 0);
  const duals = solution.Rows.map(({ Dual }) => Dual ?? 0);
  return { objective: solution.ObjectiveValue, values, duals };
}

/** Duals of every row with all binaries held: what a little more of each bound would change, millions of dollars. */
function fixedDuals(solver: Solver, { built, values }: Solved): number[] {
  return optimum(solver, built.program.withFixedBinaries(values)).duals;
}

/** Dollars from millions; savings below a cent are rounding of the solver. */
function roundedSaving(millionsSaved: number): number {
  const saved = millionsSaved * 1e6;
  return Math.abs(saved) < 0.5 ? 0 : saved;
}

/** For each pool that was refused for want of confidence: the options with it trusted. */
function untrustedPools(options: FleetOptions): { pool: string; rejection: Rejection; trusted: FleetOptions }[] {
  const pools = [...new Set(options.rejected.flatMap(({ pool, untrusted }) => (untrusted ? [pool] : [])))];
  return pools.map((pool) => {
    const refused = options.rejected.filter((r) => r.pool === pool && r.untrusted);
    const training = [...options.training, ...refused.flatMap(({ untrusted }) => (untrusted ? [untrusted] : []))];
    return { pool, rejection: refused[0]!, trusted: { ...options, training } };
  });
}

function allocationOf(fleet: Fleet, built: FleetProgram, values: readonly number[]): FleetAllocation {
  const value = (i: number): number => values[i] ?? 0;
  const stretches = stretchesOf(built, value);
  const serving = fleet.services.flatMap((service) =>
    fleet.pools.flatMap((pool) => {
      const mine = built.serving.filter(({ option }) => option.service === service.id && option.pool === pool.id);
      const devices = mine.map((entry) => (value(entry.devices) < 1e-6 ? 0 : value(entry.devices)));
      const basis = mine[0]?.option.speed.basis ?? "";
      return devices.some((count) => count > 0) ? [{ service: service.id, pool: pool.id, devices, basis }] : [];
    }),
  );
  const unservedShare = Object.fromEntries(
    fleet.services.map((service) => {
      const missing = built.unserved
        .filter((u) => u.service === service.id)
        .reduce((sum, u) => sum + 1e6 * value(u.megatokensPerSecond), 0);
      const all = service.load.reduce((a, b) => a + b, 0);
      return [service.id, all > 0 ? missing / all : 0];
    }),
  );
  const jobs = fleet.jobs.map((job) => outcomeOf(fleet, built, value, job));
  const dollars = dollarsOf(fleet, built, value);
  return {
    costDollars: Object.values(dollars).reduce((a, b) => a + b, 0),
    dollars,
    jobs,
    stretches,
    serving,
    unservedShare,
    bought: Object.fromEntries(
      [...built.bought].map(([pool, i]) => [pool, value(i)]).filter(([, count]) => Number(count) > 1e-6),
    ),
  };
}

function dollarsOf(fleet: Fleet, built: FleetProgram, value: (i: number) => number): FleetAllocation["dollars"] {
  const cost = (i: number): number => value(i) * (built.program.variables[i]?.cost ?? 0) * 1e6;
  const late = fleet.jobs.reduce((sum, job) => {
    const done = built.done.get(job.id) ?? [];
    return (
      sum + done.reduce((all, i, period) => all + (1 - Math.round(value(i))) * notDoneDollars(fleet, job, period), 0)
    );
  }, 0);
  return {
    training: built.training.flatMap(({ sizes }) => sizes).reduce((sum, i) => sum + cost(i), 0),
    serving: built.serving.reduce((sum, { devices }) => sum + cost(devices), 0),
    bought: [...built.bought.values()].reduce((sum, i) => sum + cost(i), 0),
    late,
    undone: fleet.jobs.reduce(
      (sum, job) =>
        sum +
        (built.progress.get(job.id) ?? []).reduce((all, i) => all + (1 - value(i)) * undoneDollars(fleet, job), 0),
      0,
    ),
    unserved: built.unserved.reduce((sum, { megatokensPerSecond }) => sum + cost(megatokensPerSecond), 0),
  };
}

type Value = (i: number) => number;

/** The point of an option with the largest part in a period. */
function mainPoint(run: FleetProgram["training"][number], value: Value): TrainingPoint {
  const { points } = run.option;
  return points.reduce(
    (best, point, i) => (value(run.sizes[i]!) > value(run.sizes[points.indexOf(best)]!) ? point : best),
    points[0]!,
  );
}

function stretchesOf(built: FleetProgram, value: Value): TrainingStretch[] {
  const stretches: TrainingStretch[] = [];
  for (const run of built.training) {
    const { option, period, runs, sizes } = run;
    const devices = option.points.reduce((sum, point, i) => sum + point.devices * value(sizes[i]!), 0);
    if (value(runs) < 0.5 || devices < 0.5) continue;
    const last = stretches.find((s) => s.job === option.job && s.pool === option.pool && s.to === period - 1);
    if (last) {
      last.devices.push(devices);
      last.to = period;
    } else {
      const { layout, basis } = mainPoint(run, value).speed;
      stretches.push({
        job: option.job,
        pool: option.pool,
        precision: option.precision,
        from: period,
        to: period,
        devices: [devices],
        layout,
        basis,
      });
    }
  }
  return stretches;
}

function outcomeOf(fleet: Fleet, built: FleetProgram, value: Value, job: Fleet["jobs"][number]): JobOutcome {
  const { periodDays, periods } = fleet;
  let work = 0;
  let finishDay: number | undefined;
  const spells: Spell[] = [];
  for (let period = 0; period < periods && finishDay === undefined; period++) {
    for (const run of built.training) {
      if (run.option.job !== job.id || run.period !== period || value(run.runs) < 0.5) continue;
      const perDay = run.option.points.reduce((sum, point, i) => sum + point.workPerDay * value(run.sizes[i]!), 0);
      if (perDay <= 0) continue;
      const pace = Math.max(...run.option.points.map(({ workPerDay }) => workPerDay));
      const lost = (value(run.starts) * Math.min(job.bringUpDays, periodDays) * pace) / perDay;
      const active = run.option.points.reduce((sum, point, i) => sum + point.active * value(run.sizes[i]!), 0);
      spells.push({ pool: run.option.pool, period, lost, active, point: mainPoint(run, value) });
      const worked = Math.max(0, periodDays - lost) * perDay;
      if (work + worked >= 1 - 1e-6) finishDay = period * periodDays + lost + Math.max(0, 1 - work) / perDay;
      work += worked;
    }
  }
  const lateDays = Math.max(0, (finishDay ?? periods * periodDays) - job.deadlineDay);
  const belief = spells.at(-1)?.point.belief;
  return {
    job: job.id,
    finishDay,
    lateDays: lateDays < 0.01 ? 0 : lateDays,
    pools: spells.map(({ pool }) => pool).filter((pool, i, all) => pool !== all[i - 1]),
    probability: belief?.probability,
    interval: belief?.interval,
    parts: belief?.parts,
    run: finishDay === undefined ? undefined : plannedRun(fleet, spells, finishDay),
  };
}

/** A job on a pool in one period. */
interface Spell {
  pool: string;
  period: number;
  /** Days that bringing it up cost, and devices that computed. */
  lost: number;
  active: number;
  point: TrainingPoint;
}

/** The spells as one run; undefined when they are on several pools or pause between periods. */
function plannedRun(fleet: Fleet, spells: readonly Spell[], finishDay: number): PlannedRun | undefined {
  const [first] = spells;
  if (!first || spells.some(({ pool, period }, i) => pool !== first.pool || period !== first.period + i))
    return undefined;
  const pool = fleet.pools.find(({ id }) => id === first.pool)!;
  const { belief } = spells.reduce((a, b) => (b.active > a.active ? b : a)).point;
  const startDay = first.period * fleet.periodDays + first.lost;
  const active = spells.reduce((sum, spell) => sum + spell.active, 0) / spells.length;
  return {
    startDay,
    // The plan reckons with a cautious rate of faults; the work itself is what remains without any.
    productiveSeconds: (finishDay - startDay) * 86_400 * belief.goodputCautious,
    nodes: Math.max(1, Math.round(active / pool.chip.nodeDevices)),
    // Whole nodes: what is left of the last one stands in for nothing.
    spareNodes: Math.floor((active * pool.spareShare) / pool.chip.nodeDevices),
    repairSeconds: pool.repairDays * 86_400,
    failuresPerNodeDay: belief.ratePerNodeDay.mean,
    rateShape: belief.rate.shape,
    checkpointStallSeconds: pool.checkpointStallSeconds,
    downSeconds: pool.downSeconds,
  };
}
