/**
 * Spoils stored checkpoints while nothing reads them: the supervisor is held still, a worker is killed, the files are changed.
 * Knows: both tiers' folders. Does not know: what the supervisor makes of it.
 */
import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { identify } from "../../../src/host/processes.ts";
import { kill, pause, type RealRun } from "./real-run.ts";

export type Spoil = (checkpoint: string) => void;

/** The middle bit of the weights. */
export const flipBit: Spoil = (checkpoint) => {
  const file = join(checkpoint, "weights.safetensors");
  const bytes = readFileSync(file);
  const at = bytes.length - 5;
  bytes[at] = (bytes[at] ?? 0) ^ 0x10;
  writeFileSync(file, bytes);
};

/** The manifest is what names a checkpoint's files and says that it is complete. */
export const tearTracker: Spoil = (checkpoint) => truncateSync(join(checkpoint, "manifest.json"), 100);

export const removeShard: Spoil = (checkpoint) => rmSync(join(checkpoint, "optimizer.safetensors"));

function checkpointsOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /^step-\d{8}$/.test(name))
    .sort()
    .map((name) => join(folder, name));
}

/** Kills rank 0, which alone writes checkpoints, then spoils the newest of the memory tier, or all of both tiers. */
export async function killAndSpoil(run: RealRun, spoil: Spoil, which: "newest" | "all"): Promise<void> {
  await run.untilStep(25);
  const supervisor = run.supervisor();
  const writer = run.worker(0);
  kill(supervisor, "SIGSTOP");
  try {
    run.strikes();
    kill(writer, "SIGKILL");
    // Its last rename may still be on its way; after that nothing changes these folders.
    while (identify(writer) !== undefined) await pause(0.01);
    const memory = checkpointsOf(run.memoryFolder());
    const disk = checkpointsOf(join(run.dir, "checkpoints"));
    const newest = memory.at(-1);
    if (newest === undefined || disk.length === 0) throw new Error("nothing is stored that could be spoilt");
    for (const checkpoint of which === "all" ? [...memory, ...disk] : [newest]) spoil(checkpoint);
  } finally {
    kill(supervisor, "SIGCONT");
  }
}
