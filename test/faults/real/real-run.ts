/**
 * One run of real processes that a fault of the matrix strikes: supervisor, agent, workers, journal, and what can be done to them.
 * Knows: how they are started, found, signalled and measured by the journal. Does not know: which fault, what should come of it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { stringify } from "yaml";
import { listProcesses } from "../../../src/host/processes.ts";
import type { RunEvent } from "../../../src/journal/event.ts";
import { initialState, type RunState } from "../../../src/journal/state.ts";
import { readJournal } from "../../../src/store/journal-file.ts";
import { memoryTier } from "../../../src/store/run-directory.ts";
import { tinyRun } from "../../e2e/tiny-run.ts";

/** What the supervisor's process is to do otherwise than usual; read by test/supervise-fake.mjs. */
export interface Setup {
  /** The embedded engine's workers, which train for real, instead of those that train nothing. */
  readonly engine?: boolean;
  /** Network namespace of each rank, and rank 0's address in them. */
  readonly namespaces?: { readonly names: readonly string[]; readonly address: string };
  /** Nodes and pools whose program cannot be started. */
  readonly brokenNodes?: readonly string[];
  readonly brokenPools?: readonly string[];
  /** The first attempt finds its port taken. */
  readonly takesPort?: boolean;
  /** The supervisor is killed right after it appended this record. */
  readonly diesAfter?: number;
}

interface Deed {
  readonly rank: number;
  /** From this step on, or at it. */
  readonly step: number;
  /** Only in these attempts. */
  readonly epochs?: readonly number[];
}

/** What a worker of test/fake-worker.mjs is to do, by the file that FAKE_DEEDS_FILE names. */
export interface Deeds {
  readonly raise?: Deed;
  readonly leave?: Deed;
  readonly allocate?: Deed;
  readonly beat?: Deed;
  readonly print?: Deed & { readonly text: string; readonly secondsAStep: number };
  readonly slow?: Deed & { readonly seconds: number };
  readonly zombie?: Deed & { readonly program: string };
  readonly crashes?: readonly { readonly rank: number; readonly step: number; readonly epoch: number }[];
  readonly dieWhilePublishing?: { readonly step: number; readonly epoch: number };
  readonly spike?: { readonly step: number; readonly epoch: number; readonly factor: number };
}

export interface RunOptions {
  readonly steps?: number;
  readonly setup?: Setup;
  readonly deeds?: Deeds;
  /** Changes to the run file: pools and failover. */
  readonly change?: (run: ReturnType<typeof tinyRun>) => object;
  /** The run's directory is a tmpfs of this size. */
  readonly mebibytes?: number;
}

export interface EndedSupervisor {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

export interface RealRun extends Disposable {
  readonly dir: string;
  readonly runFile: string;
  /** Wall seconds at which the fault struck, each time; undefined while it has not. */
  struckAt(): number[] | undefined;
  /** Notes that the fault strikes now. */
  strikes(): void;
  start(setup?: Setup): ChildProcess;
  ended(): Promise<EndedSupervisor>;
  supervisor(): number;
  agent(): number;
  worker(rank: number): number;
  events(): readonly RunEvent[];
  state(): RunState;
  untilStep(step: number): Promise<void>;
  until(what: string, holds: () => boolean): Promise<void>;
  /** Milliseconds that a step takes from now on. */
  pace(milliseconds: number): void;
  memoryFolder(): string;
  /** Something that must be undone even when the scenario fails; last first. */
  defer(undo: () => void): void;
}

export const pause = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));
export const command = (program: string, ...args: readonly string[]): string =>
  execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

const superviseFake = resolve(import.meta.dirname, "../../supervise-fake.mjs");
/** Steps slow enough that a fault can be aimed at one of them. */
const usualPace = 30;

/** Starts the run; `using` it ends everything that it started and removes what it wrote. */
export function startRun(name: string, options: RunOptions = {}): RealRun {
  const root = mkdtempSync(join(tmpdir(), `dualgauge-fault-${name}-`));
  const files = { text: join(root, "text.txt"), deeds: join(root, "deeds.json"), pace: join(root, "pace") };
  const runFile = join(root, "run.yaml");
  const dir = join(root, "run");
  const undo: (() => void)[] = [];
  let started: ChildProcess | undefined;
  let ended: Promise<EndedSupervisor> | undefined;
  const struck: number[] = [];
  writeFileSync(files.text, Array.from({ length: 300 }, (_, line) => `line ${line}: ${line * 7} fathoms\n`).join(""));
  writeFileSync(files.deeds, JSON.stringify(options.deeds ?? {}));
  writeFileSync(files.pace, String(usualPace));
  const plain = tinyRun({ files: [files.text], steps: options.steps ?? 60 });
  const run = { ...plain, train: { ...plain.train, checkpointEvery: 20 } };
  writeFileSync(runFile, stringify(options.change?.(run) ?? run));
  if (options.mebibytes !== undefined) {
    mkdirSync(dir);
    command("mount", "-t", "tmpfs", "-o", `size=${options.mebibytes}m`, "tmpfs", dir);
    undo.push(() => command("umount", "-l", dir));
  }
  const journal = join(dir, "journal.jsonl");
  const read = (): { events: readonly RunEvent[]; state: RunState } =>
    existsSync(journal) ? readJournal(journal) : { events: [], state: initialState };
  const own = (): ReturnType<typeof listProcesses> =>
    listProcesses().filter(({ commandLine }) => commandLine.some((part) => part.startsWith(root)));
  const real: RealRun = {
    dir,
    runFile,
    struckAt() {
      const injected = read().events.filter(({ type }) => type === "fault-injected");
      if (injected.length > 0) return injected.map(({ at }) => at);
      const deeds = existsSync(`${files.deeds}.done`) ? readFileSync(`${files.deeds}.done`, "utf8") : "";
      const told = deeds.split("\n").flatMap((line) => (line === "" ? [] : [Number(JSON.parse(line).at)]));
      const all = [...struck, ...told].sort((one, other) => one - other);
      return all.length === 0 ? undefined : all;
    },
    strikes() {
      struck.push(Date.now() / 1000);
    },
    start(setup = options.setup ?? {}) {
      const child = spawn(process.execPath, [superviseFake, runFile, dir], {
        stdio: ["ignore", "ignore", "pipe"],
        env: {
          ...process.env,
          FAKE_DEEDS_FILE: files.deeds,
          FAKE_PACE_FILE: files.pace,
          SUPERVISE_SETUP: JSON.stringify(setup),
        },
      });
      let stderr = "";
      child.stderr.on("data", (piece: Buffer) => (stderr += piece));
      started = child;
      ended = new Promise((done) => child.once("close", (code, signal) => done({ code, signal, stderr })));
      return child;
    },
    ended: () => ended ?? Promise.reject(new Error("was not started")),
    supervisor: () => started?.pid ?? Number.NaN,
    agent() {
      const pid = read().state.attempt?.agent?.pid;
      if (pid === undefined) throw new Error("no agent lives");
      return pid;
    },
    worker(rank) {
      const { attempt } = read().state;
      const found = attempt?.workers.find((worker) => worker.rank === rank && worker.exit === undefined);
      if (found === undefined) throw new Error(`rank ${rank} does not live`);
      return found.process.pid;
    },
    events: () => read().events,
    state: () => read().state,
    async untilStep(step) {
      await real.until(`step ${step}`, () => read().state.step >= step);
    },
    async until(what, holds) {
      for (const patience = Date.now() + 60_000; !holds(); await pause(0.02)) {
        if (Date.now() > patience) throw new Error(`60 s without: ${what}`);
      }
    },
    pace(milliseconds) {
      writeFileSync(`${files.pace}.new`, String(milliseconds));
      renameSync(`${files.pace}.new`, files.pace);
    },
    memoryFolder: () => memoryTier(run.name, dir).folder,
    defer(what) {
      undo.push(what);
    },
    [Symbol.dispose]() {
      started?.kill("SIGKILL");
      for (const { identity } of own()) kill(identity.pid, "SIGKILL");
      for (const last of undo.reverse()) last();
      rmSync(memoryTier(run.name, dir).folder, { recursive: true, force: true });
      rmSync(root, { recursive: true, force: true });
    },
  };
  return real;
}

/** False when it is gone already. */
export function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // ESRCH: it ended by itself, which is as good
  }
}
