/**
 * Keeps the newest checkpoints of a folder and removes older ones, but never the last that verifies.
 * Knows: folders, bytes. Does not know: tiers, the writer.
 */
import { renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { listCheckpoints, temporaryPrefix } from "./checkpoint-folder.ts";
import { CorruptCheckpoint } from "./corrupt-checkpoint.ts";
import { checkFiles, readManifest } from "./integrity.ts";

export interface Retention {
  /** How many of the newest stay, at least 1. */
  readonly keep: number;
  /**
   * Read the kept ones back until one verifies, before anything is removed. False trusts the hash taken while writing: for memory-backed
   * storage, where reading every step back costs as much as writing it and the next step is the better remedy.
   */
  readonly readBack: boolean;
}

/** Gives the paths removed. */
export function retain(folder: string, { keep, readBack }: Retention): readonly string[] {
  const newestFirst = [...listCheckpoints(folder)].reverse().map(({ path }) => path);
  const kept = newestFirst.slice(0, Math.max(1, keep));
  let old = newestFirst.slice(kept.length);
  if (old.length > 0 && readBack && !kept.some(verifies)) {
    const last = old.findIndex(verifies);
    old = last < 0 ? [] : old.slice(last + 1);
  }
  old.forEach(removeCheckpoint);
  return old;
}

/** Takes a checkpoint away whole: it first loses its name, so that a crash half-way leaves no broken one. */
export function removeCheckpoint(path: string): void {
  const nameless = join(dirname(path), `${temporaryPrefix}removed-${basename(path)}-p${process.pid}`);
  rmSync(nameless, { recursive: true, force: true });
  renameSync(path, nameless);
  rmSync(nameless, { recursive: true, force: true });
}

function verifies(path: string): boolean {
  try {
    checkFiles(path, readManifest(path).files);
    return true;
  } catch (error) {
    if (error instanceof CorruptCheckpoint) return false;
    throw error;
  }
}
