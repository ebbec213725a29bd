/**
 * A folder of checkpoints: names, what is published, and what an interrupted publication left behind.
 * Knows: `step-00000040` is published, `.tmp-…` is not yet, `.replaced-…` was until just now. Does not know: contents.
 */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { basename, join } from "node:path";

export const stepName = (step: number): string => `step-${String(step).padStart(8, "0")}`;
export const temporaryPrefix = ".tmp-";
export const replacedPrefix = ".replaced-";

export interface CheckpointPlace {
  readonly step: number;
  readonly path: string;
}

/** The step that a checkpoint folder's name states; undefined for any other name. */
export function stepOf(path: string): number | undefined {
  const digits = /^step-(\d{8,15})$/.exec(basename(path))?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Published checkpoints, oldest first; none when the folder does not exist. They are not verified. */
export function listCheckpoints(folder: string): readonly CheckpointPlace[] {
  return entriesOf(folder)
    .flatMap((name) => {
      const step = stepOf(name);
      return step === undefined ? [] : [{ step, path: join(folder, name) }];
    })
    .sort((a, b) => a.step - b.step);
}

/**
 * Removes what a killed writer left, and gives back what it was replacing when the replacement never came. Call it when no
 * other writer of the folder is meant to live: a writer whose temporary folder vanishes fails, and that is the intent.
 */
export function cleanLeftovers(folder: string): readonly string[] {
  const removed: string[] = [];
  for (const name of entriesOf(folder)) {
    const path = join(folder, name);
    if (name.startsWith(replacedPrefix)) {
      const step = /^\.replaced-(step-\d{8,15})/.exec(name)?.[1];
      if (step !== undefined && !existsSync(join(folder, step))) {
        renameSync(path, join(folder, step));
        continue;
      }
    } else if (!name.startsWith(temporaryPrefix)) continue;
    rmSync(path, { recursive: true, force: true });
    removed.push(path);
  }
  return removed;
}

function entriesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
