/**
 * Finds and ends everything that lives of an attempt on this host, whoever its parent is by now.
 * Knows: command lines, process groups, recorded pids, the mark in environments. Does not know: why it is to end, what the processes do.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import type { Clock } from "../host/clock.ts";
import { systemErrorCode } from "../host/files.ts";
import {
  type FoundProcess,
  listProcesses,
  type ProcessIdentity,
  processesWithEnv,
  processStatus,
  signalGroup,
  signalProcess,
} from "../host/processes.ts";
import type { LivingAttempt } from "./launcher.ts";
import { type AttemptFiles, attemptFiles, parseRecord } from "./local-observe.ts";
import { attemptMark } from "./worker-env.ts";

/** Everything that lives of any attempt under `folder`: agents by their command line, and what shares their process group. */
export function livingAttempts(folder: string): LivingAttempt[] {
  const processes = listProcesses();
  return (existsSync(folder) ? readdirSync(folder) : [])
    .map(Number)
    .filter(Number.isInteger)
    .sort((a, b) => a - b)
    .flatMap((epoch): LivingAttempt[] => {
      const { agent, others } = membersOf(attemptFiles(folder, epoch), processes);
      if (agent !== undefined) return [{ epoch, agent }];
      return others.length > 0 ? [{ epoch, agent: null }] : [];
    });
}

interface Members {
  readonly agent: ProcessIdentity | undefined;
  readonly others: readonly ProcessIdentity[];
}

/** Living processes of an attempt. The agent leads its process group, so what it started carries the agent's pid as group. */
function membersOf(files: AttemptFiles, processes: readonly FoundProcess[]): Members {
  const recorded = readRecordedPids(files);
  const agents = processes.filter(({ commandLine }) => isAgentOf(commandLine, files)).map(({ identity }) => identity);
  const agent = agents[0];
  const group = agent?.pid ?? recorded.agent?.pid;
  const inGroup = processes.filter((found) => found.group === group).map(({ identity }) => identity);
  // A group outlives its leader only through members; its number cannot be given to another process meanwhile.
  const ofAttempt = recorded.workers.filter((worker) => processStatus(worker) !== "gone");
  const groupIsOurs =
    agent !== undefined || inGroup.some((member) => ofAttempt.some((worker) => worker.pid === member.pid));
  // What forked away into a session of its own still carries the mark in its environment.
  const marked = processesWithEnv(attemptMark, files.folder);
  const found = [...ofAttempt, ...(groupIsOurs ? inGroup : []), ...marked];
  const others = new Map(found.map((member) => [member.pid, member]));
  for (const { pid } of agents) others.delete(pid);
  return { agent, others: [...others.values(), ...agents.slice(1)] };
}

/** A person who looks at `launch.json` with a pager has its path in the command line too. */
function isAgentOf(commandLine: readonly string[], files: AttemptFiles): boolean {
  const at = commandLine.indexOf(files.order);
  return at > 0 && basename(commandLine[at - 1] ?? "") === "agent-main.js";
}

function readRecordedPids(files: AttemptFiles): { agent: ProcessIdentity | undefined; workers: ProcessIdentity[] } {
  const workers: ProcessIdentity[] = [];
  let agent: ProcessIdentity | undefined;
  let text = "";
  try {
    text = readFileSync(files.records, "utf8");
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
  for (const line of text.split("\n")) {
    const record = parseRecord(line);
    if (record?.ev === "agent") agent = { pid: record.pid, startTicks: record.startTicks };
    if (record?.ev === "spawned") workers.push({ pid: record.pid, startTicks: record.startTicks });
  }
  return { agent, workers };
}

/** Asks the agent to stop its workers; what is left after the grace is killed. Stopped (SIGSTOP) processes are woken first. */
export async function stopAttempt(
  files: AttemptFiles,
  { graceSeconds, clock }: { graceSeconds: number; clock: Clock },
): Promise<void> {
  const started = clock.monotonicSeconds();
  let asked = false;
  for (;;) {
    const { agent, others } = membersOf(files, listProcesses());
    const members = agent === undefined ? others : [agent, ...others];
    if (members.length === 0) return;
    // The agent keeps the grace itself; half a second more is for its own work.
    const late = clock.monotonicSeconds() - started > graceSeconds + 0.5;
    if (agent === undefined || late) {
      if (agent !== undefined) signalGroup(agent.pid, "SIGKILL");
      for (const other of others) signalProcess(other, "SIGKILL");
    } else if (!asked) {
      signalProcess(agent, "SIGTERM");
      signalProcess(agent, "SIGCONT");
      asked = true;
    }
    await goneWithin(members, 0.2, clock);
  }
}

async function goneWithin(members: readonly ProcessIdentity[], seconds: number, clock: Clock): Promise<void> {
  const until = clock.monotonicSeconds() + seconds;
  while (members.some((member) => processStatus(member) !== "gone") && clock.monotonicSeconds() < until) {
    await clock.wait(0.01);
  }
}
