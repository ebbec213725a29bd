/**
 * Finds the directory of a run from what a person names: a run's directory, or a run file and `--dir`.
 * Knows: the default place `runs/<name>` in the current folder. Does not know: what lies in the directory.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { BadInput } from "../spec/bad-input.ts";
import { readRunFile } from "../store/read-run-file.ts";
import { runFolders } from "../store/run-directory.ts";

/** The directory in which the run of this name lies when nobody says otherwise. */
export const defaultDirectory = (name: string): string => join("runs", name);

/** The directory of a run that must exist; `given` is it, or a run file whose run lies in `dir` or in the default place. */
export function existingRun(given: string, dir?: string): string {
  const isFolder = statSync(given, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const place = isFolder ? given : (dir ?? defaultDirectory(readRunFile(given).file.name));
  if (existsSync(runFolders(place).journal)) return place;
  throw new BadInput(`${place}: holds no run; name a run's directory, or start one with \`dualgauge train\``);
}
