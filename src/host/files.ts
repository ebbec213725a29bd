/**
 * File writes that survive a crash, and reads that do not grow without bound.
 * Knows: write → fsync → rename → fsync folder. Does not know: what is written.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** Replaces `path` whole: a reader sees the old content or the new, also after a power cut. */
export function writeDurably(path: string, content: string): void {
  const temporary = `${path}.tmp-${process.pid}`;
  const file = openSync(temporary, "w");
  try {
    writeFileSync(file, content);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

export function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Writes all of `bytes` at the end of an open file; a short write (full disk) goes on until the error shows itself. */
export function writeFully(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** `ENOENT`, `ENOSPC`, … of a failed system call; undefined for any other error. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Full, over quota, read-only, or failing: a person may mend it while what runs goes on. */
const storageErrors: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT", "EROFS", "EIO"]);
/** No more files may be opened, by this process or by the host; that too passes or can be mended from outside. */
const descriptorErrors: ReadonlySet<string> = new Set(["EMFILE", "ENFILE"]);

export function isStorageError(error: unknown): boolean {
  return storageErrors.has(systemErrorCode(error) ?? "");
}

export function isDescriptorError(error: unknown): boolean {
  return descriptorErrors.has(systemErrorCode(error) ?? "");
}

/** `EMFILE` or `ENFILE` when this process may not open `count` more files now; undefined when it may. */
export function descriptorShortage(count: number): string | undefined {
  const opened: number[] = [];
  try {
    while (opened.length < count) opened.push(openSync("/dev/null", "r"));
    return undefined;
  } catch (error) {
    if (!isDescriptorError(error)) throw error;
    return systemErrorCode(error);
  } finally {
    for (const file of opened) closeSync(file);
  }
}
