/**
 * Clears a run's directory for a new start: what still lives is stopped, then exactly what dualgauge made is removed.
 * Knows: the names of a run's files. Does not know: why somebody starts anew; a person's own files in the folder stay.
 */
import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../host/clock.ts";
import { localLauncher } from "../launcher/local.ts";
import { takeLease } from "../store/lease.ts";
import { inspectRunDirectory, memoryTier, removeMemoryTier, runFolders } from "../store/run-directory.ts";

const stopGraceSeconds = 2;
const ours = [
  "journal.jsonl",
  "epoch",
  "run.yaml",
  "attempts",
  "checkpoints",
  "quarantine",
  "export",
  "export-w8a8",
  "cache",
  "prompts.txt",
];

/** BadInput when a living process supervises the run, or the folder holds something else than a run. */
export async function startAnew(dir: string, run: string): Promise<void> {
  if (inspectRunDirectory(dir) !== "run") return;
  const { root, attempts, epoch } = runFolders(dir);
  const lease = takeLease(root);
  try {
    const launcher = localLauncher({ folder: attempts, epochFile: epoch, clock: systemClock });
    try {
      for (const attempt of await launcher.living()) await launcher.stop(attempt.epoch, stopGraceSeconds);
    } finally {
      launcher.close();
    }
    removeRun(dir, run);
  } finally {
    lease.release();
  }
  if (readdirSync(root).length === 0) rmdirSync(root);
}

/** Removes what dualgauge made for a run of which nothing lives, and the folder when nothing else is in it. */
export function removeRun(dir: string, run: string): void {
  const { root } = runFolders(dir);
  removeMemoryTier(memoryTier(run, root).folder);
  for (const name of ours) rmSync(join(root, name), { recursive: true, force: true });
  if (existsSync(root) && readdirSync(root).length === 0) rmdirSync(root);
}
