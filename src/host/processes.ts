/**
 * Looks at and signals processes without ever mistaking one for a later one of the same number.
 * Knows: /proc of Linux (a process is a pid plus its start in clock ticks since boot). Does not know: why a process is stopped.
 */
import { readdirSync, readFileSync } from "node:fs";
import { isDescriptorError } from "./files.ts";

/** `startTicks` is field 22 of /proc/<pid>/stat. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

/** `stopped` by a signal (T); `gone` also when a zombie or when the number belongs to a later process. */
export type ProcessStatus = "running" | "stopped" | "gone";

interface Stat {
  readonly status: string;
  readonly group: number;
  readonly startTicks: number;
}

/** undefined when there is no such process. The name in parentheses may hold anything, so fields count from its last `)`. */
function stat(pid: number): Stat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch (error) {
    // Who may open nothing knows nothing: a living process must not be taken for one that ended.
    if (isDescriptorError(error)) throw error;
    return undefined; // ENOENT or ESRCH: it ended
  }
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { status: fields[0] ?? "X", group: Number(fields[2]), startTicks: Number(fields[19]) };
}

/** The identity of a living process, undefined when there is none (a zombie does not live). */
export function identify(pid: number): ProcessIdentity | undefined {
  const found = stat(pid);
  return found === undefined || isDead(found) ? undefined : { pid, startTicks: found.startTicks };
}

export function self(): ProcessIdentity {
  return identify(process.pid) ?? { pid: process.pid, startTicks: 0 };
}

export function processStatus(identity: ProcessIdentity): ProcessStatus {
  const found = stat(identity.pid);
  if (found === undefined || isDead(found) || found.startTicks !== identity.startTicks) return "gone";
  return found.status === "T" || found.status === "t" ? "stopped" : "running";
}

function isDead({ status }: Stat): boolean {
  return status === "Z" || status === "X" || status === "x";
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (processStatus(identity) === "gone") return false;
  return deliver(identity.pid, signal);
}

/** Sends a signal to every process of a group; false when the group is empty. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  return deliver(-group, signal);
}

function deliver(target: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(target, signal);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

export interface FoundProcess {
  readonly identity: ProcessIdentity;
  readonly commandLine: readonly string[];
  readonly group: number;
}

/** All living processes; reads all of /proc, so it is for start-up and stopping, not for a tick. */
export function listProcesses(): FoundProcess[] {
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) return [];
    const found = stat(pid);
    if (found === undefined || isDead(found)) return [];
    return [{ identity: { pid, startTicks: found.startTicks }, commandLine: commandLine(pid), group: found.group }];
  });
}

/**
 * All living processes whose environment, as it was when they started, holds `NAME=value`: also what left its process group
 * and its session. Other users' processes cannot be looked at.
 */
export function processesWithEnv(name: string, value: string): ProcessIdentity[] {
  const wanted = Buffer.from(`${name}=${value}\0`);
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) return [];
    let environment: Buffer;
    try {
      environment = readFileSync(`/proc/${pid}/environ`);
    } catch (error) {
      if (isDescriptorError(error)) throw error;
      return []; // it ended meanwhile, or it is another user's
    }
    const at = environment.indexOf(wanted);
    const isWhole = at === 0 || (at > 0 && environment[at - 1] === 0);
    const identity = isWhole ? identify(pid) : undefined;
    return identity === undefined ? [] : [identity];
  });
}

function commandLine(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch (error) {
    if (isDescriptorError(error)) throw error;
    return []; // it ended meanwhile, or it is another user's
  }
}

/** Changes with each boot, so that pids of an earlier one are not looked for. */
export function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
}
