/**
 * A fleet's plan in words and tables of at most 100 columns.
 * Knows: what a reader asks first. Does not know: how the plan came about, where it is printed.
 */
import { dateAfter, devicesIn, type Fleet } from "../../planner/fleet.ts";
import type { FleetAllocation, FleetPlan, JobOutcome, PlannedRun } from "../../planner/fleet-solve.ts";
import type { CompletionDistribution } from "../../simulator/simulate-completion.ts";
import { wrapped } from "./table.ts";

/** The simulated completion of each job that stays on one pool. */
export type Simulated = ReadonlyMap<string, CompletionDistribution>;

const whole = (value: number): string => Math.round(value).toLocaleString("en-US");
const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
const plural = (count: number, noun: string): string => `${whole(count)} ${noun}${Math.round(count) === 1 ? "" : "s"}`;
const list = (names: readonly string[]): string =>
  names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;

/** Dollars with a unit that leaves three or four digits. */
export function money(dollars: number): string {
  const size = Math.abs(dollars);
  const sign = dollars < 0 ? "-" : "";
  if (size >= 1e9) return `${sign}$${(size / 1e9).toFixed(2)} B`;
  if (size >= 1e6) return `${sign}$${(size / 1e6).toFixed(1)} M`;
  if (size >= 1e4) return `${sign}$${(size / 1e3).toFixed(0)} k`;
  return `${sign}$${size.toFixed(0)}`;
}

/** The plan in one sentence. */
export function fleetAnswer(fleet: Fleet, { allocation }: FleetPlan, simulated: Simulated): string {
  const jobs = allocation.jobs.map((outcome) => jobWords(fleet, allocation, outcome, simulated.get(outcome.job)));
  const services = fleet.services.map(({ id }) => {
    const pools = allocation.serving.filter(({ service }) => service === id).map(({ pool }) => pool);
    const served = percent(1 - (allocation.unservedShare[id] ?? 0));
    return pools.length === 0
      ? `nothing serves ${id}`
      : `${list(pools)} ${pools.length === 1 ? "serves" : "serve"} ${served} of ${id}`;
  });
  return `${[...jobs, ...services].join("; ")}; cost ${money(allocation.costDollars)}`;
}

function jobWords(
  fleet: Fleet,
  allocation: FleetAllocation,
  outcome: JobOutcome,
  played?: CompletionDistribution,
): string {
  const { job, finishDay, lateDays, pools } = outcome;
  if (pools.length === 0) return `no pool can train ${job} in time to be worth it`;
  const devices = Math.max(...allocation.stretches.filter((s) => s.job === job).flatMap((s) => s.devices));
  const who = `${list([...new Set(pools)])} ${new Set(pools).size === 1 ? "trains" : "train"} ${job} on up to ${plural(devices, "device")}`;
  if (finishDay === undefined)
    return `${who} and does not finish it by ${dateAfter(fleet.start, fleet.periods * fleet.periodDays)}`;
  const late = lateDays > 0 ? `, ${plural(Math.ceil(lateDays), "day")} late` : "";
  const inTime = probabilityInTime(outcome, played);
  const chance = inTime === undefined ? "" : ` (in time with ${percent(inTime)} probability)`;
  return `${who}, done ${dateAfter(fleet.start, finishDay)}${late}${chance}`;
}

/** Both doubts together: the simulated runs that meet the deadline, and whether the platform carries the run at all. */
export function probabilityInTime({ parts }: JobOutcome, played?: CompletionDistribution): number | undefined {
  if (played?.probabilityByDeadline === undefined || parts === undefined) return undefined;
  return played.probabilityByDeadline * parts.platform * parts.operators;
}

/** Everything after the first line. */
export function fleetTables(fleet: Fleet, plan: FleetPlan, simulated: Simulated): string[] {
  const lines = ["", ...poolTable(fleet, plan), "", ...periodTable(fleet, plan.allocation)];
  for (const outcome of plan.allocation.jobs) lines.push(...jobLines(fleet, outcome, simulated.get(outcome.job)));
  const { rejected } = plan.options;
  if (rejected.length > 0) lines.push("", "not considered for training");
  for (const { job, pool, reason, belief } of rejected) {
    lines.push(...wrapped(`  ${job} on ${pool}: ${reason}`));
    const wanted = belief?.wanted ?? [];
    if (wanted.length > 0) lines.push(...wrapped(`    would help: ${wanted.join("; ")}`));
  }
  for (const { service, pool, reason } of plan.options.cannotServe)
    lines.push(...wrapped(`  ${service} on ${pool}: ${reason}`));
  lines.push("", "what would change it");
  for (const { pool, allocation, moreDollars } of plan.ifUnfit)
    lines.push(
      ...wrapped(`  ${pool} proves unfit for training: ${changeWords(fleet, allocation)}, ${money(moreDollars)} more`),
    );
  for (const { pool, allocation, lessDollars } of plan.ifFit) {
    const then =
      lessDollars < 1000 ? "the plan stays" : `${changeWords(fleet, allocation)}, ${money(lessDollars)} less`;
    lines.push(...wrapped(`  ${pool} proves fit for training: ${then}`));
  }
  return lines;
}

function changeWords(fleet: Fleet, allocation: FleetAllocation): string {
  return allocation.jobs
    .map(({ job, pools, finishDay, lateDays }) => {
      if (pools.length === 0) return `nobody trains ${job}`;
      const where = [...new Set(pools)].join(", then ");
      if (finishDay === undefined) return `${job} goes to ${where} and is not done by the end`;
      return `${job} on ${where}, done ${dateAfter(fleet.start, finishDay)}${lateDays > 0 ? ` (${Math.ceil(lateDays)} days late)` : ""}`;
    })
    .join("; ");
}

function poolTable(fleet: Fleet, { allocation, shadowPrices }: FleetPlan): string[] {
  const rows = fleet.pools.map((pool) => {
    const trains = allocation.stretches.filter((s) => s.pool === pool.id).flatMap((s) => s.devices);
    const serves = allocation.serving.filter((s) => s.pool === pool.id).flatMap(({ devices }) => devices);
    const price = shadowPrices.find((p) => p.pool === pool.id)?.dollarsPerDevice ?? 0;
    const from = devicesIn(fleet, pool, 0);
    const to = devicesIn(fleet, pool, fleet.periods - 1) + (allocation.bought[pool.id] ?? 0);
    return [
      pool.id,
      pool.chip.id,
      span(from, to),
      trains.length === 0 ? "-" : span(Math.min(...trains), Math.max(...trains)),
      serves.length === 0 ? "-" : span(Math.min(...serves), Math.max(...serves)),
      whole(allocation.bought[pool.id] ?? 0),
      price === 0 ? "-" : money(price),
    ];
  });
  return table(["pool", "accelerator", "devices", "train", "serve", "buy", "one more chip saves"], rows, 2);
}

function span(low: number, high: number): string {
  return Math.round(low) === Math.round(high) ? whole(low) : `${whole(low)}–${whole(high)}`;
}

/** One row per period, `train + serve` devices per pool; left out where the pools are too many for 100 columns. */
function periodTable(fleet: Fleet, allocation: FleetAllocation): string[] {
  if (fleet.pools.length > 6) return [];
  const rows = Array.from({ length: fleet.periods }, (_, period) => [
    dateAfter(fleet.start, period * fleet.periodDays),
    ...fleet.pools.map(({ id }) => {
      const stretch = allocation.stretches.find((s) => s.pool === id && s.from <= period && period <= s.to);
      const serving = allocation.serving
        .filter((s) => s.pool === id)
        .reduce((sum, s) => sum + (s.devices[period] ?? 0), 0);
      const parts = [
        stretch ? `${stretch.job} ${whole(stretch.devices[period - stretch.from] ?? 0)}` : "",
        serving >= 0.5 ? `serve ${whole(Math.ceil(serving - 0.01))}` : "",
      ];
      return parts.filter(Boolean).join(" ") || "-";
    }),
  ]);
  // Equal neighbours say nothing new.
  const kept = rows.filter((row, i) => i === 0 || row.slice(1).join() !== rows[i - 1]?.slice(1).join());
  return table(["from", ...fleet.pools.map(({ id }) => id)], kept, 1);
}

function jobLines(fleet: Fleet, outcome: JobOutcome, played?: CompletionDistribution): string[] {
  const { job, probability, interval, run, pools } = outcome;
  if (probability === undefined || interval === undefined) return [];
  const pool = pools.at(-1) ?? "";
  const lines = wrapped(
    `${job}: ${pool} completes such a run with ${percent(probability)} (90 % interval ${percent(interval[0])} to ${percent(interval[1])}), from its own evidence`,
  );
  if (played && run) {
    const on = (days: number): string =>
      Number.isFinite(days) ? dateAfter(fleet.start, run.startDay + days) : "never";
    const { p10, p50, p90 } = played.days;
    lines.push(
      ...wrapped(
        `  if it does, 1,000 simulated runs end ${on(p10)} (10 %), ${on(p50)} (50 %), ${on(p90)} (90 %); ${whole(played.failuresExpected)} faults, ${percent(1 - played.goodput)} of the time lost${waitingWords(played, run)}`,
      ),
    );
  }
  return ["", ...lines];
}

function waitingWords({ lostShare }: CompletionDistribution, { spareNodes }: PlannedRun): string {
  const waiting = lostShare.waitingSeconds;
  return waiting < 0.001 ? "" : `, ${percent(waiting)} waiting because ${plural(spareNodes, "spare node")} ran out`;
}

/** Columns from `numbersFrom` on align right. */
function table(head: readonly string[], rows: readonly (readonly string[])[], numbersFrom: number): string[] {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (i < numbersFrom ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd();
  return [head, ...rows].map(line);
}
