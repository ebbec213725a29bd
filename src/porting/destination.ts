/**
 * A directory that appears whole or not at all, for what a conversion writes.
 * Knows: which destinations are refused, temporary names, hashing and flushing. Does not know: what is written.
 */
import { createHash } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { FileEntry } from "../checkpoint/integrity.ts";
import { syncFolder } from "../checkpoint/publish.ts";
import { BadInput } from "../spec/bad-input.ts";

export interface Destination {
  /** Where files lie until `publish`. */
  readonly temporary: string;
  /** Writes and flushes a file and gives its size and hash. BadInput when the disk is full; throws when `signal` aborted. */
  write(name: string, pieces: Iterable<Uint8Array>): Promise<FileEntry>;
  /** Makes the directory visible under its name. */
  publish(): void;
  /** Removes what was written; does nothing after `publish`. */
  discard(): void;
}

/**
 * Refuses, with BadInput and without touching anything, a destination that is not empty, cannot be written, is or lies inside one of
 * `sources`, or has one inside it. Removes what a killed conversion to the same place left beside it.
 */
export function openDestination(given: string, sources: readonly string[], signal?: AbortSignal): Destination {
  const path = resolve(given);
  checkDestination(given, path, sources);
  const parent = dirname(path);
  const prefix = `.${basename(path)}.dualgauge-`;
  for (const name of readdirSync(parent)) {
    const pid = Number(name.startsWith(prefix) ? name.slice(prefix.length) : Number.NaN);
    if (Number.isInteger(pid) && !isAlive(pid)) rmSync(join(parent, name), { recursive: true, force: true });
  }
  const temporary = join(parent, prefix + process.pid);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  let published = false;
  return {
    temporary,
    async write(name, pieces) {
      try {
        return await writeFile(join(temporary, name), name, pieces, signal);
      } catch (error) {
        if (!(error instanceof Error && "code" in error)) throw error;
        if (error.code === "ENOSPC")
          throw new BadInput(`${given}: the disk is full; free space or give another directory`);
        if (error.code === "EFBIG")
          throw new BadInput(`${given}: ${name} is larger than a file may be there; give another directory`);
        throw error;
      }
    },
    publish() {
      syncFolder(temporary);
      // An empty directory is replaced by rename; one that was filled meanwhile makes it fail, and nothing is lost.
      renameSync(temporary, path);
      syncFolder(parent);
      published = true;
    },
    discard() {
      if (!published) rmSync(temporary, { recursive: true, force: true });
    },
  };
}

/** The refusals of `openDestination`; `filled` allows a directory that already holds something. */
export function checkDestination(given: string, path: string, sources: readonly string[], filled = false): void {
  const parent = dirname(path);
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw new BadInput(`${given}: is a file; give a directory that is new or empty`);
    if (!filled && readdirSync(path).length > 0)
      throw new BadInput(`${given}: is not empty; give a directory that is new or empty`);
  } else if (!existsSync(parent) || !statSync(parent).isDirectory()) {
    throw new BadInput(`${given}: ${parent} is no directory; make it first`);
  }
  // Links are followed, so that no detour leads into a source.
  const real = existsSync(path) ? realpathSync(path) : join(realpathSync(parent), basename(path));
  for (const source of sources) {
    const from = realpathSync(source);
    if (from === real) throw new BadInput(`${given}: is the source itself; give another directory`);
    if (isInside(real, from))
      throw new BadInput(`${given}: lies inside the source ${source}; give a directory outside it`);
    if (isInside(from, real))
      throw new BadInput(`${given}: the source ${source} lies inside it; give another directory`);
  }
  try {
    accessSync(parent, constants.W_OK);
  } catch {
    throw new BadInput(`${given}: ${parent} cannot be written to; give a directory that can`);
  }
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== "" && way !== ".." && !way.startsWith("../");
}

/** Whether a process of that id lives. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Between this many bytes the event loop runs, so that Ctrl-C is heard. */
const turnBytes = 16 << 20;

async function writeFile(
  path: string,
  name: string,
  pieces: Iterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<FileEntry> {
  const hash = createHash("sha256");
  let bytes = 0;
  let turn = 0;
  const fd = openSync(path, "wx", 0o644);
  try {
    for (const piece of pieces) {
      hash.update(piece);
      for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done, piece.length - done);
      bytes += piece.length;
      if (bytes - turn < turnBytes) continue;
      turn = bytes;
      await setImmediate();
      signal?.throwIfAborted();
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  await setImmediate();
  signal?.throwIfAborted();
  return { name, bytes, sha256: hash.digest("hex") };
}
