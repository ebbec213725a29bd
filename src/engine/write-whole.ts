/**
 * Writes bytes wholly: to a descriptor, or as a file that appears at once.
 * Knows: partial writes, rename. Does not know: what the bytes mean.
 */
import { renameSync, writeFileSync, writeSync } from "node:fs";

export function appendAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
}

/** Readers see the old file or the new one, never a part. */
export function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, text);
  renameSync(temporary, path);
}
