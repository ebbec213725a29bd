/**
 * Measures for `npm run faults -- --simulated --ettr`: thirty days on 1,250 nodes of eight accelerators, with published failure rates.
 * Knows: where each cost comes from. Does not know: documents. Real supervisor, simulated launcher, virtual clock.
 */
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { type FailureCause, publishedCauses, reliabilityRecord } from "../../src/catalog/reliability.ts";
import { ettr } from "../../src/journal/select.ts";
import { type Mishap, mishap } from "../../src/launcher/simulated-mishap.ts";
import { checkpointInterval } from "../../src/simulator/checkpoint-interval.ts";
import { RunQuestion } from "../../src/simulator/run-question.ts";
import { type Random, random } from "../../src/spec/random.ts";
import { simulate, simulatedRun } from "../simulation/simulate.ts";

const { ETTR } = process.env;
const nodes = 1250;
const stepSeconds = 15;
/** Restart until the first step at most; half of it on average: 65 s, ByteRobust's hot update at 16,384 devices (arXiv:2509.16293, requeue against hot update). */
const startSeconds = 130;
/** Every 30 minutes one of the steps kept in memory is copied to disk, beside training. */
const memoryToDiskSteps = 120;
/** What keeping every step in memory costs of it: ByteRobust, same source. */
const memoryShare = 0.0071;

interface Case {
  readonly record: string;
  /** How long a checkpoint on disk holds up training; absent: another node holds a copy of what a lost node had in memory. */
  readonly diskStallSeconds?: number;
}

test.skipIf(ETTR === undefined)(
  "what `npm run faults -- --simulated --ettr` asks for (skipped: nobody asked)",
  async () => {
    const { out, days = 30 }: { out: string; days?: number } = JSON.parse(ETTR ?? "{}");
    const [stallLeast, stallMost] = reliabilityRecord("llama-3-h100").checkpointSeconds ?? [];
    const cases: Case[] = [
      { record: "llama-3-h100" },
      { record: "rsc-1-a100" },
      { record: "llama-3-h100", diskStallSeconds: stallLeast },
      { record: "llama-3-h100", diskStallSeconds: stallMost },
    ];
    const rows: string[] = [];
    for (const one of cases) {
      rows.push(await measure(one, days));
      writeFileSync(out, JSON.stringify({ text: report(rows, days) }));
    }
    expect(rows.length).toBe(cases.length);
  },
  7_200_000,
);

async function measure({ record, diskStallSeconds }: Case, days: number): Promise<string> {
  const memorySurvives = diskStallSeconds === undefined;
  const steps = Math.floor((days * 86_400) / stepSeconds);
  const file = simulatedRun({
    steps,
    spares: 1,
    failover: { order: ["ascend"], maxAttempts: 100_000, startSeconds: 600 },
  });
  const rate = reliabilityRecord(record).failuresPerNodeDay;
  const mishaps = faults(random(1, `ettr ${record}`), { steps, rate, memorySurvives });
  const checkpointEvery = memorySurvives ? memoryToDiskSteps : diskSteps(rate, diskStallSeconds);
  const savedShare = memorySurvives ? memoryShare : diskStallSeconds / (checkpointEvery * stepSeconds);
  const result = await simulate({
    seed: 1,
    file: { ...file, train: { ...file.train, checkpointEvery } },
    workers: nodes,
    spares: 2 * nodes,
    mishaps,
    temper: {
      ...{ jitter: 0.01, pauseChance: 0, pauseSeconds: 0, startSeconds, stepSeconds },
      ...{ onlyFirstSpeaks: true, heartbeatSeconds: Number.POSITIVE_INFINITY, keepOnDisk: 3 },
    },
    limitSeconds: 1e8,
  });
  expect(result.violations).toEqual([]);
  expect(result.state.phase, result.state.reasons.join("\n")).toBe("finished");
  expect(mishaps.filter(({ fired }) => fired === 0)).toEqual([]);
  const { state } = result;
  const of = (kind: string): number => state.faults.filter(({ detected }) => detected.kind === kind).length;
  const cells = [
    record,
    rate.toExponential(2),
    memorySurvives ? "every step" : `on disk every ${checkpointEvery} steps, ${diskStallSeconds} s each`,
    mishaps.filter(({ kind }) => kind !== "lose-memory").length,
    `${of("process-signal")} by exit, ${of("hang")} by progress`,
    state.evicted.length,
    state.attempts,
    state.lostSteps,
    `${(100 * savedShare).toFixed(2)} %`,
    // Saving holds up every productive second alike, and the simulation does not charge it.
    `${(100 / (1 / (ettr(state) ?? 0) + savedShare)).toFixed(2)} %`,
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Young's optimum as the planner gives it, in whole steps. */
function diskSteps(failuresPerNodeDay: number, stallSeconds: number): number {
  const question = RunQuestion.parse({
    productiveSeconds: 86_400,
    checkpoint: { stallSeconds },
    pools: [{ nodes, failuresPerNodeDay }],
  });
  const [pool] = question.pools;
  return Math.max(1, Math.round(checkpointInterval(question, pool!) / stepSeconds));
}

/** Poisson over the steps; each fault has a cause of the published breakdown. */
function faults(dice: Random, given: { steps: number; rate: number; memorySurvives: boolean }): Mishap[] {
  const perStep = (given.rate * nodes * stepSeconds) / 86_400;
  const found: Mishap[] = [];
  const gap = (): number => -Math.log(1 - dice.uniform()) / perStep;
  for (let at = gap(); at < given.steps - 2; at += gap()) {
    const step = 2 + Math.floor(at);
    const rank = dice.below(nodes);
    if (found.at(-1)?.step === step) continue;
    const cause = causeAt(dice.uniform());
    if (cause?.nodeLeaves && !given.memorySurvives) found.push(mishap({ kind: "lose-memory", step, rank }));
    // What hangs is seen by the standstill alone: the program says nothing of its links.
    const hangs = cause?.category === "interconnect";
    found.push(
      mishap({
        kind: hangs ? "stuck" : cause?.nodeLeaves ? "break-node" : "end",
        code: null,
        signal: "SIGKILL",
        step,
        rank,
      }),
    );
  }
  return found;
}

/** The cause at this place of their shares laid end to end. */
function causeAt(place: number): FailureCause | undefined {
  let left = place;
  for (const cause of publishedCauses) {
    left -= cause.share;
    if (left < 0) return cause;
  }
  return publishedCauses.at(-1);
}

function report(rows: readonly string[], days: number): string {
  return `## ${days} days on 10,000 accelerators, simulated

1,250 nodes of eight accelerators, steps of ${stepSeconds} s, the real supervisor on a virtual clock. Faults come at the published rate of the
record (\`src/catalog/reliability-facts.ts\`) with the causes that Llama 3's table 5 counts (arXiv:2407.21783): those of a node make it start
nothing any more until it is evicted, those of links and collectives stop a rank without a word, the others end a process. From a launch
to its first computing: uniform up to ${startSeconds} s, on average the 65 s that ByteRobust gives for a restart in place at 16,384 devices
(arXiv:2509.16293). Evicted nodes come back as spares, of which there are always enough. ETTR is productive over wall time: steps computed
again, restarts and the time until a fault is noticed are lost, and so is what saving holds up: keeping every step costs 0.71 % of each
(same source); a checkpoint on disk 3 to 33 s, from Llama 3's shards and storage, taken at Young's optimum for that as the planner gives it.

| rate of | faults per node and day | kept | faults | noticed | nodes evicted | attempts | steps lost | saving | ETTR |
|---|--:|---|--:|---|--:|--:|--:|--:|--:|
${rows.join("\n")}`;
}
