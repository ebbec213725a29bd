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

type Saying = AgentRecord extends infer R
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
runAgent(order);

function runAgent(order: AgentOrder): void {
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
  const living = new Map<number, ChildProcess>();
  let stopping = false;
  let starting = true;

  const end = (reason: "all-exited" | "stopped" | "fenced"): void => {
    say({ ev: "ended", reason });
    fsyncSync(file);
    closeSync(file);
    process.exit(0);
  };
  const endWhenEmpty = (): void => {
    if (living.size === 0 && !starting) end(stopping ? "stopped" : "all-exited");
  };
  const signalAll = (signal: NodeJS.Signals): void => {
    for (const child of living.values()) child.kill(signal);
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
  for (const worker of order.workers) {
    const child = startWorker(worker);
    const { rank } = worker;
    child.once("error", (error) => {
      say({ ev: "spawn-failed", rank, why: error.message.slice(0, 2000) });
      living.delete(rank);
      endWhenEmpty();
    });
    // `exit`, not `close`: a grandchild may hold the output open for ever.
    child.once("exit", (code, signal) => {
      say({ ev: "exited", rank, code, signal });
      living.delete(rank);
      endWhenEmpty();
    });
    if (child.pid === undefined) continue;
    living.set(rank, child);
    say({ ev: "spawned", rank, pid: child.pid, startTicks: identify(child.pid)?.startTicks ?? 0 });
  }
  starting = false;
  endWhenEmpty();
}

function startWorker({ command, env, log }: AgentOrder["workers"][number]): ChildProcess {
  const [executable = "", ...args] = command;
  const output = openSync(log, "a");
  try {
    // The worker sees the end of its standard input when this agent dies, and follows it.
    return spawn(executable, args, { env: { ...process.env, ...env }, stdio: ["pipe", output, output] });
  } finally {
    closeSync(output);
  }
}
