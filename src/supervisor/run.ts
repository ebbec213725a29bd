/**
 * Trains a run in a directory: the one function that the command line calls.
 * Knows: how the real world is put together. Does not know: how it is shown.
 */
import { mkdirSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { type Clock, systemClock } from "../host/clock.ts";
import { packageRoot } from "../host/entry-point.ts";
import { descriptorShortage, writeDurably } from "../host/files.ts";
import { self } from "../host/processes.ts";
import type { RunEvent } from "../journal/event.ts";
import type { RunState } from "../journal/state.ts";
import type { Launcher } from "../launcher/launcher.ts";
import { localLauncher } from "../launcher/local.ts";
import { BadInput } from "../spec/bad-input.ts";
import { isProgramRun, type RunFile } from "../spec/run-file.ts";
import { openJournalWriter, readJournal } from "../store/journal-file.ts";
import { takeLease } from "../store/lease.ts";
import { openLog } from "../store/log.ts";
import type { ReadRunFile } from "../store/read-run-file.ts";
import {
  inspectRunDirectory,
  makeRunDirectory,
  memoryTier,
  type RunFolders,
  raiseEpoch,
} from "../store/run-directory.ts";
import { checkpointTiers } from "./checkpoint-tiers.ts";
import { createdEvent } from "./created.ts";
import { policyOf } from "./policy.ts";
import { programAttempt } from "./program-attempt.ts";
import { programTiers } from "./program-tiers.ts";
import { supervise } from "./supervise.ts";
import { workerSpec } from "./worker-spec.ts";
import type { World } from "./world.ts";

/** What verifying a checkpoint and starting an agent open at a time, and some more. */
const descriptorsOfAction = 16;

export interface RunOptions {
  readonly run: ReadRunFile;
  /** The run's directory; made when it is missing, continued when it holds this run. */
  readonly dir: string;
  /** Called after each event is in the journal, with the state that includes it. */
  readonly onEvent?: (event: RunEvent, state: RunState) => void;
  /** Aborting stops the workers cleanly; the same call goes on later. `reason` names the signal. */
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** Absent: local processes of the embedded engine. */
  readonly launcher?: (folders: RunFolders, clock: Clock) => Launcher;
}

/**
 * Supervises until the run is finished or failed or `signal` stops it, and gives the final state; a finished run is given
 * back at once. BadInput when the directory holds something else, or another process supervises it.
 */
export async function superviseRun(options: RunOptions): Promise<RunState> {
  const { run, dir, signal, clock = systemClock } = options;
  checkRunDirectory(dir, run);
  const folders = makeRunDirectory(dir);
  const lease = takeLease(folders.root);
  const { state, wholeBytes } = readJournal(folders.journal);
  const launcher = (options.launcher ?? embeddedLauncher)(folders, clock);
  const journal = openJournalWriter(folders.journal, wholeBytes);
  try {
    if (state.created === undefined) writeDurably(folders.runFile, run.text);
    const memory = memoryTier(run.file.name, folders.root);
    if (!isProgramRun(run.file)) mkdirSync(memory.folder, { recursive: true, mode: 0o700 });
    // A wall clock that was set back since the last supervisor must not make time stand still.
    const startedAt = Math.max(clock.wallSeconds(), state.at) - clock.monotonicSeconds();
    const log = openLog({
      run: run.file.name,
      state,
      now: () => startedAt + clock.monotonicSeconds(),
      write: journal.write,
      onEvent: options.onEvent,
    });
    // The directory's own copy of the run file was written elsewhere, and its paths start there.
    const base = run.folder === folders.root ? (state.created?.folder ?? run.folder) : run.folder;
    const file = withAbsolutePaths(run.file, base);
    const world: World = {
      ...{ log, launcher, clock, policy: policyOf(file) },
      tiers: isProgramRun(file)
        ? programTiers(file.program.checkpoint)
        : checkpointTiers({ memory: memory.folder, disk: folders.checkpoints, quarantine: folders.quarantine }),
      created: createdEvent(run.file, { identity: run.identity, folder: base, memory }),
      supervisor: { process: self(), host: hostname(), version: packageVersion() },
      raiseEpoch: (epoch) => raiseEpoch(folders.epoch, epoch),
      workerSpec: (intended) =>
        workerSpec(intended, file, {
          ...{ memory: memory.folder, disk: folders.checkpoints, cache: folders.cache, epochFile: folders.epoch },
        }),
      ...(isProgramRun(file) && { program: (intended: RunState) => programAttempt(intended, file, base) }),
      shortage: () => descriptorShortage(descriptorsOfAction),
      checkLease() {
        if (lease.held()) return;
        throw new BadInput(`${dir}: another process supervises it now; this one stops and leaves the workers alone`);
      },
    };
    return await supervise(world, signal);
  } finally {
    journal.close();
    launcher.close();
    lease.release();
  }
}

/** BadInput when `dir` cannot be written, or holds something else or another run. Changes nothing. */
export function checkRunDirectory(dir: string, run: ReadRunFile): void {
  if (inspectRunDirectory(dir) !== "run") return;
  const { state } = readJournal(join(resolve(dir), "journal.jsonl"));
  const { created } = state;
  if (created === undefined || created.identity === run.identity) return;
  const what = created.name === run.file.name ? `run ${created.name} from another run file` : `run ${created.name}`;
  throw new BadInput(`${dir}: holds ${what}; choose another --dir, or give the run file that it was started with`);
}

function embeddedLauncher(folders: RunFolders, clock: Clock): Launcher {
  return localLauncher({ folder: folders.attempts, epochFile: folders.epoch, clock });
}

/** Paths in a run file start from its folder; `npm:` names and `byte` are no paths. */
function withAbsolutePaths(file: RunFile, folder: string): RunFile {
  const absolute = (path: string): string =>
    isAbsolute(path) || path.startsWith("npm:") ? path : resolve(folder, path);
  if (isProgramRun(file)) {
    const { checkpoint } = file.program;
    if (checkpoint === undefined) return file;
    return { ...file, program: { ...file.program, checkpoint: { ...checkpoint, dir: absolute(checkpoint.dir) } } };
  }
  if (file.data === undefined) return file;
  const { text } = file.data;
  const tokenizer = text.tokenizer === "byte" ? text.tokenizer : absolute(text.tokenizer);
  return { ...file, data: { ...file.data, text: { ...text, files: text.files.map(absolute), tokenizer } } };
}

function packageVersion(): string {
  const parsed: unknown = JSON.parse(readFileSync(join(packageRoot(), "package.json"), "utf8"));
  const version = typeof parsed === "object" && parsed !== null && "version" in parsed ? parsed.version : undefined;
  return typeof version === "string" ? version : "unknown";
}
