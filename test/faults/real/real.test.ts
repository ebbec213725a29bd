/**
 * Every fault of the matrix that this machine can bring about, with real processes. `npm test` strikes a third of them;
 * REAL_FAULTS=all strikes all, REAL_FAULTS=<id>,<id> some. REAL_FAULTS_OUT names a file for what was measured, one JSON line a fault.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { weightsSha256 } from "../../../src/checkpoint/weights-digest.ts";
import { reduce } from "../../../src/journal/reduce.ts";
import { readJournal } from "../../../src/store/journal-file.ts";
import { type FaultId, matrix, rowOf } from "../matrix.ts";
import { measure } from "../measure.ts";
import { startRun } from "./real-run.ts";
import { type Scenario, scenarios } from "./scenarios.ts";

/** One of each way in which a run is hurt. */
const third: readonly FaultId[] = [
  ...(["sigkill", "early-exit", "shard-bit-flip", "killed-publishing", "every-checkpoint-bad", "agent-dies"] as const),
  ...(["zombie", "stale-events", "error-words", "bad-spare", "loss-spike", "eio", "two-supervisors"] as const),
];
const { REAL_FAULTS, REAL_FAULTS_OUT } = process.env;
const chosen =
  REAL_FAULTS === undefined
    ? third
    : matrix.map(({ id }) => id).filter((id) => REAL_FAULTS === "all" || REAL_FAULTS.split(",").includes(id));

/** Why this machine cannot, or undefined. */
function lacking(id: FaultId): string | undefined {
  const { real } = rowOf(id);
  const scenario = scenarios[id];
  if (scenario === undefined) return "impossible" in real ? real.impossible : "no scenario";
  const lack = scenario.needs?.find((need) =>
    need === "root" ? process.getuid?.() !== 0 : spawnSync("which", [need], { stdio: "ignore" }).status !== 0,
  );
  return lack === undefined ? undefined : `no ${lack} here`;
}

const undisturbed = new Map<number, Promise<string | undefined>>();

/** What the run must end in: of workers that train nothing, the chain over all steps; else an undisturbed run tells. */
function weightsOf(scenario: Scenario): Promise<string | undefined> {
  const { steps = 60, setup } = scenario;
  if (!setup?.engine && scenario.starts !== "engine") return Promise.resolve(chainSha256(steps));
  const known = undisturbed.get(steps) ?? engineSha256(steps);
  undisturbed.set(steps, known);
  return known;
}

/** As test/fake-worker.mjs makes them. */
function chainSha256(steps: number): string {
  let bytes: Uint8Array = new Uint8Array(32);
  for (let step = 1; step <= steps; step++) {
    bytes = createHash("sha256").update(bytes).update(`step ${step}`).digest();
  }
  return weightsSha256([{ name: "model.norm.weight", dtype: "F32", shape: [8], bytes }]);
}

async function engineSha256(steps: number): Promise<string | undefined> {
  using run = startRun("undisturbed", { steps, setup: { engine: true } });
  run.start();
  await run.ended();
  return run.state().finished?.weightsSha256 ?? undefined;
}

describe.sequential("faults struck for real", () => {
  for (const id of chosen) {
    const row = rowOf(id);
    const lack = lacking(id);
    const scenario = scenarios[id];
    if (scenario === undefined || lack !== undefined) {
      test.skip(`${row.title} (skipped: ${lack})`, () => undefined);
      continue;
    }
    test(row.title, { timeout: 300_000 }, async () => {
      using run = startRun(id, scenario);
      if (!scenario.starts) run.start();
      await scenario.strike?.(run);
      const { code, stderr } = await run.ended();
      await run.until("the run's end", () => ["finished", "failed"].includes(run.state().phase));
      const struck = run.struckAt();
      if (struck === undefined) {
        const why = [stderr, ...run.state().reasons].join("; ");
        throw new Error(`did not strike; exit ${code}: ${why}`);
      }
      const { events, state } = readJournal(join(run.dir, "journal.jsonl"));
      const struckAt = scenario.strikesLater ? [] : struck.map((at) => at - state.createdAt);
      const measured = measure(row, { state, events, violations: [], struckAt }, await weightsOf(scenario));
      if (REAL_FAULTS_OUT !== undefined) {
        const how = "how" in row.real ? row.real.how : "";
        const noticed = scenario.unnoticed === undefined ? {} : { detectedBy: [scenario.unnoticed] };
        appendFileSync(REAL_FAULTS_OUT, `${JSON.stringify({ title: row.title, how, ...measured, ...noticed })}\n`);
      }
      const problems = measured.problems.filter((problem) => !scenario.unnoticed || problem !== "nothing was detected");
      expect(problems, `${stderr}${scenario.unnoticed ?? ""}`).toEqual([]);
      expect(reduce(events)).toEqual(state);
      const counted = events.reduce((sum, event) => sum + (event.type === "progress" ? event.data.steps : 0), 0);
      if (row.ends === "finished") expect(counted - state.lostSteps, "each step once").toBe(scenario.steps ?? 60);
    });
  }
});
