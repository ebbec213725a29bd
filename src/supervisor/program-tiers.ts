/**
 * The checkpoints of somebody's own program as the supervisor needs them: one tier, written by the program itself.
 * Knows: the program's directory and how it is laid out. Does not know: what is in a checkpoint, when which of these is wanted.
 */
import { existsSync, renameSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { systemErrorCode } from "../host/files.ts";
import type { CheckpointRef } from "../journal/event.ts";
import type { ProgramAttempt } from "../launcher/program-attempt.ts";
import { checkpointFormats, newestCheckpoint } from "../program/checkpoints/newest.ts";
import type { Tiers } from "./tiers.ts";

/** `null` or absent: the program keeps checkpoints that nobody else reads, or none. */
export function programTiers(place: ProgramAttempt["checkpoint"] | undefined): Tiers {
  const ref = ({ step, path }: { step: number; path: string }): CheckpointRef => ({ step, path, tier: "disk" });
  return {
    async newest(beforeStep) {
      if (place == null) return { newest: undefined, rejected: [] };
      const { newest, rejected } = await newestCheckpoint(place, { beforeStep });
      // The program goes by its own pointer, which may be torn, or name what is incomplete or distrusted.
      if (newest !== undefined) checkpointFormats[place.format].point?.(place.dir, newest.step);
      return {
        newest: newest && ref(newest),
        rejected: rejected.map(({ why, ...found }) => ({ checkpoint: ref(found), why })),
      };
    },
    async quarantine({ path }) {
      // Beside where it was, under a name that no program looks for: another file system may have no room for it.
      const name = join(dirname(path), `.aside-${basename(path)}`);
      let to = name;
      for (let copy = 2; existsSync(to); copy++) to = `${name}-${copy}`;
      try {
        renameSync(path, to);
      } catch (error) {
        if (systemErrorCode(error) !== "ENOENT") throw error; // The program's own retention has removed it: that will do.
      }
      return to;
    },
    async promote(checkpoint) {
      return checkpoint;
    },
    async weightsSha256() {
      throw new RangeError("a program's weights are not read");
    },
    clearMemory: () => undefined,
  };
}
