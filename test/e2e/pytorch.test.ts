/**
 * Real PyTorch jobs (gloo, CPU) under the real command: killed, stopped, out of memory, raising; each goes on from its own checkpoint.
 * Skipped, with the reason, where no python3 has PyTorch.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { identify, signalProcess } from "../../src/host/processes.ts";
import type { TrainDocument } from "../../src/journal/select.ts";
import { readJournal } from "../../src/store/journal-file.ts";
import { start, temporaryFolder } from "./command.ts";
import { leftovers, nothing } from "./leftovers.ts";
import { memoryGroup } from "./memory-group.ts";

const root = resolve(import.meta.dirname, "../..");
const python = ["python3", "/usr/bin/python3"].find((candidate) => {
  try {
    execFileSync(
      candidate,
      [
        "-c",
        "import torch.distributed as d; assert d.is_gloo_available() if hasattr(d, 'is_gloo_available') else d.is_available()",
      ],
      { stdio: "ignore" },
    );
    return true;
  } catch {
    return false; // No such Python, or one without PyTorch.
  }
});
const noTorch = "no python3 here has PyTorch with gloo (Debian: python3-torch)";

interface Job {
  readonly folder: string;
  readonly name: string;
  readonly journal: string;
  /** Starts `train`. */
  start(): ReturnType<typeof start>;
  /** Waits for its end: exit code and document; nothing of it may be left behind. */
  end(running: ReturnType<typeof start>, code: number): Promise<TrainDocument>;
}

/** A test of a real job in a folder of its own, skipped with the reason where it cannot run. */
function torchTest(
  title: string,
  { name, ranks, program }: { name: string; ranks: number; program: (python: string) => object },
  body: (job: Job, skip: (reason: string) => void) => Promise<void>,
): void {
  test(title, { timeout: 240_000 }, async ({ skip }) => {
    if (python === undefined) return skip(noTorch);
    using folder = temporaryFolder();
    const file = {
      ...{ name, program: program(python), pools: [{ name: "here", workers: ranks }] },
      // Batches this small make the loss jump by itself.
      failover: { hangSeconds: 6, stopGraceSeconds: 1, lossSpikeFactor: 50 },
    };
    const write = (): void => writeFileSync(join(folder.path, `${name}.yaml`), stringify(file));
    const run = join(folder.path, "runs", name);
    const job: Job = {
      folder: folder.path,
      name,
      journal: join(run, "journal.jsonl"),
      start() {
        write();
        return start(["train", `${name}.yaml`, "--json"], { cwd: folder.path });
      },
      async end(running, code) {
        const finished = await running.finished;
        expect(finished.code, finished.stderr).toBe(code);
        expect(leftovers(name, run)).toEqual(nothing);
        return JSON.parse(finished.stdout) as TrainDocument;
      },
    };
    await body(job, skip);
  });
}

/** From which step each attempt went on. */
const resumesOf = (job: Job): number[] =>
  readJournal(job.journal).events.flatMap((event) =>
    event.type === "launch-intended" ? [event.data.resume?.step ?? 0] : [],
  );
const logOf = (job: Job, epoch: number, rank = 0): string =>
  readFileSync(join(job.folder, `runs/${job.name}/attempts/${epoch}/rank-${rank}.log`), "utf8");

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const patience = Date.now() + 90_000; !holds(); await new Promise((wake) => setTimeout(wake, 20))) {
    if (Date.now() > patience) throw new Error(`90 s without: ${what}`);
  }
}

/** Signals the process of a rank of the living attempt, once its run is at `step`; returns at which step it struck. */
async function strike(
  journal: string,
  given: { rank: number; step: number; epoch: number; signal: NodeJS.Signals },
): Promise<void> {
  const { rank, step, epoch, signal } = given;
  const state = () => readJournal(journal).state;
  await until(
    `step ${step} in attempt ${epoch}`,
    () => existsSync(journal) && state().epoch === epoch && state().step >= step,
  );
  const worker = state().attempt?.workers.find((other) => other.rank === rank);
  expect(worker, "a worker to strike").toBeDefined();
  if (worker !== undefined) expect(signalProcess(worker.process, signal), `${signal} found its process`).toBe(true);
}

const steps = 60;
torchTest(
  "plain DDP, unchanged: SIGKILL and SIGSTOP, resumed from its own torch.save files",
  {
    ...{ name: "ddp", ranks: 2 },
    program: (python) => ({
      command: [python, "train.py", "--steps", String(steps), "--checkpoints", "kept"],
      ...{ adapter: "plain", steps, checkpoint: { dir: "kept", format: "torch" } },
    }),
  },
  async (job) => {
    cpSync(join(root, "examples/pytorch-ddp"), job.folder, { recursive: true });
    const running = job.start();
    await strike(job.journal, { rank: 1, step: 12, epoch: 1, signal: "SIGKILL" });
    await strike(job.journal, { rank: 0, step: 30, epoch: 2, signal: "SIGSTOP" });
    const document = await job.end(running, 0);
    const checkpoint = join(job.folder, "kept/step-60.pt");
    expect(document).toMatchObject({ state: "finished", steps, attempts: 3, checkpoint });
    expect(document.faults).toMatchObject([
      { kind: "process-signal", rank: 1, action: "restart" },
      { kind: "hang", rank: 0, action: "restart" },
    ]);
    const resumes = resumesOf(job);
    expect(resumes[0]).toBe(0);
    expect(resumes[1]).toBeGreaterThanOrEqual(10);
    expect(resumes[2]).toBeGreaterThanOrEqual(25);
    // What the program itself says that it resumed from is what the journal says.
    expect(logOf(job, 2)).toContain(`resumed from step-${resumes[1]}.pt`);
    expect(logOf(job, 3)).toContain(`resumed from step-${resumes[2]}.pt`);
  },
);

const megatronLike = join(root, "test/programs/megatron_like.py");
torchTest(
  "Megatron's lines on the last of 3 ranks, distributed checkpoints, a torn tracker: address space exhausted once",
  {
    ...{ name: "mega", ranks: 3 },
    program: (python) => ({
      command: [python, megatronLike, "--save", "ck", "--exhaust-at", "10", "--steps", "16"],
      ...{ adapter: "megatron", steps: 16, checkpoint: { dir: "ck", format: "megatron" } },
      resume: { flags: ["--ckpt-step", "{step}", "--load", "{path}"] },
    }),
  },
  async (job) => {
    const running = job.start();
    // The tracker is torn while the job still runs, as a full disk would leave it.
    await until("step 9", () => existsSync(job.journal) && readJournal(job.journal).state.step >= 9);
    writeFileSync(join(job.folder, "ck/latest_checkpointed_iteration.txt"), "");
    const document = await job.end(running, 0);
    expect(document).toMatchObject({ state: "finished", steps: 16, attempts: 2 });
    expect(document.faults).toMatchObject([{ kind: "out-of-memory", rank: 1, action: "restart", category: "memory" }]);
    expect(document.checkpoint).toBe(join(job.folder, "ck/iter_0000016"));
    const { events, state } = readJournal(job.journal);
    expect(state.attempt?.resume?.step).toBe(8);
    expect(state.loss).toBeGreaterThan(0);
    expect(state.gradNorm).toBeGreaterThan(0);
    expect(events.filter(({ type }) => type === "noted")).toEqual([]);
    const order = readFileSync(join(job.folder, "runs/mega/attempts/2/launch.json"), "utf8");
    expect(order).toContain(`"--ckpt-step","8","--load","${join(job.folder, "ck/iter_0000008")}"`);
  },
);

const group = memoryGroup("pytorch", 128 * 2 ** 20);
const procs = typeof group === "string" ? "/nowhere" : group.procs;
afterAll(() => typeof group !== "string" && group.close());
torchTest(
  "memory exhausted in a control group: the kernel kills the rank, and the job goes on from its checkpoint",
  {
    ...{ name: "killed", ranks: 2 },
    program: (python) => ({
      command: [python, megatronLike, "--save", "ck", "--exhaust-at", "6", "--steps", "10", "--memory-group", procs],
      ...{ adapter: "megatron", steps: 10, checkpoint: { dir: "ck", format: "megatron" } },
    }),
  },
  async (job, skip) => {
    if (typeof group === "string") return skip(group);
    const document = await job.end(job.start(), 0);
    expect(group.kills(), "kills by the kernel").toBe(1);
    expect(document).toMatchObject({ state: "finished", steps: 10, attempts: 2 });
    expect(document.faults).toMatchObject([{ kind: "process-signal", rank: 1, action: "restart" }]);
    expect(document.faults[0]?.evidence.join()).toContain("SIGKILL");
    expect(resumesOf(job)).toEqual([0, 4]);
  },
);

torchTest(
  "PyTorch's own distributed checkpoints under torchtitan's lines: a rank killed, a shard of the newest lost",
  {
    ...{ name: "titan", ranks: 2 },
    program: (python) => ({
      command: [python, join(root, "test/programs/dcp_job.py"), "--folder", "ck", "--steps", "16", "--linger-at", "10"],
      ...{ adapter: "torchtitan", steps: 16, checkpoint: { dir: "ck", format: "dcp" } },
    }),
  },
  async (job) => {
    const running = job.start();
    await until("step 9", () => existsSync(job.journal) && readJournal(job.journal).state.step >= 9);
    rmSync(join(job.folder, "ck/step-8/__1_0.distcp"));
    await strike(job.journal, { rank: 1, step: 9, epoch: 1, signal: "SIGKILL" });
    const document = await job.end(running, 0);
    expect(document).toMatchObject({
      state: "finished",
      steps: 16,
      attempts: 2,
      checkpoint: join(job.folder, "ck/step-16"),
    });
    expect(resumesOf(job)).toEqual([0, 4]);
    expect(logOf(job, 2)).toContain("Finished loading the checkpoint of step 4");
  },
);

torchTest(
  "a rank that raises the same exception again: fix-job after two attempts, the checkpoint kept",
  {
    ...{ name: "raises", ranks: 2 },
    program: (python) => ({
      command: [python, megatronLike, "--save", "ck", "--raise-at", "6"],
      ...{ adapter: "megatron", checkpoint: { dir: "ck", format: "dcp" } },
    }),
  },
  async (job) => {
    const document = await job.end(job.start(), 1);
    expect(document).toMatchObject({ state: "failed", attempts: 2, checkpoint: join(job.folder, "ck/iter_0000004") });
    expect(document.faults.map(({ kind, action, rank }) => [kind, action, rank])).toEqual([
      ["program-error", "restart", 1],
      ["program-error", "fix-job", 1],
    ]);
    expect(document.reasons[0]).toMatch(/ValueError twice at the same step.*mend the job/);
    expect(document.faults[1]?.evidence.join()).toContain("ValueError: index 106 is out of bounds");
    const workers = readJournal(job.journal).state.attempt?.workers ?? [];
    expect(workers.map(({ process }) => identify(process.pid)?.startTicks === process.startTicks)).toEqual([
      false,
      false,
    ]);
  },
);
