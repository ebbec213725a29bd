/**
 * The simplest layout: one `torch.save` file per step, `<anything><step>.pt`.
 * Knows: file names, the end of a zip archive. Does not know: what the program put into it.
 */
import { join } from "node:path";
import type { CheckpointFormat } from "./checkpoint-format.ts";
import { namesIn } from "./entries.ts";
import { whyNotWholeTorch } from "./whole-file.ts";

export const torchFiles: CheckpointFormat = {
  list(dir) {
    return namesIn(dir).flatMap((name) => {
      const digits = stepIn(name);
      if (digits === undefined) return [];
      const path = join(dir, name);
      return [{ step: Number(digits), path, whyIncomplete: () => whyNotWholeTorch(path) }];
    });
  },
};

/** `step-100.pt`, `model_000100.pth`, `100.pt`; Lightning's `epoch=3-step=400.ckpt` and, where that was taken, `…-v1.ckpt`. */
function stepIn(name: string): string | undefined {
  const stem = /^([^.].*)\.(?:pt|pth|ckpt|bin)$/.exec(name)?.[1]?.replace(/(?<=step=\d+(?:-.*)?)-v\d+$/, "");
  if (stem === undefined) return undefined;
  return /\bstep=(\d{1,15})(?!\d)/.exec(stem)?.[1] ?? /(\d{1,15})$/.exec(stem)?.[1];
}
