/**
 * The two checkpoint tiers of a run in files.
 * Knows: folders and the checkpoint library. Does not know: when which of these is wanted.
 */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { cleanLeftovers, listCheckpoints } from "../checkpoint/checkpoint-folder.ts";
import { CorruptCheckpoint } from "../checkpoint/corrupt-checkpoint.ts";
import { promote } from "../checkpoint/promote.ts";
import { quarantine } from "../checkpoint/quarantine.ts";
import { openSafetensors } from "../checkpoint/safetensors-file.ts";
import { weightsFile } from "../checkpoint/training-state.ts";
import { verifyCheckpoint } from "../checkpoint/verify-checkpoint.ts";
import { streamedWeightsSha256 } from "../checkpoint/weights-digest.ts";
import { systemErrorCode } from "../host/files.ts";
import type { CheckpointRef } from "../journal/event.ts";
import { removeMemoryTier } from "../store/run-directory.ts";
import type { Rejected, Tiers } from "./tiers.ts";

export function checkpointTiers(folders: { memory: string; disk: string; quarantine: string }): Tiers {
  const places = [
    { tier: "disk", folder: folders.disk },
    { tier: "memory", folder: folders.memory },
  ] as const;
  return {
    async newest(beforeStep) {
      // Asked only while no attempt lives: what a killed writer left half is nobody's.
      for (const { folder } of places) cleanLeftovers(folder);
      const candidates: CheckpointRef[] = places
        .flatMap(({ tier, folder }) => listCheckpoints(folder).map(({ step, path }) => ({ path, step, tier })))
        .sort((a, b) => b.step - a.step);
      const rejected: Rejected[] = [];
      for (const checkpoint of candidates) {
        if (beforeStep !== null && checkpoint.step >= beforeStep) {
          rejected.push({ checkpoint, why: `is of step ${checkpoint.step}; one before step ${beforeStep} is wanted` });
          continue;
        }
        const why = await whyNot(checkpoint.path);
        if (why === undefined) return { newest: checkpoint, rejected };
        // Retention of a worker may have removed it while it was read; then it is gone, not corrupt.
        if (existsSync(checkpoint.path)) rejected.push({ checkpoint, why });
      }
      return { newest: undefined, rejected };
    },
    async quarantine(checkpoint, why) {
      try {
        return quarantine(checkpoint.path, folders.quarantine, why);
      } catch (error) {
        if (systemErrorCode(error) !== "ENOSPC") throw error;
        // No room to keep it for a person to look at; it must be out of the way all the same.
        rmSync(checkpoint.path, { recursive: true, force: true });
        return "/dev/null";
      }
    },
    async promote(checkpoint) {
      try {
        const { path, step } = await promote(checkpoint.path, folders.disk);
        return { path, step, tier: "disk" };
      } catch (error) {
        if (error instanceof CorruptCheckpoint) return undefined;
        throw error;
      }
    },
    async weightsSha256(checkpoint) {
      const file = openSafetensors(join(checkpoint.path, weightsFile));
      try {
        return streamedWeightsSha256([...file.tensors.values()], ({ name }) => file.chunks(name));
      } finally {
        file.close();
      }
    },
    clearMemory: () => removeMemoryTier(folders.memory),
  };
}

/** Why a checkpoint may not be loaded; undefined when it verifies. */
async function whyNot(path: string): Promise<string | undefined> {
  try {
    await verifyCheckpoint(path);
    return undefined;
  } catch (error) {
    if (error instanceof CorruptCheckpoint) return `${error.file}: ${error.why}`;
    const code = systemErrorCode(error);
    if (code === undefined) throw error;
    return `cannot be read (${code})`;
  }
}
