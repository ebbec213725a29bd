/**
 * Whether a checkpoint folder is what its writer wrote: the manifest's seal, then size and SHA-256 of every file.
 * Knows: bytes. Does not know: what the manifest means (verify-checkpoint), so that the writer's thread stays light.
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, lstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { CorruptCheckpoint } from "./corrupt-checkpoint.ts";
import { readFully } from "./safetensors-file.ts";

export const manifestName = "manifest.json";
const manifestBytesMax = 16 << 20;
const seal = /,"sha256":"([0-9a-f]{64})"\}\n$/;

export interface FileEntry {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * The manifest as file content. Its last key is `sha256`, taken over all bytes before the comma in front of that key, so
 * that a flipped bit in the manifest itself is found too.
 */
export function sealManifest(manifest: object): string {
  const open = JSON.stringify(manifest).slice(0, -1);
  return `${open},"sha256":"${createHash("sha256").update(open).digest("hex")}"}\n`;
}

/** The parsed manifest without its seal, and its files. CorruptCheckpoint when it was changed or is not all there. */
export function readManifest(path: string): { manifest: Record<string, unknown>; files: readonly FileEntry[] } {
  const corrupt = (why: string): CorruptCheckpoint => new CorruptCheckpoint({ path, file: manifestName, why });
  let text: string;
  try {
    const stat = lstatSync(join(path, manifestName));
    if (!stat.isFile()) throw corrupt("is no regular file");
    if (stat.size > manifestBytesMax) throw corrupt(`${stat.size} bytes are more than a manifest has`);
    text = readFileSync(join(path, manifestName), "utf8");
  } catch (error) {
    if (isMissing(error)) throw corrupt("is missing");
    throw error;
  }
  const match = seal.exec(text);
  if (!match) throw corrupt("is cut short or was changed: it has no seal");
  if (createHash("sha256").update(text.slice(0, match.index)).digest("hex") !== match[1]) {
    throw corrupt("was changed: its hash does not fit");
  }
  const { sha256: _seal, ...manifest } = asRecord(JSON.parse(text));
  const files = Array.isArray(manifest.files) ? manifest.files.map(asFileEntry) : [];
  if (files.length === 0 || files.includes(undefined)) throw corrupt("lists no files");
  return { manifest, files: files.filter((file) => file !== undefined) };
}

/** Checks every file that the manifest lists; `take` sees each file's pieces, in order, while they are hashed. */
export function checkFiles(
  path: string,
  files: readonly FileEntry[],
  take?: (file: FileEntry, piece: Uint8Array) => void,
) {
  const largest = files.reduce((bytes, file) => Math.max(bytes, file.bytes), 0);
  const buffer = new Uint8Array(Math.min(1 << 22, largest));
  for (const file of files) {
    const corrupt = (why: string): CorruptCheckpoint => new CorruptCheckpoint({ path, file: file.name, why });
    let fd: number;
    try {
      if (!lstatSync(join(path, file.name)).isFile()) throw corrupt("is no regular file");
      fd = openSync(join(path, file.name), "r");
    } catch (error) {
      if (isMissing(error)) throw corrupt("is missing");
      throw error;
    }
    try {
      const { size } = fstatSync(fd);
      if (size !== file.bytes) throw corrupt(`has ${size} bytes, the manifest says ${file.bytes}`);
      const hash = createHash("sha256");
      for (let at = 0; at < size; ) {
        const piece = buffer.subarray(0, readFully(fd, buffer.subarray(0, Math.min(buffer.length, size - at)), at));
        if (piece.length === 0) throw corrupt("became shorter while it was read");
        hash.update(piece);
        take?.(file, piece);
        at += piece.length;
      }
      if (hexOf(hash) !== file.sha256) throw corrupt("its SHA-256 differs from the manifest's");
    } finally {
      closeSync(fd);
    }
  }
}

export const hexOf = (hash: Hash): string => hash.digest("hex");

function asRecord(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value) ? { ...value } : {};
}

function asFileEntry(value: unknown): FileEntry | undefined {
  const { name, bytes, sha256 } = asRecord(value);
  // A plain name only: a checkpoint never reaches outside its own folder.
  if (typeof name !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,200}$/.test(name)) return undefined;
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 0 || typeof sha256 !== "string")
    return undefined;
  return { name, bytes, sha256 };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
