/**
 * Entry point of a worker process: environment in, exit code out.
 * Knows: torchelastic's variables, signals, standard input, exit codes. Does not know: training.
 *
 * Standard input tells whether the agent lives: where it is a pipe and ends, the worker follows.
 */
import { fstatSync, readFileSync } from "node:fs";
import * as z from "zod";
import { BadInput } from "../spec/bad-input.ts";
import { workerExitCode } from "../spec/worker-event.ts";
import { WorkerSpec } from "../spec/worker-spec.ts";
import { type EventLog, openEvents } from "./events.ts";
import { type Link, LinkLost } from "./link.ts";
import { meet, OlderEpoch, PortTaken, secretOf } from "./rendezvous.ts";
import { runWorker } from "./worker.ts";
import { WorkerExit } from "./worker-exit.ts";
import { createStatus, type WorkerStatus } from "./worker-status.ts";

const count = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number);
const Environment = z.object({
  RANK: count,
  WORLD_SIZE: count,
  MASTER_ADDR: z.string().min(1).default("127.0.0.1"),
  MASTER_PORT: count,
  DUALGAUGE_EVENTS: z.string().min(1).optional(),
  DUALGAUGE_WORKER_SPEC: z.string().min(1),
  DUALGAUGE_EPOCH: count.optional(),
});
type Environment = z.infer<typeof Environment>;

/** How long a rank whose peer said goodbye waits to be stopped too. */
const goodbyeMilliseconds = 5000;

let closing: (() => Promise<void>)[] = [];
let isStopping = false;

await main();

async function main(): Promise<never> {
  let events: EventLog | undefined;
  let status: WorkerStatus | undefined;
  try {
    const environment = readEnvironment();
    const { spec, text } = readSpec(environment);
    const { RANK: rank } = environment;
    events = openEvents(environment.DUALGAUGE_EVENTS, { run: spec.run, epoch: spec.epoch, rank });
    events.say({ ev: "hello", pid: process.pid, platform: spec.emulate.platform });
    status = openStatus(events, spec);
    followAgent(events, status);
    await work(environment, { spec, text, events, status });
    await close();
    process.exit(0);
  } catch (error) {
    // The one who stops the worker ends the process; what breaks meanwhile is no fault.
    if (isStopping) return await new Promise(() => undefined);
    const code = await explain(error, events, status?.step ?? 0);
    if (isStopping) return await new Promise(() => undefined);
    await close();
    process.exit(code);
  }
}

function readEnvironment(): Environment {
  const parsed = Environment.safeParse(process.env);
  if (parsed.success) return parsed.data;
  throw new BadInput(
    ...parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}; a launcher sets it`),
  );
}

function readSpec({ DUALGAUGE_WORKER_SPEC: path, DUALGAUGE_EPOCH: epoch, RANK, WORLD_SIZE }: Environment) {
  let value: unknown;
  let text = "";
  try {
    text = readFileSync(path, "utf8");
    value = JSON.parse(text);
  } catch (error) {
    throw new BadInput(`${path}: ${error instanceof Error ? error.message : String(error)}; the supervisor writes it`);
  }
  const parsed = WorkerSpec.safeParse(value);
  if (!parsed.success) {
    throw new BadInput(...parsed.error.issues.map((issue) => `${path}: ${issue.path.join(".")}: ${issue.message}`));
  }
  if (epoch !== undefined && epoch !== parsed.data.epoch) {
    throw new BadInput(
      `DUALGAUGE_EPOCH: ${epoch}, but ${path} is of epoch ${parsed.data.epoch}; launch with one epoch`,
    );
  }
  if (RANK >= WORLD_SIZE) throw new BadInput(`RANK: ${RANK} of WORLD_SIZE ${WORLD_SIZE}; ranks count from 0`);
  return { spec: parsed.data, text };
}

function openStatus(events: EventLog, spec: WorkerSpec): WorkerStatus {
  return createStatus({
    events,
    linkSilentSeconds: spec.failover.linkSilentSeconds,
    onSilent({ peer, step, seconds, isLost }) {
      const detail = `nothing heard from rank ${peer} for ${seconds.toFixed(1)} s`;
      if (!isLost)
        events.say({ ev: "fault", kind: "link-silent", step, peer, detail, retried: false, detectSeconds: seconds });
      else void end(events, "failed", step, workerExitCode.linkLost);
    },
  });
}

/** SIGTERM and the end of standard input stop the worker: nothing is finished but what is being written. */
function followAgent(events: EventLog, status: WorkerStatus): void {
  const stop = (): void => void end(events, "stopped", status.step, workerExitCode.stopped);
  process.on("SIGTERM", stop);
  const input = fstatSync(0);
  if (input.isFIFO() || input.isSocket()) {
    process.stdin.on("end", stop).on("error", stop).resume();
  }
}

async function end(events: EventLog, reason: "stopped" | "failed", step: number, code: number): Promise<void> {
  if (isStopping) return;
  isStopping = true;
  await close();
  events.say({ ev: "bye", reason, step });
  process.exit(code);
}

async function close(): Promise<void> {
  const all = closing;
  closing = [];
  for (const closeOne of all.reverse()) await closeOne();
}

async function work(
  { RANK: rank, WORLD_SIZE: worldSize, MASTER_ADDR: host, MASTER_PORT: port }: Environment,
  { spec, text, events, status }: { spec: WorkerSpec; text: string; events: EventLog; status: WorkerStatus },
): Promise<void> {
  const aborter = new AbortController();
  closing.push(async () => aborter.abort(new Error("the worker ends")));
  const meeting: Promise<readonly Link[]> = meet({
    ...{ host, port, rank, worldSize, epoch: spec.epoch, secret: secretOf(text), signal: aborter.signal },
    bytesPerSecond: spec.emulate.linkBandwidth,
    onCorrupt(peer, { tag, chunk, again }) {
      const detail = `chunk ${chunk} from rank ${peer} does not match its checksum; asked for again (${again})`;
      events.say({ ev: "fault", kind: "corrupt-gradient", step: tag.step, peer, detail, retried: true });
    },
  });
  // It may fail while the program is still being compiled; whoever awaits it then is told.
  meeting.catch(() => undefined);
  await runWorker({
    ...{ spec, rank, worldSize, events, status, meeting },
    onOpen: (closeOne) => closing.push(closeOne),
    goOn() {
      if (isStopping) throw new Error("the worker is being stopped");
    },
  });
}

/** Says what the error was, on standard error and as events, and gives the exit code. */
async function explain(error: unknown, events: EventLog | undefined, step: number): Promise<number> {
  const message = error instanceof Error ? error.message : String(error);
  const detail = message.slice(0, 2000);
  const bye = (): void => events?.say({ ev: "bye", reason: "failed", step });
  const fault = (kind: "link-down" | "bad-input" | "program-error", peer?: number): void =>
    events?.say({ ev: "fault", kind, step, detail, retried: false, ...(peer === undefined ? {} : { peer }) });
  if (error instanceof LinkLost) {
    if (error.why === "left") await new Promise((resolve) => setTimeout(resolve, goodbyeMilliseconds));
    if (isStopping) return workerExitCode.stopped;
    fault("link-down", error.peer);
  } else if (error instanceof PortTaken) fault("link-down");
  else if (error instanceof BadInput) fault("bad-input");
  else if (!(error instanceof WorkerExit || error instanceof OlderEpoch)) fault("program-error");
  // A refusal begins with the toolkit's own error code.
  process.stderr.write(error instanceof WorkerExit ? `${message}\n` : `dualgauge worker: ${message}\n`);
  bye();
  if (error instanceof WorkerExit) return error.code;
  if (error instanceof OlderEpoch) return workerExitCode.fenced;
  if (error instanceof LinkLost || error instanceof PortTaken) return workerExitCode.linkLost;
  if (error instanceof BadInput) return workerExitCode.badInput;
  if (error instanceof Error) process.stderr.write(`${error.stack}\n`);
  return 1;
}
