/**
 * Real PyTorch jobs (gloo, CPU) under the real command: killed, stopped, out of memory, raising; each goes on from its own checkpoint.
 * Skipped, with the reason, where no python3 has PyTorch.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { identify, signalProcess } from "../../src/host/processes.ts";
import type { TrainDocument } from "../../src/journal/select.ts";
import { readJournal } from "../../src/store/journal-file.ts";
import { start, temporaryFolder } from "./command.ts";
import { leftovers, nothing } from "./leftovers.ts";

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

function job(
  folder: string,
  name: string,
  program: object,
  ranks: number,
): { journal: string; train: () => ReturnType<typeof start> } {
  const file = {
    name,
    program,
    pools: [{ name: "here", workers: ranks }],
    // Batches this small make the loss jump by itself.
    failover: { hangSeconds: 6, stopGraceSeconds: 1, lossSpikeFactor: 50 },
  };
  writeFileSync(join(folder, `${name}.yaml`), stringify(file));
  return {
    journal: join(folder, "runs", name, "journal.jsonl"),
    train: () => start(["train", `${name}.yaml`, "--json"], { cwd: folder }),
  };
}

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

test("plain DDP, unchanged: SIGKILL and SIGSTOP, resumed from its own torch.save files", { timeout: 240_000 }, async ({
  skip,
}) => {
  if (python === undefined) return skip(noTorch);
  using folder = temporaryFolder();
  cpSync(join(root, "examples/pytorch-ddp"), folder.path, { recursive: true });
  const steps = 60;
  const { journal, train } = job(
    folder.path,
    "ddp",
    {
      command: [python, "train.py", "--steps", String(steps), "--checkpoints", "kept"],
      ...{ adapter: "plain", steps, checkpoint: { dir: "kept", format: "torch" } },
    },
    2,
  );
  const running = train();
  await strike(journal, { rank: 1, step: 12, epoch: 1, signal: "SIGKILL" });
  await strike(journal, { rank: 0, step: 30, epoch: 2, signal: "SIGSTOP" });
  const { code, stdout, stderr } = await running.finished;
  expect(code, stderr).toBe(0);
  const document = JSON.parse(stdout) as TrainDocument;
  expect(document).toMatchObject({
    state: "finished",
    steps,
    attempts: 3,
    checkpoint: join(folder.path, "kept/step-60.pt"),
  });
  expect(document.faults).toMatchObject([
    { kind: "process-signal", rank: 1, action: "restart" },
    { kind: "hang", rank: 0, action: "restart" },
  ]);
  const { events } = readJournal(journal);
  const resumes = events.flatMap((event) => (event.type === "launch-intended" ? [event.data.resume?.step ?? 0] : []));
  expect(resumes[0]).toBe(0);
  expect(resumes[1]).toBeGreaterThanOrEqual(10);
  expect(resumes[2]).toBeGreaterThanOrEqual(25);
  // What the program itself says that it resumed from is what the journal says.
  for (const [index, step] of resumes.entries()) {
    if (index > 0)
      expect(readFileSync(join(folder.path, `runs/ddp/attempts/${index + 1}/rank-0.log`), "utf8")).toContain(
        `resumed from step-${step}.pt`,
      );
  }
  expect(leftovers("ddp", join(folder.path, "runs/ddp"))).toEqual(nothing);
});

test("Megatron's lines on the last of 3 ranks, distributed checkpoints, a torn tracker: memory exhausted once", {
  timeout: 240_000,
}, async ({ skip }) => {
  if (python === undefined) return skip(noTorch);
  using folder = temporaryFolder();
  const { journal, train } = job(
    folder.path,
    "mega",
    {
      command: [
        python,
        join(root, "test/programs/megatron_like.py"),
        "--save",
        "ck",
        "--exhaust-at",
        "10",
        "--steps",
        "16",
      ],
      ...{ adapter: "megatron", steps: 16, checkpoint: { dir: "ck", format: "megatron" } },
      resume: { flags: ["--ckpt-step", "{step}", "--load", "{path}"] },
    },
    3,
  );
  const running = train();
  // The tracker is torn while the job still runs, as a full disk would leave it.
  await until("step 9", () => existsSync(journal) && readJournal(journal).state.step >= 9);
  writeFileSync(join(folder.path, "ck/latest_checkpointed_iteration.txt"), "");
  const { code, stdout, stderr } = await running.finished;
  expect(code, stderr).toBe(0);
  const document = JSON.parse(stdout) as TrainDocument;
  expect(document).toMatchObject({ state: "finished", steps: 16, attempts: 2 });
  expect(document.faults).toMatchObject([{ kind: "out-of-memory", rank: 1, action: "restart", category: "memory" }]);
  expect(document.checkpoint).toBe(join(folder.path, "ck/iter_0000016"));
  const { events, state } = readJournal(journal);
  expect(state.attempt?.resume?.step).toBe(8);
  expect(state.loss).toBeGreaterThan(0);
  expect(state.gradNorm).toBeGreaterThan(0);
  expect(events.filter(({ type }) => type === "noted")).toEqual([]);
  const order = readFileSync(join(folder.path, "runs/mega/attempts/2/launch.json"), "utf8");
  expect(order).toContain(`"--ckpt-step","8","--load","${join(folder.path, "ck/iter_0000008")}"`);
  expect(leftovers("mega", join(folder.path, "runs/mega"))).toEqual(nothing);
});

test("a rank that raises the same exception again: fix-job after two attempts, the checkpoint kept", {
  timeout: 240_000,
}, async ({ skip }) => {
  if (python === undefined) return skip(noTorch);
  using folder = temporaryFolder();
  const { journal, train } = job(
    folder.path,
    "raises",
    {
      command: [python, join(root, "test/programs/megatron_like.py"), "--save", "ck", "--raise-at", "6"],
      ...{ adapter: "megatron", checkpoint: { dir: "ck", format: "dcp" } },
    },
    2,
  );
  const { code, stdout } = await train().finished;
  expect(code).toBe(1);
  const document = JSON.parse(stdout) as TrainDocument;
  expect(document).toMatchObject({ state: "failed", attempts: 2, checkpoint: join(folder.path, "ck/iter_0000004") });
  expect(document.faults.map(({ kind, action, rank }) => [kind, action, rank])).toEqual([
    ["program-error", "restart", 1],
    ["program-error", "fix-job", 1],
  ]);
  expect(document.reasons[0]).toMatch(/ValueError twice at the same step.*mend the job/);
  expect(document.faults[1]?.evidence.join()).toContain("ValueError: index 106 is out of bounds");
  const workers = readJournal(journal).state.attempt?.workers ?? [];
  expect(workers.map(({ process }) => identify(process.pid)?.startTicks === process.startTicks)).toEqual([
    false,
    false,
  ]);
});
