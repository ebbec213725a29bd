/**
 * Tries whether anything can be written to a folder now, so that the silence of those who write there can be judged.
 * Knows: one file of its own, a page of which it asks for and gives back. Does not know: who is silent.
 */
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from "node:fs";
import { isStorageError, systemErrorCode } from "./files.ts";

export interface WriteProbe {
  /** `ENOSPC`, `EDQUOT`, `EROFS` or `EIO` when a page cannot be written now; undefined when it can, or when that cannot be told. */
  trouble(): string | undefined;
  close(): void;
}

/** No zeros: a file system that leaves those out would find space for them on a full disk. */
const page = Buffer.alloc(4096, 0x5a);

/** `path` is the probe's own file; it is made with the first try and removed in the end. */
export function writeProbe(path: string): WriteProbe {
  let file: number | undefined;
  const attempt = (): string | undefined => {
    file ??= openSync(path, "w");
    const written = writeSync(file, page, 0, page.length, 0);
    ftruncateSync(file, 0);
    return written < page.length ? "ENOSPC" : undefined;
  };
  return {
    trouble() {
      try {
        return attempt();
      } catch (error) {
        if (systemErrorCode(error) === undefined) throw error;
        return isStorageError(error) ? systemErrorCode(error) : undefined;
      }
    },
    close() {
      if (file === undefined) return;
      closeSync(file);
      file = undefined;
      rmSync(path, { force: true });
    },
  };
}
