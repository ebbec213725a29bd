/**
 * Whether a program can be started before anything is: its command, its checkpoint folder.
 * Knows: PATH, permissions. Does not know: what the program does with its arguments.
 */
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { systemErrorCode } from "../host/files.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { ProgramRunFile } from "../spec/run-file.ts";

/** BadInput names everything that is wrong; `folder` is where relative paths start. Changes nothing. */
export function checkProgram(file: ProgramRunFile, folder: string): void {
  const { command, checkpoint, env } = file.program;
  const commands: { where: string; executable: string; path: string | undefined }[] = [
    { where: "program.command", executable: command[0] ?? "", path: env?.PATH },
    ...file.pools.flatMap((pool, index) => {
      const path = pool.env?.PATH ?? env?.PATH;
      return pool.command === undefined
        ? []
        : [{ where: `pools.${index}.command`, executable: pool.command[0] ?? "", path }];
    }),
  ];
  const problems = commands.flatMap(({ where, executable, path }) => {
    const why = whyNotStarted(executable, folder, path);
    return why === undefined ? [] : [`${where}: ${why}`];
  });
  const unwritable = checkpoint === undefined ? undefined : whyNotWritten(resolve(folder, checkpoint.dir));
  if (unwritable !== undefined) problems.push(`program.checkpoint.dir: ${checkpoint?.dir} ${unwritable}`);
  if (problems.length > 0) throw new BadInput(...problems);
}

function whyNotStarted(executable: string, folder: string, path = process.env.PATH ?? ""): string | undefined {
  if (executable === "") return "is empty; name a program";
  if (executable.includes("/")) {
    const at = resolve(folder, executable);
    if (!existsSync(at)) return `${executable} does not exist; name a program, or one that is on PATH`;
    return isExecutable(at)
      ? undefined
      : `${executable} cannot be executed; make it executable, or name its interpreter first`;
  }
  const places = path.split(delimiter).map((part) => join(isAbsolute(part) ? part : resolve(folder, part), executable));
  return places.some(isExecutable) ? undefined : `${executable} is not on PATH; install it, or give its path`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // absent or not allowed: the same to whoever wants to start it
  }
}

function whyNotWritten(dir: string): string | undefined {
  let place = dir;
  while (!existsSync(place)) place = dirname(place);
  if (!statSync(place).isDirectory()) return "is a file or lies below one; name a folder";
  try {
    accessSync(place, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return `cannot be written (${systemErrorCode(error) ?? "?"}); choose another folder or mend its permissions`;
  }
}
