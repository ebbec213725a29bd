/**
 * Makes a checkpoint appear whole or not at all: write beside, fsync, rename, fsync the folder.
 * Knows: files, hashes, the fence. Does not know: tensors, threads, which tier it writes to.
 */
import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { replacedPrefix, stepName, temporaryPrefix } from "./checkpoint-folder.ts";
import { CorruptCheckpoint } from "./corrupt-checkpoint.ts";
import { checkFiles, type FileEntry, hexOf, manifestName, readManifest, sealManifest } from "./integrity.ts";
import type { ManifestBody } from "./manifest.ts";

export interface FileToWrite {
  readonly name: string;
  /** The content in order; a piece may be overwritten once the next is asked for. */
  readonly pieces: Iterable<Uint8Array>;
}

export interface Publication {
  /** The tier's folder; created when missing. */
  readonly folder: string;
  readonly manifest: ManifestBody;
  readonly files: readonly FileToWrite[];
  /** True for a disk: fsync files and folders. Memory-backed storage has nothing to flush to. */
  readonly durable: boolean;
  /** Called just before the checkpoint becomes visible; throws to keep it from that (`Fenced`). */
  readonly fence?: () => void;
  /** Opens a file for writing; a test or an emulated fault gives another descriptor (`/dev/full`). */
  readonly openForWrite?: (path: string) => number;
}

export interface Published {
  readonly path: string;
  readonly step: number;
  readonly files: readonly FileEntry[];
  readonly bytes: number;
}

let publications = 0;

/**
 * Writes and publishes; leaves nothing behind when it throws. Throws the file system's error (ENOSPC, EACCES, …) or what the fence threw.
 * A checkpoint of that step that is already there stays when it verifies and holds the same bytes, and is replaced otherwise.
 */
export function publishCheckpoint(publication: Publication): Published {
  const {
    folder,
    manifest,
    durable,
    fence,
    openForWrite = (path: string) => openSync(path, "wx", 0o644),
  } = publication;
  mkdirSync(folder, { recursive: true });
  const name = stepName(manifest.step);
  const unique = `${name}-e${manifest.epoch}-p${process.pid}-${publications++}`;
  const temporary = join(folder, temporaryPrefix + unique);
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary);
  try {
    const files = publication.files.map((file) => writeFile(temporary, file, openForWrite, durable));
    const sealed = new TextEncoder().encode(sealManifest({ ...manifest, files }));
    const listed = writeFile(temporary, { name: manifestName, pieces: [sealed] }, openForWrite, durable);
    if (durable) syncFolder(temporary);
    fence?.();
    const path = join(folder, name);
    const bytes = files.reduce((sum, file) => sum + file.bytes, listed.bytes);
    if (existsSync(path) && holdsSame(path, files)) rmSync(temporary, { recursive: true, force: true });
    else swapIn(temporary, path, join(folder, replacedPrefix + unique));
    if (durable) syncFolder(folder);
    return { path, step: manifest.step, files, bytes };
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    throw error;
  }
}

function swapIn(temporary: string, path: string, replaced: string): void {
  // Folders cannot be exchanged in one call from Node; between these two renames a crash is mended by cleanLeftovers.
  const replaces = existsSync(path);
  if (replaces) renameSync(path, replaced);
  renameSync(temporary, path);
  if (replaces) rmSync(replaced, { recursive: true, force: true });
}

function holdsSame(path: string, files: readonly FileEntry[]): boolean {
  try {
    const there = readManifest(path).files;
    if (JSON.stringify(there) !== JSON.stringify(files)) return false;
    checkFiles(path, there);
    return true;
  } catch (error) {
    if (error instanceof CorruptCheckpoint) return false;
    throw error;
  }
}

function writeFile(folder: string, file: FileToWrite, open: (path: string) => number, durable: boolean): FileEntry {
  const hash = createHash("sha256");
  let bytes = 0;
  const fd = open(join(folder, file.name));
  try {
    for (const piece of file.pieces) {
      hash.update(piece);
      for (let done = 0; done < piece.length; ) done += writeSync(fd, piece, done, piece.length - done);
      bytes += piece.length;
    }
    if (durable) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return { name: file.name, bytes, sha256: hexOf(hash) };
}

export function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
