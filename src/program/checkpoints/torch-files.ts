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
      const digits = /^[^.].*?(\d{1,15})\.(?:pt|pth|ckpt|bin)$/.exec(name)?.[1] ?? /^(\d{1,15})\.pt$/.exec(name)?.[1];
      if (digits === undefined) return [];
      const path = join(dir, name);
      return [{ step: Number(digits), path, whyIncomplete: () => whyNotWholeTorch(path) }];
    });
  },
};
