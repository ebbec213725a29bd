/**
 * The real supervisor, agent and local launcher with real processes, signals and files; only the workers train nothing.
 * Every run must end in the same weights, whatever was killed, and leave nothing behind.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { listProcesses } from "../../src/host/processes.ts";
import { reduce } from "../../src/journal/reduce.ts";
import type { TrainDocument } from "../../src/journal/select.ts";
import { random } from "../../src/spec/random.ts";
import { readJournal } from "../../src/store/journal-file.ts";
import { memoryTier } from "../../src/store/run-directory.ts";

const root = mkdtempSync(join(tmpdir(), "dualgauge-supervise-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const steps = 60;

function writeRun(
  name: string,
  faults: { ascend?: object[]; nvidia?: object[] } = {},
): { runFile: string; dir: string } {
  const pool = (platform: "ascend" | "nvidia"): object => ({
    ...{ name: platform, workers: 2, spares: 0 },
    emulate: { platform, faults: faults[platform] ?? [] },
  });
  const run = {
    name: "fake",
    model: {
      ...{ vocab_size: 260, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64 },
      ...{ kv_lora_rank: 16, qk_nope_head_dim: 16, qk_rope_head_dim: 8, v_head_dim: 16 },
    },
    data: { text: { files: ["text.txt"] } },
    train: { steps, globalBatch: 8, seqLength: 16, learningRate: 0.001, checkpointEvery: 20 },
    pools: [pool("ascend"), pool("nvidia")],
    failover: { maxFaultsPerPool: 2, maxFaultsPerProductiveHour: 1e9 },
  };
  const runFile = join(root, `${name}.yaml`);
  writeFileSync(runFile, stringify(run));
  return { runFile, dir: join(root, name) };
}

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly document: TrainDocument | undefined;
  readonly stderr: string;
}

/** With a pace file, steps take as many milliseconds as it says. */
function start(
  { runFile, dir }: { runFile: string; dir: string },
  paceFile?: string,
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [join(import.meta.dirname, "..", "supervise-fake.mjs"), runFile, dir], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...(paceFile === undefined ? {} : { FAKE_PACE_FILE: paceFile }) },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (piece: Buffer) => (stdout += piece));
  child.stderr.on("data", (piece: Buffer) => (stderr += piece));
  const ended = new Promise<Ended>((resolve) =>
    child.once("close", (code, signal) =>
      resolve({ code, signal, stderr, document: stdout === "" ? undefined : (JSON.parse(stdout) as TrainDocument) }),
    ),
  );
  return { child, ended };
}

const living = (dir: string) =>
  listProcesses().filter(({ commandLine }) => commandLine.some((part) => part.startsWith(dir)));
const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const patience = Date.now() + 30_000; !holds(); await pause(0.02)) {
    if (Date.now() > patience) throw new Error(`30 s without: ${what}`);
  }
}

const stepOf = (dir: string): number =>
  existsSync(join(dir, "journal.jsonl")) ? readJournal(join(dir, "journal.jsonl")).state.step : 0;

function expectNothingLeft(dir: string): void {
  expect(living(dir), "a process is left").toEqual([]);
  expect(existsSync(memoryTier("fake", dir).folder), "the memory tier is left").toBe(false);
  expect(existsSync(join(dir, "lease")), "the lease is left").toBe(false);
}

describe("a run of real processes", () => {
  let undisturbed: string | null | undefined;
  beforeAll(async () => {
    const run = writeRun("undisturbed");
    const { code, document, stderr } = await start(run).ended;
    expect(code, stderr).toBe(0);
    expect(document).toMatchObject({ state: "finished", steps, attempts: 1, lostSteps: 0 });
    expect(document?.faults).toEqual([]);
    undisturbed = document?.weightsSha256;
    expect(undisturbed).toMatch(/^[0-9a-f]{64}$/);
    expectNothingLeft(run.dir);
  });

  test("killed, stopped and exiting workers on two pools: the same weights, no step lost", async () => {
    const ascend = [
      { kind: "crash", rank: 1, step: 6 },
      { kind: "nan", rank: 0, step: 10 },
      { kind: "hang", rank: 1, step: 15 },
      { kind: "exit", rank: 0, step: 22, code: 3 },
    ];
    const run = writeRun("faults", { ascend, nvidia: [{ kind: "crash", rank: 0, step: 40 }] });
    const { code, document, stderr } = await start(run).ended;
    expect(code, stderr).toBe(0);
    expect(document).toMatchObject({ state: "finished", attempts: 5, failovers: 1, lostSteps: 0, pool: "nvidia" });
    expect(document?.weightsSha256).toBe(undisturbed);
    const seen = document?.faults.map(({ kind, rank, pool, step, action, fired }) => [
      kind,
      rank,
      pool,
      step,
      action,
      fired,
    ]);
    expect(seen).toEqual([
      ["crash", 1, "ascend", 6, "restart", true],
      ["nan", 0, "ascend", 10, "retry", true],
      ["hang", 1, "ascend", expect.any(Number), "restart", true],
      ["exit", 0, "ascend", 22, "fail-over", true],
      ["crash", 0, "nvidia", 40, "restart", true],
    ]);
    expectNothingLeft(run.dir);
  });

  test("a supervisor killed at 20 random moments: nothing lost, nothing doubled, one attempt", async () => {
    const run = writeRun("kills");
    const dice = random(11, "moments");
    const pace = join(root, "pace");
    writeFileSync(pace, "700");
    let killed = 0;
    let end: Ended | undefined;
    while (end?.code !== 0) {
      const { child, ended } = start(run, pace);
      if (killed < 20) {
        await Promise.race([ended, until("a lease", () => existsSync(join(run.dir, "lease")))]);
        await pause(dice.uniform() * 0.4);
        if (child.kill("SIGKILL") && ++killed === 20) writeFileSync(pace, "20");
      }
      end = await ended;
      if (end.signal === null) expect(end.code, end.stderr).toBe(0);
    }
    const { events, state, tornBytes } = readJournal(join(run.dir, "journal.jsonl"));
    expect(tornBytes).toBe(0);
    expect(reduce(events)).toEqual(state);
    expect(killed).toBe(20);
    const outcomes = events.flatMap((event) => (event.type === "attempt-ended" ? [event.data.outcome] : []));
    // A kill between the intent to launch and the launch leaves an attempt that never was; living workers are adopted.
    expect(outcomes.filter((outcome) => outcome !== "never-started")).toEqual(["completed"]);
    const counted = events.reduce((sum, event) => sum + (event.type === "progress" ? event.data.steps : 0), 0);
    expect(counted, "each step once").toBe(steps);
    expect(state.finished?.weightsSha256).toBe(undisturbed);
    expectNothingLeft(run.dir);
  });

  test("a second supervisor is refused in one line; SIGTERM stops all, and the same command goes on", async () => {
    const run = writeRun("two");
    const pace = join(root, "pace");
    writeFileSync(pace, "200");
    const first = start(run, pace);
    await until("step 5", () => stepOf(run.dir) >= 5);
    const second = await start(run).ended;
    expect(second.code).toBe(2);
    expect(second.stderr.trim().split("\n")).toEqual([expect.stringMatching(/is supervised by process \d+ already/)]);
    first.child.kill("SIGTERM");
    const stopped = await first.ended;
    expect(stopped).toMatchObject({ code: 130, document: { state: "interrupted" } });
    expect(living(run.dir)).toEqual([]);
    const again = await start(run).ended;
    expect(again.document).toMatchObject({ state: "finished", attempts: 2, lostSteps: 0, weightsSha256: undisturbed });
    const once = await start(run).ended;
    expect(once).toMatchObject({ code: 0, document: { state: "finished", attempts: 2 } });
    expectNothingLeft(run.dir);
  });

  test("a directory of another run, and one of something else, are refused and left alone", async () => {
    const { dir } = writeRun("undisturbed");
    const other = writeRun("other", { ascend: [{ kind: "crash", step: 3 }] });
    const refused = await start({ runFile: other.runFile, dir }).ended;
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/holds run fake from another run file; choose another --dir/);
    const foreign = await start({ runFile: other.runFile, dir: root }).ended;
    expect(foreign.stderr).toMatch(/but no run; choose another --dir/);
    expect(existsSync(join(root, "journal.jsonl"))).toBe(false);
  });
});
