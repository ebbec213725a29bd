/**
 * The fleet's choice as a mixed-integer linear program: who trains what where and who serves, per period, at least cost.
 * Knows: options, capacity, deadlines, prices. Does not know: how speeds were estimated, which solver is used.
 *
 * The objective is millions of dollars: use of devices, bought devices, days of lateness, load not served.
 */
import { devicesIn, type Fleet } from "./fleet.ts";
import type { FleetOptions, ServingOption, TrainingOption } from "./fleet-options.ts";
import { LinearProgram, type Term } from "./linear-program.ts";

export interface TrainingVariables {
  option: TrainingOption;
  period: number;
  /** Binary: the job runs on this pool in this period; and how much of each size. */
  runs: number;
  sizes: readonly number[];
  /** At least 1 when the job starts here in this period. */
  starts: number;
}

export interface FleetProgram {
  program: LinearProgram;
  training: readonly TrainingVariables[];
  serving: readonly { option: ServingOption; period: number; devices: number }[];
  unserved: readonly { service: string; period: number; megatokensPerSecond: number }[];
  /** Per job and period, at its end: whether it is done (binary), and the share of the work that is. */
  done: ReadonlyMap<string, readonly number[]>;
  progress: ReadonlyMap<string, readonly number[]>;
  bought: ReadonlyMap<string, number>;
  /** Row of each pool and period: devices used ≤ devices there. */
  capacity: readonly { pool: string; period: number; row: number }[];
}

/** Changes of a fleet to ask about: more devices of a pool in all periods, pools barred from training. */
export interface FleetChange {
  moreDevices?: { pool: string; devices: number };
  barredFromTraining?: readonly string[];
}

export function fleetProgram(fleet: Fleet, options: FleetOptions, change: FleetChange = {}): FleetProgram {
  const build = new Builder(fleet, options, change);
  build.addTraining();
  build.addServing();
  build.addCapacity();
  return build;
}

const millions = 1e-6;

/**
 * Dollars that it costs if the job is not done at the end of `period`: lateness from the last period that ends by the
 * deadline onwards, and after the last period the price of not having finished.
 */
export function notDoneDollars(fleet: Fleet, job: Fleet["jobs"][number], period: number): number {
  const firstLate = Math.max(0, Math.floor(job.deadlineDay / fleet.periodDays) - 1);
  const late = period >= firstLate ? job.lateDollarsPerDay * fleet.periodDays : 0;
  const unfinished = job.unfinishedDollars ?? 365 * job.lateDollarsPerDay;
  return late + (period === fleet.periods - 1 ? unfinished : 0);
}

/**
 * Dollars for all of a job being undone at the end of a period. Twice the price of the days, since a job that progresses
 * evenly is half done on average: so the sum over periods is the price of the days until it is done.
 */
export function undoneDollars(fleet: Fleet, job: Fleet["jobs"][number]): number {
  return 2 * job.dollarsPerDay * fleet.periodDays;
}

class Builder implements FleetProgram {
  readonly program = new LinearProgram();
  readonly training: TrainingVariables[] = [];
  readonly serving: { option: ServingOption; period: number; devices: number }[] = [];
  readonly unserved: { service: string; period: number; megatokensPerSecond: number }[] = [];
  readonly done = new Map<string, number[]>();
  readonly progress = new Map<string, number[]>();
  readonly bought = new Map<string, number>();
  readonly capacity: { pool: string; period: number; row: number }[] = [];
  private readonly used = new Map<string, Term[][]>();
  private readonly fleet: Fleet;
  private readonly options: FleetOptions;
  private readonly change: FleetChange;

  constructor(fleet: Fleet, options: FleetOptions, change: FleetChange) {
    this.fleet = fleet;
    this.options = options;
    this.change = change;
    for (const { id } of fleet.pools)
      this.used.set(
        id,
        Array.from({ length: fleet.periods }, () => []),
      );
  }

  addTraining(): void {
    for (const job of this.fleet.jobs) {
      this.done.set(job.id, this.doneVariables(job));
      this.progress.set(job.id, this.progressVariables(job));
    }
    for (const job of this.fleet.jobs) this.addJob(job);
  }

  private doneVariables(job: Fleet["jobs"][number]): number[] {
    const { fleet, program } = this;
    // Of plans that cost the same the earlier one is taken: a day is worth a ten-thousandth of a late one.
    const early = job.lateDollarsPerDay * fleet.periodDays * 1e-4;
    return Array.from({ length: fleet.periods }, (_, period) =>
      program.variable(-(notDoneDollars(fleet, job, period) + early) * millions, { upper: 1, kind: "binary" }),
    );
  }

  private progressVariables(job: Fleet["jobs"][number]): number[] {
    return Array.from({ length: this.fleet.periods }, () =>
      this.program.variable(-undoneDollars(this.fleet, job) * millions, { upper: 1 }),
    );
  }

  private addJob(job: Fleet["jobs"][number]): void {
    const { program, fleet } = this;
    const options = this.options.training.filter(
      (option) => option.job === job.id && !this.change.barredFromTraining?.includes(option.pool),
    );
    const done = this.done.get(job.id) ?? [];
    const sofar: Term[] = [];
    let before: TrainingVariables[] = [];
    for (let period = 0; period < fleet.periods; period++) {
      const now = options.flatMap((option) => this.addRun(job, option, period, before, sofar));
      program.row(
        now.map(({ runs }): Term => [runs, 1]),
        "<=",
        1,
      );
      // Done when all the work is: done ≤ progress ≤ work so far; and once done, done.
      const isDone = done[period]!;
      const share = this.progress.get(job.id)![period]!;
      program.row([[share, 1], ...sofar.map(([i, c]): Term => [i, -c])], "<=", 0);
      program.row(
        [
          [isDone, 1],
          [share, -1],
        ],
        "<=",
        0,
      );
      const wasDone = done[period - 1];
      if (wasDone !== undefined)
        program.row(
          [
            [wasDone, 1],
            [isDone, -1],
          ],
          "<=",
          0,
        );
      for (const other of job.after) {
        const otherDone = this.done.get(other)?.[period - 1];
        for (const { runs } of now)
          program.row(
            otherDone === undefined
              ? [[runs, 1]]
              : [
                  [runs, 1],
                  [otherDone, -1],
                ],
            "<=",
            0,
          );
      }
      before = now;
    }
  }

  /** The variables of one job on one pool in one period; none when it cannot run there then. */
  private addRun(
    job: Fleet["jobs"][number],
    option: TrainingOption,
    period: number,
    before: readonly TrainingVariables[],
    sofar: Term[],
  ): TrainingVariables[] {
    const { program, fleet } = this;
    const start = period * fleet.periodDays;
    if (start < Math.max(job.earliestDay, option.readyDay)) return [];
    const pool = fleet.pools.find(({ id }) => id === option.pool)!;
    const dollarsPerDevice = pool.dollarsPerDeviceHour * 24 * fleet.periodDays * millions;
    const runs = program.variable(0, { upper: 1, kind: "binary" });
    const starts = program.variable(0, { upper: 1 });
    const sizes = option.points.map(({ devices }) => program.variable(devices * dollarsPerDevice));
    program.row([...sizes.map((i): Term => [i, 1]), [runs, -1]], "=", 0);
    const earlier = before.find((other) => other.option === option);
    program.row(
      earlier
        ? [
            [runs, 1],
            [earlier.runs, -1],
            [starts, -1],
          ]
        : [
            [runs, 1],
            [starts, -1],
          ],
      "<=",
      0,
    );
    option.points.forEach(({ devices, workPerDay }, i) => {
      this.used.get(option.pool)![period]!.push([sizes[i]!, devices]);
      sofar.push([sizes[i]!, workPerDay * fleet.periodDays]);
    });
    // Bringing a run up costs days at the largest size's pace, so a start never looks cheaper than it is.
    const pace = Math.max(...option.points.map(({ workPerDay }) => workPerDay));
    sofar.push([starts, -Math.min(job.bringUpDays, fleet.periodDays) * pace]);
    const variables = { option, period, runs, sizes, starts };
    this.training.push(variables);
    return [variables];
  }

  addServing(): void {
    const { program, fleet } = this;
    for (const service of fleet.services) {
      const options = this.options.serving.filter((option) => option.service === service.id);
      for (let period = 0; period < fleet.periods; period++) {
        const seconds = fleet.periodDays * 86_400;
        const served: Term[] = options.map((option) => {
          const pool = fleet.pools.find(({ id }) => id === option.pool)!;
          const devices = program.variable(pool.dollarsPerDeviceHour * 24 * fleet.periodDays * millions);
          this.serving.push({ option, period, devices });
          this.used.get(option.pool)![period]!.push([devices, 1]);
          return [devices, option.speed.outputTokensPerSecondPerDevice * millions];
        });
        // In millions of tokens per second, so that all rows are of one size.
        const unserved = program.variable(service.unservedDollarsPerMillionTokens * seconds * millions);
        this.unserved.push({ service: service.id, period, megatokensPerSecond: unserved });
        program.row([...served, [unserved, 1]], ">=", (service.load[period] ?? 0) * millions);
      }
    }
  }

  addCapacity(): void {
    const { program, fleet } = this;
    for (const pool of fleet.pools) {
      const { supply } = pool;
      if (supply && supply.devices > 0)
        this.bought.set(pool.id, program.variable(supply.dollarsPerDevice * millions, { upper: supply.devices }));
      const bought = this.bought.get(pool.id);
      const more = this.change.moreDevices?.pool === pool.id ? this.change.moreDevices.devices : 0;
      for (let period = 0; period < fleet.periods; period++) {
        const terms = [...this.used.get(pool.id)![period]!];
        if (terms.length === 0) continue;
        if (bought !== undefined && supply && supply.leadDays <= period * fleet.periodDays) terms.push([bought, -1]);
        const row = program.row(terms, "<=", devicesIn(fleet, pool, period) + more);
        this.capacity.push({ pool: pool.id, period, row });
      }
    }
  }
}
