/**
 * The newest complete checkpoint in a program's directory, and why newer ones are not.
 * Knows: the formats. Does not know: who asks, what is done about the incomplete ones.
 */
import { join } from "node:path";
import { listCheckpoints } from "../../checkpoint/checkpoint-folder.ts";
import { CorruptCheckpoint } from "../../checkpoint/corrupt-checkpoint.ts";
import { verifyCheckpoint } from "../../checkpoint/verify-checkpoint.ts";
import type { ProgramCheckpointFormat } from "../../spec/program.ts";
import type { CheckpointFormat } from "./checkpoint-format.ts";
import { dcp } from "./dcp.ts";
import { deepspeed } from "./deepspeed.ts";
import { huggingFace } from "./hugging-face.ts";
import { megatron } from "./megatron.ts";
import { torchFiles } from "./torch-files.ts";
import { unreadable } from "./whole-file.ts";

const dualgauge: CheckpointFormat = {
  list: (dir) =>
    listCheckpoints(dir).map(({ step, path }) => ({
      step,
      path: join(path),
      async whyIncomplete() {
        try {
          await verifyCheckpoint(path);
          return undefined;
        } catch (error) {
          return error instanceof CorruptCheckpoint ? `${error.file}: ${error.why}` : unreadable(error);
        }
      },
    })),
};

export const checkpointFormats: Readonly<Record<ProgramCheckpointFormat, CheckpointFormat>> = {
  megatron,
  dcp,
  deepspeed,
  hf: huggingFace,
  torch: torchFiles,
  dualgauge,
};

export interface CheckpointPlace {
  readonly step: number;
  readonly path: string;
}

export interface NewestCheckpoint {
  readonly newest: CheckpointPlace | undefined;
  /** Newer than `newest`, newest first. */
  readonly rejected: readonly (CheckpointPlace & { readonly why: string })[];
}

/** Looks only at checkpoints of more than `aboveStep` steps and, when given, fewer than `beforeStep`; the latter's are rejected. */
export async function newestCheckpoint(
  { dir, format }: { readonly dir: string; readonly format: ProgramCheckpointFormat },
  { aboveStep = -1, beforeStep = null }: { aboveStep?: number; beforeStep?: number | null } = {},
): Promise<NewestCheckpoint> {
  const found = checkpointFormats[format]
    .list(dir)
    .filter(({ step }) => step > aboveStep)
    .sort((a, b) => b.step - a.step);
  const rejected: (CheckpointPlace & { why: string })[] = [];
  for (const { step, path, whyIncomplete } of found) {
    const unwanted = beforeStep !== null && step >= beforeStep;
    const why = unwanted ? `is of step ${step}; one before step ${beforeStep} is wanted` : await whyIncomplete();
    if (why === undefined) return { newest: { step, path }, rejected };
    rejected.push({ step, path, why });
  }
  return { newest: undefined, rejected };
}
