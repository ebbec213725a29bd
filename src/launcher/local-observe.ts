/**
 * Reads what an attempt on this host leaves behind: the agent's records, the workers' events, /proc.
 * Knows: the attempt's files, offsets, duplicates. Does not know: who started it; any later supervisor can open it.
 */
import { join } from "node:path";
import type { Clock } from "../host/clock.ts";
import { systemErrorCode } from "../host/files.ts";
import { type ProcessIdentity, processStatus } from "../host/processes.ts";
import { type Tail, tail } from "../host/tail.ts";
import { writeProbe } from "../host/write-probe.ts";
import { WorkerEvent } from "../spec/worker-event.ts";
import { AgentRecord } from "./agent-record.ts";
import { channelView, type Observation } from "./launcher.ts";

export interface AttemptFiles {
  readonly folder: string;
  readonly order: string;
  readonly workerSpec: string;
  readonly records: string;
  readonly agentLog: string;
  /** Where the supervisor tries whether the workers' folder can be written. */
  readonly probe: string;
  events(rank: number): string;
  log(rank: number): string;
  /** Of a program: its stderr, and what it says of itself by the opt-in protocol. */
  errors(rank: number): string;
  told(rank: number): string;
}

export function attemptFiles(attempts: string, epoch: number): AttemptFiles {
  const folder = join(attempts, String(epoch));
  return {
    folder,
    order: join(folder, "launch.json"),
    workerSpec: join(folder, "worker-spec.json"),
    records: join(folder, "agent.jsonl"),
    agentLog: join(folder, "agent.log"),
    probe: join(folder, "probe"),
    events: (rank) => join(folder, `rank-${rank}.events.jsonl`),
    log: (rank) => join(folder, `rank-${rank}.log`),
    errors: (rank) => join(folder, `rank-${rank}.stderr.log`),
    told: (rank) => join(folder, `rank-${rank}.told.jsonl`),
  };
}

/** The record that a line is, undefined when it is none (torn, foreign). */
export function parseRecord(line: string): AgentRecord | undefined {
  return parseWith((value) => AgentRecord.safeParse(value).data, line);
}

function parseWith<T>(parse: (value: unknown) => T | undefined, line: string): T | undefined {
  try {
    return parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

export interface OpenAttempt {
  observe(): Observation;
  close(): void;
}

/** How many observations pass between two looks at /proc; a look costs a file read per worker. */
const looksEvery = 5;
/** Between two tries whether workers can write, while no step shows that they can. */
const probeSeconds = 0.5;

/** Error code while nothing can be written to the attempt's folder; asks rarely while all is well and always while it is not. */
function channelWatch(path: string): {
  trouble(events: readonly WorkerEvent[], now: number): string | undefined;
  close(): void;
} {
  const probe = writeProbe(path);
  let found: string | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  return {
    trouble(events, now) {
      const isKnown = events.some(({ ev }) => ev === "step");
      if (!isKnown && found === undefined && now - askedAt < probeSeconds) return undefined;
      askedAt = now;
      found = isKnown ? undefined : probe.trouble();
      return found;
    },
    close: probe.close,
  };
}

export function openAttempt(files: AttemptFiles, epoch: number, clock: Clock): OpenAttempt {
  const records = tail(files.records);
  const channel = channelWatch(files.probe);
  const workers = new Map<number, { identity: ProcessIdentity; events: Tail; lastSeq: number }>();
  let agent: ProcessIdentity | undefined;
  let ended = false;
  let lastRecordSeq = 0;
  let observations = 0;

  const takeRecords = (): AgentRecord[] => {
    const fresh: AgentRecord[] = [];
    for (const line of records.read()) {
      const record = parseRecord(line);
      if (record === undefined || record.epoch !== epoch || record.seq <= lastRecordSeq) continue;
      lastRecordSeq = record.seq;
      fresh.push(record);
      if (record.ev === "agent") agent = { pid: record.pid, startTicks: record.startTicks };
      if (record.ev === "ended") ended = true;
      if (record.ev === "spawned") {
        const identity = { pid: record.pid, startTicks: record.startTicks };
        workers.set(record.rank, { identity, events: tail(files.events(record.rank)), lastSeq: 0 });
      }
    }
    return fresh;
  };

  const takeEvents = (rank: number, malformed: Record<number, number>): WorkerEvent[] => {
    const worker = workers.get(rank);
    if (worker === undefined) return [];
    const fresh: WorkerEvent[] = [];
    for (const line of worker.events.read()) {
      const event = parseWith((value) => WorkerEvent.safeParse(value).data, line);
      if (event === undefined || event.rank !== rank) malformed[rank] = (malformed[rank] ?? 0) + 1;
      else if (event.epoch === epoch && event.seq > worker.lastSeq) {
        worker.lastSeq = event.seq;
        fresh.push(event);
      }
    }
    return fresh;
  };

  return {
    observe() {
      const blind: { view: string; why: string }[] = [];
      const malformed: Record<number, number> = {};
      const see = <T>(view: string, read: () => T, otherwise: T): T => {
        try {
          return read();
        } catch (error) {
          const code = systemErrorCode(error);
          if (code === undefined) throw error;
          blind.push({ view, why: code });
          return otherwise;
        }
      };
      // Whether the agent lives is asked before its records are read, and they before the workers' events: what was
      // written before an end is then always read with it.
      const status = agent === undefined ? "unknown" : ended ? "gone" : processStatus(agent);
      const fresh = see("agent", takeRecords, []);
      const events = [...workers.keys()].flatMap((rank) =>
        see(`events of rank ${rank}`, () => takeEvents(rank, malformed), []),
      );
      const looks = observations++ % looksEvery === 0;
      const processes = looks
        ? [...workers].map(([rank, { identity }]) => ({ rank, status: processStatus(identity) }))
        : [];
      const monotonicSeconds = clock.monotonicSeconds();
      const trouble = ended ? undefined : channel.trouble(events, monotonicSeconds);
      if (trouble !== undefined) blind.push({ view: channelView, why: trouble });
      return {
        monotonicSeconds,
        agent: status,
        records: fresh,
        events,
        processes,
        blind,
        malformed,
      };
    },
    close() {
      records.close();
      channel.close();
      for (const { events } of workers.values()) events.close();
    },
  };
}
