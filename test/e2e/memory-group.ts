/**
 * A control group that limits memory, for tests that let the kernel kill a process for real.
 * Knows: both versions of control groups. Does not know: who joins (whoever writes its process number into `procs`).
 */
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface MemoryGroup {
  /** File to write a process number into. */
  readonly procs: string;
  /** How often the kernel has killed a process of it. */
  kills(): number;
  close(): void;
}

/** The group, or why this machine has none to give. */
export function memoryGroup(name: string, bytes: number): MemoryGroup | string {
  const root = "/sys/fs/cgroup";
  const isFirst = existsSync(join(root, "memory/memory.limit_in_bytes"));
  const isSecond = !isFirst && text(join(root, "cgroup.subtree_control")).split(/\s+/).includes("memory");
  if (!isFirst && !isSecond) return "no memory controller is mounted here";
  const folder = join(root, isFirst ? "memory" : "", `dualgauge-${name}-${process.pid}`);
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, isFirst ? "memory.limit_in_bytes" : "memory.max"), String(bytes));
    const swap = join(folder, isFirst ? "memory.memsw.limit_in_bytes" : "memory.swap.max");
    if (existsSync(swap)) writeFileSync(swap, isFirst ? String(bytes) : "0");
  } catch (error) {
    if (existsSync(folder)) rmdirSync(folder);
    return `this user may not limit memory (${String(error).slice(0, 100)})`;
  }
  const counts = join(folder, isFirst ? "memory.oom_control" : "memory.events");
  return {
    procs: join(folder, "cgroup.procs"),
    kills: () => Number(/^oom_kill (\d+)$/m.exec(text(counts))?.[1] ?? 0),
    close: () => rmdirSync(folder),
  };
}

function text(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // absent: no such controller
  }
}
