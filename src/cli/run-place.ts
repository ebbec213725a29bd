/**
 * Finds the directory of a run from what a person names: a run's directory, or a run file and `--dir`.
 * Knows: the default place `runs/<name>` in the current folder. Does not know: what lies in the directory.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileKind } from "../host/file-kind.ts";
import { BadInput } from "../spec/bad-input.ts";
import { readRunFile } from "../store/read-run-file.ts";
import { runFolders } from "../store/run-directory.ts";

/** The directory in which the run of this name lies when nobody says otherwise. */
export const defaultDirectory = (name: string): string => join("runs", name);

/** The directory of a run that must exist; `given` is it, or a run file whose run lies in `dir` or in the default place. */
export function existingRun(given: string, dir?: string): string {
  const isFolder = fileKind(given) === "folder";
  const place = isFolder ? given : (dir ?? defaultDirectory(readRunFile(given).file.name));
  const { journal } = runFolders(place);
  if (existsSync(journal)) {
    if (fileKind(journal) === "file") return place;
    throw new BadInput(`${journal}: is no regular file; restore the file or choose another --dir`);
  }
  throw new BadInput(`${place}: holds no run; name a run's directory, or start one with \`dualgauge train\``);
}
