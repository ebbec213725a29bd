/**
 * The verb `plan fleet`: reads FLEET.yaml, plans it and prints who trains and who serves.
 * Knows: files, options, what is printed. Does not know: how the plan is made.
 */
import { readFileSync, statSync } from "node:fs";
import type { Command } from "commander";
import { parse } from "yaml";
import { type Fleet, parseFleet } from "../planner/fleet.ts";
import type { FleetPlan, JobOutcome } from "../planner/fleet-solve.ts";
import { completionDistribution } from "../simulator/completion.ts";
import type { CompletionDistribution } from "../simulator/simulate-completion.ts";
import { BadInput } from "../spec/bad-input.ts";
import { fleetAnswer, fleetTables, probabilityInTime } from "./render/fleet-plan.ts";
import { wrapped } from "./render/table.ts";

const fileBytesMax = 1_000_000;

export function register(plan: Command): void {
  plan
    .command("fleet")
    .argument("<file>", "FLEET.yaml: pools, jobs with deadlines, serving loads (docs/reference/fleet.md)")
    .description("Say which chips of a mixed fleet train and which serve, per period, at least cost.")
    .option("--json", "print one JSON document")
    .option("--seed <n>", "seed of the simulated completions", "1")
    .addHelpText("after", "\nExample:\n  dualgauge plan fleet examples/r2-dilemma/fleet.yaml")
    .action(async (file: string, options: { json?: boolean; seed: string }) => {
      const seed = Number(options.seed);
      if (!Number.isInteger(seed) || seed < 0)
        throw new BadInput(`--seed: ${options.seed} is no seed; give a whole number from 0`);
      const fleet = readFleet(file);
      const started = performance.now();
      // Loaded only now, so that --help and a bad file answer at once.
      const { plannerEstimators } = await import("../planner/fleet-estimates.ts");
      const { planFleet } = await import("../planner/fleet-solve.ts");
      const planned = await planFleet(fleet, plannerEstimators());
      const simulated = simulate(fleet, planned.allocation.jobs, seed);
      const seconds = (performance.now() - started) / 1000;
      const answer = fleetAnswer(fleet, planned, simulated);
      if (options.json)
        process.stdout.write(`${JSON.stringify(document(fleet, planned, simulated, answer, seconds))}\n`);
      else process.stdout.write(`${[...wrapped(answer), ...fleetTables(fleet, planned, simulated)].join("\n")}\n`);
    });
}

/** Reads and checks a fleet file; BadInput for one that cannot be read, is no YAML, is huge or nested beyond sense. */
export function readFleet(file: string): Fleet {
  let text: string;
  try {
    if (statSync(file).size > fileBytesMax)
      throw new BadInput(`${file}: larger than 1 MB; a fleet file is a few kilobytes`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw new BadInput(
      `${file}: cannot be read (${error instanceof Error ? error.message : String(error)}); check the path`,
    );
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    const what = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new BadInput(`${file}: not YAML (${what.slice(0, 200)}); mend it there`);
  }
  return parseFleet(value, file);
}

/** A thousand seeded runs of each job that stays on one pool. */
export function simulate(
  fleet: Fleet,
  jobs: readonly Pick<JobOutcome, "job" | "run">[],
  seed: number,
): Map<string, CompletionDistribution> {
  const simulated = new Map<string, CompletionDistribution>();
  for (const { job, run } of jobs) {
    const deadline = fleet.jobs.find(({ id }) => id === job)?.deadlineDay ?? 0;
    if (!run) continue;
    const left = (deadline - run.startDay) * 86_400;
    const question = {
      productiveSeconds: run.productiveSeconds,
      checkpoint: { stallSeconds: run.checkpointStallSeconds },
      pools: [
        {
          nodes: run.nodes,
          spares: run.spareNodes,
          repairSeconds: run.repairSeconds,
          failuresPerNodeDay: run.failuresPerNodeDay,
          detectSeconds: 0,
          restartSeconds: run.downSeconds,
        },
      ],
      rateShape: run.rateShape,
      ...(left > 0 ? { deadlineSeconds: left } : {}),
    };
    simulated.set(job, completionDistribution(question, 1000, seed));
  }
  return simulated;
}

function document(
  fleet: Fleet,
  plan: FleetPlan,
  simulated: ReadonlyMap<string, CompletionDistribution>,
  answer: string,
  seconds: number,
) {
  const { allocation, options, shadowPrices, ifUnfit, ifFit, variables, binaries } = plan;
  return {
    answer,
    fleet: fleet.name,
    start: fleet.start,
    periodDays: fleet.periodDays,
    ...allocation,
    probabilityInTime: Object.fromEntries(
      allocation.jobs.map((outcome) => [outcome.job, probabilityInTime(outcome, simulated.get(outcome.job))]),
    ),
    simulated: Object.fromEntries(simulated),
    shadowPrices,
    ifUnfit,
    ifFit: ifFit.map(({ pool, allocation: then, lessDollars }) => ({ pool, allocation: then, lessDollars })),
    rejected: options.rejected.map(({ job, pool, reason, belief }) => ({ job, pool, reason, belief })),
    cannotServe: options.cannotServe,
    options: options.training.map(({ job, pool, precision, readyDay, points }) => ({
      job,
      pool,
      precision,
      readyDay,
      points: points.map(({ devices, active, workPerDay, speed, belief }) => ({
        ...{
          devices,
          active,
          workPerDay,
          tokensPerSecond: speed.tokensPerSecond,
          layout: speed.layout,
          basis: speed.basis,
        },
        ...{ goodput: belief.goodput, probability: belief.probability, interval: belief.interval },
      })),
    })),
    program: { variables, binaries },
    seconds,
  };
}
