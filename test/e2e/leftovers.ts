/**
 * Looks for everything that a run may leave behind on this machine.
 * Knows: /proc, the memory tier's place, names of temporary files. Does not know: which of it a test allows.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { memoryTier } from "../../src/store/run-directory.ts";

export interface Leftovers {
  /** Living or dead (zombie) processes that were started for the run, with their state. */
  readonly processes: readonly string[];
  /** Ports on which such a process listens; empty when no process is left. */
  readonly memoryTier: readonly string[];
  /** Temporary files in the run's directory. */
  readonly temporary: readonly string[];
}

/** What is left of run `name` in `dir`. A process belongs to it when its arguments or environment name the directory. */
export function leftovers(name: string, dir: string): Leftovers {
  const { folder } = memoryTier(name, dir);
  return {
    processes: processesOf(dir),
    memoryTier: existsSync(folder) ? readdirSync(folder) : [],
    temporary: existsSync(dir)
      ? readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((path) =>
          /(^\.|[.~])(tmp|replaced|void)\b/.test(basename(path)),
        )
      : [],
  };
}

export const nothing: Leftovers = { processes: [], memoryTier: [], temporary: [] };

function processesOf(dir: string): string[] {
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .flatMap((pid) => {
      const text = (file: string): string => {
        try {
          return readFileSync(join("/proc", pid, file), "latin1");
        } catch {
          return ""; // It ended while it was looked at, or is another user's.
        }
      };
      const stat = text("stat");
      const state = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      // A zombie has neither arguments nor environment; a child of this test can only be one of ours.
      const isZombie = state[0] === "Z" && state[1] === String(process.pid);
      const isOurs = text("cmdline").includes(dir) || text("environ").includes(dir);
      return isZombie || isOurs ? [`${pid} ${state[0]} ${text("cmdline").replaceAll("\0", " ").slice(0, 200)}`] : [];
    });
}
