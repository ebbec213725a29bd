/**
 * Puts a checkpoint that does not verify where nothing loads it, with a note saying why.
 * Knows: folders. Does not know: what is wrong with it.
 */
import { cpSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

/** Moves `path` into `quarantineFolder` (another file system is fine) and gives its new path; a second of one name gets a number. */
export function quarantine(path: string, quarantineFolder: string, why: string): string {
  mkdirSync(quarantineFolder, { recursive: true });
  let to = join(quarantineFolder, basename(path));
  for (let copy = 2; existsSync(to); copy++) to = join(quarantineFolder, `${basename(path)}-${copy}`);
  try {
    renameSync(path, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EXDEV")) throw error;
    cpSync(path, to, { recursive: true });
    rmSync(path, { recursive: true, force: true });
  }
  writeFileSync(join(to, "why.txt"), `${why}\n`);
  return to;
}
