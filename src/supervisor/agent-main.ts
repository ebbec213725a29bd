/**
 * The agent's process: `node agent-main.js launch.json`. Starts an attempt's workers, records how they end, stops them on SIGTERM.
 * Knows: its order, its children. Does not know: the run, the journal, whether a supervisor lives. Outlives the supervisor.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, fsyncSync, openSync, readFileSync } from "node:fs";
import { systemClock } from "../host/clock.ts";
import { writeFully } from "../host/files.ts";
import { identify, self } from "../host/processes.ts";
import type { AgentOrder, AgentRecord } from "../launcher/agent-record.ts";
import type { ProgramAgent } from "./program-agent.ts";

export type Saying = AgentRecord extends infer R
  ? R extends AgentRecord
    ? Omit<R, "v" | "epoch" | "seq" | "monotonicSeconds">
    : never
  : never;

const path = process.argv[2];
if (path === undefined) throw new Error("usage: agent-main.js launch.json");
// Written whole by the launcher a moment ago and checked there; loading a schema library costs half of an agent's start, and a
// restart waits for it.
const order: AgentOrder = JSON.parse(readFileSync(path, "utf8"));
if (order.v !== 1) throw new Error(`${path}: version ${String(order.v)} is unknown`);
await runAgent(order);

async function runAgent(order: AgentOrder): Promise<void> {
  const { file, say } = openRecords(order);
  const living = new Map<number, ChildProcess>();
  let stopping = false;
  let starting = true;
  let ending = false;
  let program: ProgramAgent | undefined;

  const end = (reason: Extract<Saying, { ev: "ended" }>["reason"]): void => {
    say({ ev: "ended", reason });
    fsyncSync(file);
    closeSync(file);
    process.exit(0);
  };
  const endWhenEmpty = async (): Promise<void> => {
    if (living.size > 0 || starting || ending) return;
    ending = true;
    const isFinished = (await program?.close()) ?? false;
    end(stopping ? "stopped" : isFinished ? "finished" : "all-exited");
  };
  const signalAll = (signal: NodeJS.Signals): void => {
    for (const child of living.values()) child.kill(signal);
    program?.signalOthers(
      signal,
      [...living.values()].map(({ pid }) => pid),
    );
  };
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    // A worker that was stopped takes the signal only once it is woken.
    signalAll("SIGTERM");
    signalAll("SIGCONT");
    setTimeout(() => signalAll("SIGKILL"), order.graceSeconds * 1000);
    endWhenEmpty();
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // The terminal of whoever started it may close; the attempt goes on.
  process.on("SIGHUP", () => undefined);

  say({ ev: "agent", ...self() });
  if (Number(readFileSync(order.epochFile, "utf8")) > order.epoch) end("fenced");
  if (order.program !== undefined) {
    // Somebody's own program needs to be read; the embedded engine says everything itself.
    const { programAgent } = await import("./program-agent.ts");
    program = programAgent(order, say);
  }
  // `exit`, not `close`: a grandchild may hold the output open for ever.
  const exited = async (rank: number, code: number | null, signal: NodeJS.Signals | null): Promise<void> => {
    const judged = await program?.judge({ rank, code, signal, othersLive: () => living.size > 1 && !stopping });
    say({ ev: "exited", rank, code, signal, ...judged });
    living.delete(rank);
    endWhenEmpty();
  };
  for (const worker of order.workers) {
    if (stopping) break;
    const { rank } = worker;
    const child = startWorker(worker, order.program);
    if (typeof child === "string") {
      say({ ev: "spawn-failed", rank, why: child });
      continue;
    }
    child.once("error", (error) => {
      say({ ev: "spawn-failed", rank, why: error.message.slice(0, 2000) });
      living.delete(rank);
      endWhenEmpty();
    });
    child.once("exit", (code, signal) => exited(rank, code, signal));
    // Also one without a process: that it could not start is told in a moment, and the attempt must not have ended by then.
    living.set(rank, child);
    if (child.pid === undefined) continue;
    say({ ev: "spawned", rank, pid: child.pid, startTicks: identify(child.pid)?.startTicks ?? 0 });
  }
  starting = false;
  endWhenEmpty();
}

/** The file of records, and what appends one. */
function openRecords(order: AgentOrder): { file: number; say: (saying: Saying) => void } {
  const file = openSync(order.records, "a");
  let seq = 0;
  let unwritten = "";
  const flush = (): void => {
    try {
      writeFully(file, Buffer.from(unwritten));
      unwritten = "";
    } catch (error) {
      // A full disk must not end the attempt: the records wait. A record written half is read as no record, hence the line end.
      process.stderr.write(`agent: records wait: ${String(error)}\n`);
      unwritten = unwritten.startsWith("\n") ? unwritten : `\n${unwritten}`;
      setTimeout(flush, 500);
    }
  };
  const say = (saying: Saying): void => {
    const record = {
      v: 1,
      epoch: order.epoch,
      seq: ++seq,
      monotonicSeconds: systemClock.monotonicSeconds(),
      ...saying,
    };
    unwritten += `${JSON.stringify(record)}\n`;
    flush();
  };
  return { file, say };
}

type Worker = AgentOrder["workers"][number];

/** The process, or why there is none. */
function startWorker({ command, env, log, errors }: Worker, program: AgentOrder["program"]): ChildProcess | string {
  const [executable = "", ...args] = command;
  const opened: number[] = [];
  const open = (path: string): number => {
    const file = openSync(path, "a");
    opened.push(file);
    return file;
  };
  try {
    const output = open(log);
    const full = { ...process.env, ...env };
    // A worker of the engine sees the end of its standard input when this agent dies, and follows it.
    if (program === undefined) return spawn(executable, args, { env: full, stdio: ["pipe", output, output] });
    const stdio = ["ignore" as const, output, errors === undefined ? output : open(errors)];
    return spawn(executable, args, { env: full, cwd: program.cwd, stdio });
  } catch (error) {
    // A full disk or arguments that the system does not take: what a launch that failed is, no defect of the agent.
    return String(error).slice(0, 2000);
  } finally {
    for (const file of opened) closeSync(file);
  }
}
