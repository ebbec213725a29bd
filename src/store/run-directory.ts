/**
 * A run's directory: what lies where, whose run it is, and the newest epoch.
 * Knows: the layout of ARCHITECTURE.md. Does not know: what the files hold, except the epoch.
 */
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join, resolve } from "node:path";
import { systemErrorCode, writeDurably } from "../host/files.ts";
import { BadInput } from "../spec/bad-input.ts";

export interface RunFolders {
  readonly root: string;
  readonly runFile: string;
  readonly journal: string;
  readonly epoch: string;
  readonly attempts: string;
  readonly checkpoints: string;
  readonly quarantine: string;
  readonly export: string;
  /** The same model in W8A8, as the ascend gauge's servers load it. */
  readonly quantized: string;
  readonly cache: string;
}

export function runFolders(dir: string): RunFolders {
  const root = resolve(dir);
  return {
    root,
    runFile: join(root, "run.yaml"),
    journal: join(root, "journal.jsonl"),
    epoch: join(root, "epoch"),
    attempts: join(root, "attempts"),
    checkpoints: join(root, "checkpoints"),
    quarantine: join(root, "quarantine"),
    export: join(root, "export"),
    quantized: join(root, "export-w8a8"),
    cache: join(root, "cache"),
  };
}

/** Whether `dir` holds a run; BadInput when it holds something else or cannot be written. Changes nothing. */
export function inspectRunDirectory(dir: string): "absent" | "empty" | "run" {
  const { root, journal } = runFolders(dir);
  if (!existsSync(root)) {
    let parent = resolve(root, "..");
    while (!existsSync(parent)) parent = resolve(parent, "..");
    writable(parent, dir);
    return "absent";
  }
  if (!statSync(root).isDirectory()) throw new BadInput(`${dir}: is a file; choose another --dir`);
  writable(root, dir);
  if (existsSync(journal)) return "run";
  // A crash before the first event may leave the lease and our own folders.
  const ours = new Set(["lease", "run.yaml", "attempts", "checkpoints", "quarantine", "cache"]);
  const foreign = readdirSync(root).find((entry) => !ours.has(entry) && !entry.startsWith("lease."));
  if (foreign !== undefined) {
    throw new BadInput(`${dir}: holds ${foreign} but no run; choose another --dir or an empty folder`);
  }
  return "empty";
}

function writable(folder: string, dir: string): void {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new BadInput(`${dir}: cannot be written (${systemErrorCode(error) ?? "?"}); choose another --dir`);
  }
}

/** Makes the folders that are missing; BadInput when that is not allowed or there is no space. */
export function makeRunDirectory(dir: string): RunFolders {
  const folders = runFolders(dir);
  try {
    for (const folder of [folders.root, folders.attempts, folders.checkpoints, folders.quarantine, folders.cache]) {
      mkdirSync(folder, { recursive: true });
    }
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    throw new BadInput(`${dir}: cannot be made (${code}); choose another --dir`);
  }
  return folders;
}

/** 0 before the first launch. */
export function readEpoch(path: string): number {
  if (!existsSync(path)) return 0;
  const epoch = Number(readFileSync(path, "utf8").trim());
  if (!Number.isInteger(epoch) || epoch < 0) throw new BadInput(`${path}: is no number; restore it from the journal`);
  return epoch;
}

/** The fencing token: on disk before a launch, so that nothing of an older attempt publishes afterwards. It never falls. */
export function raiseEpoch(path: string, epoch: number): void {
  if (readEpoch(path) < epoch) writeDurably(path, `${epoch}\n`);
}

/** Where the memory tier of the run in `dir` lies: one folder per user, run and directory. Nothing is made. */
export function memoryTier(run: string, dir: string): { folder: string; memoryBacked: boolean } {
  const shared = "/dev/shm";
  const memoryBacked = existsSync(shared) && isWritable(shared);
  const hash = createHash("sha256").update(resolve(dir)).digest("hex").slice(0, 12);
  const folder = join(memoryBacked ? shared : tmpdir(), `dualgauge-${userInfo().uid}`, `${run}-${hash}`);
  return { folder, memoryBacked };
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Removes the memory tier of one run, and the user's folder when it was the last. */
export function removeMemoryTier(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  const parent = resolve(folder, "..");
  if (existsSync(parent) && readdirSync(parent).length === 0) rmSync(parent, { recursive: true, force: true });
}
