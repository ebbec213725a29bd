/**
 * Runs attempts as processes of this host: one detached agent per attempt, which starts the workers.
 * Knows: the attempt's folder, process groups, free ports. Does not know: what workers compute, why an attempt is stopped.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, type FSWatcher, mkdirSync, openSync, watch } from "node:fs";
import { createServer } from "node:net";
import type { Clock } from "../host/clock.ts";
import { entryPoint } from "../host/entry-point.ts";
import { descriptorShortage, systemErrorCode, writeDurably } from "../host/files.ts";
import { identify, type ProcessIdentity } from "../host/processes.ts";
import { lastLines } from "../host/tail.ts";
import { AgentOrder } from "./agent-record.ts";
import { type AttemptOrder, type Launcher, LaunchFailed, type Observation } from "./launcher.ts";
import { type AttemptFiles, attemptFiles, type OpenAttempt, openAttempt } from "./local-observe.ts";
import { livingAttempts, stopAttempt } from "./local-stop.ts";
import { programOrder } from "./program-order.ts";
import { attemptMark, elasticEnv } from "./worker-env.ts";

export interface LocalOptions {
  /** `attempts/` of the run directory, and the file with the newest epoch. */
  readonly folder: string;
  readonly epochFile: string;
  readonly clock: Clock;
  /** Command of one worker; absent: the embedded engine's. */
  readonly workerCommand?: (order: AttemptOrder, rank: number) => readonly string[];
}

/** More than a look opens at a time. */
const descriptorsOfLook = 4;

export function localLauncher(options: LocalOptions): Launcher {
  const { folder, epochFile, clock, workerCommand = embeddedWorker } = options;
  const opened = new Map<number, OpenAttempt>();
  let watcher: FSWatcher | undefined;
  const change = changeSignal();
  const filesOf = (epoch: number): AttemptFiles => attemptFiles(folder, epoch);

  const open = (epoch: number): OpenAttempt => {
    const known = opened.get(epoch);
    if (known !== undefined) return known;
    const attempt = openAttempt(filesOf(epoch), epoch, clock);
    opened.set(epoch, attempt);
    watcher?.close();
    watcher = watched(filesOf(epoch).records, change.raise);
    return attempt;
  };

  return {
    name: "local",
    async launch(order) {
      const files = filesOf(order.epoch);
      const port = await freePort();
      try {
        mkdirSync(files.folder, { recursive: true });
        // Made here, so that it can be watched before the agent writes its first record.
        closeSync(openSync(files.records, "a"));
        if ("spec" in order) writeDurably(files.workerSpec, `${JSON.stringify(order.spec)}\n`);
        const agentOrder =
          "spec" in order
            ? engineOrder(order, files, { epochFile, port, workerCommand })
            : programOrder(order, files, { epochFile, port });
        writeDurably(files.order, `${JSON.stringify(agentOrder)}\n`);
      } catch (error) {
        const code = systemErrorCode(error);
        if (code === undefined) throw error;
        throw new LaunchFailed(`${files.folder}: cannot be written (${code})`);
      }
      return { agent: await startAgent(files, change.raise) };
    },
    async living() {
      return livingAttempts(folder);
    },
    async stop(epoch, graceSeconds) {
      await stopAttempt(filesOf(epoch), { graceSeconds, clock });
      return { epoch, stopped: true };
    },
    observe(epoch) {
      change.clear();
      // Nothing is read by half: what cannot be opened now is still there when it can.
      const shortage = descriptorShortage(descriptorsOfLook);
      return shortage === undefined ? open(epoch).observe() : unseen(clock, shortage);
    },
    lastLines(epoch, rank) {
      const { log, errors } = filesOf(epoch);
      return [...lastLines(log(rank)), ...lastLines(errors(rank))];
    },
    changed: change.raised,
    close() {
      watcher?.close();
      for (const attempt of opened.values()) attempt.close();
      opened.clear();
      change.raise();
    },
  };
}

/**
 * Only the agent's records wake the supervisor at once (a worker ended); what workers say can wait for the next tick, and
 * waking up for each of their lines would cost more than all the rest of supervision.
 */
function watched(records: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = existsSync(records) ? watch(records, onChange) : undefined;
    // A file that vanishes under the watcher is no reason to die: ticks go on without it.
    return watcher?.on("error", onChange);
  } catch (error) {
    // Nor is a host that grants no more watchers (ENOSPC, EMFILE).
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
}

function unseen(clock: Clock, why: string): Observation {
  const nothing = { records: [], events: [], processes: [], malformed: {} };
  return {
    monotonicSeconds: clock.monotonicSeconds(),
    agent: "unknown",
    blind: [{ view: "attempt", why }],
    ...nothing,
  };
}

interface ChangeSignal {
  raise(): void;
  clear(): void;
  /** Resolves at once when it was raised since it was last cleared. */
  raised(): Promise<void>;
}

function changeSignal(): ChangeSignal {
  let isRaised = false;
  let resolve: () => void = () => undefined;
  let next = new Promise<void>((done) => {
    resolve = done;
  });
  return {
    raise() {
      isRaised = true;
      resolve();
    },
    clear() {
      if (!isRaised) return;
      isRaised = false;
      next = new Promise<void>((done) => {
        resolve = done;
      });
    },
    raised: () => next,
  };
}

/** A heap that an injected out-of-memory can fill in a moment; tensors lie outside of it. */
const smallHeapMebibytes = 128;

function embeddedWorker(order: AttemptOrder, rank: number): readonly string[] {
  const runsFull = order.spec.emulate.faults.some((fault) => fault.kind === "oom" && fault.rank === rank);
  const heap = runsFull ? [`--max-old-space-size=${smallHeapMebibytes}`] : [];
  return [process.execPath, ...heap, entryPoint("engine/worker-main")];
}

function engineOrder(
  order: AttemptOrder,
  files: AttemptFiles,
  how: { epochFile: string; port: number; workerCommand: (order: AttemptOrder, rank: number) => readonly string[] },
): AgentOrder {
  const { epoch, nodes, graceSeconds, spec } = order;
  return AgentOrder.parse({
    v: 1,
    run: spec.run,
    epoch,
    epochFile: how.epochFile,
    records: files.records,
    graceSeconds,
    workers: nodes.map((_, rank) => ({
      rank,
      command: [...how.workerCommand(order, rank)],
      env: {
        // Each rank stands for a node of its own.
        ...elasticEnv({ rank, ranks: nodes.length, perNode: 1, port: how.port, run: spec.run, epoch }),
        [attemptMark]: files.folder,
        DUALGAUGE_EVENTS: files.events(rank),
        DUALGAUGE_WORKER_SPEC: files.workerSpec,
      },
      log: files.log(rank),
    })),
  });
}

/** A port that was free a moment ago; when another process takes it in between, rank 0 exits and the attempt is launched again. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error) => reject(new LaunchFailed(`no free port: ${error.message}`)));
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

function startAgent(files: AttemptFiles, onExit: () => void): Promise<ProcessIdentity | null> {
  return new Promise((resolve, reject) => {
    const log = openSync(files.agentLog, "a");
    const agent = spawn(process.execPath, [entryPoint("supervisor/agent-main"), files.order], {
      detached: true,
      stdio: ["ignore", log, log],
    });
    agent.once("error", (error) => {
      closeSync(log);
      reject(new LaunchFailed(`the agent did not start: ${error.message}`));
    });
    agent.once("spawn", () => {
      closeSync(log);
      agent.unref();
      resolve(identify(agent.pid ?? 0) ?? null);
    });
    agent.once("exit", onExit);
  });
}
