/**
 * The ranks of a simulated attempt: what they say, how they end, who notices whom.
 * Knows: agents' records, workers' events, processes. Does not know: what a step is (simulated-attempt), what goes wrong (simulated-strikes).
 */
import type { Random } from "../spec/random.ts";
import { type WorkerEvent, type WorkerPhase, workerExitCode } from "../spec/worker-event.ts";
import type { AgentRecord } from "./agent-record.ts";
import type { AttemptOrder, Observation } from "./launcher.ts";
import type { SimulatedCluster } from "./simulated-cluster.ts";

type EventBody = WorkerEvent extends infer E
  ? E extends WorkerEvent
    ? Omit<E, "v" | "run" | "epoch" | "rank" | "seq" | "monotonicSeconds">
    : never
  : never;
type RecordBody = AgentRecord extends infer R
  ? R extends AgentRecord
    ? Omit<R, "v" | "epoch" | "seq" | "monotonicSeconds">
    : never
  : never;

export interface Rank {
  readonly rank: number;
  seq: number;
  status: "running" | "stopped" | "gone";
  phase: WorkerPhase;
  waitingFor: number | undefined;
  log: string[];
  /** False: nothing that it says reaches anybody. */
  heard: boolean;
}

export interface Context {
  readonly cluster: SimulatedCluster;
  readonly order: AttemptOrder;
  readonly dice: Random;
  readonly ranks: Rank[];
  readonly records: AgentRecord[];
  readonly events: WorkerEvent[];
  agent: "running" | "gone";
  stopping: boolean;
  step: number;
  weights: string;
  /** Counts up whenever the step under way becomes void. */
  generation: number;
  readonly struck: Record<string, number>;
  slow: { rank: number; factor: number; until: number } | undefined;
  linkSlow: { rank: number; share: number; until: number } | undefined;
  /** Why the disk tier refuses the next checkpoint. */
  diskRefuses: string | undefined;
  /** Every rank computes this many times slower. */
  slowness: number;
  /** The next loss is said to be this many times higher. */
  spike: number;
  killSaving: boolean;
  /** How many ranks are not gone, and the newest list of their statuses until one changes. */
  living: number;
  running: number;
  /** Ranks that say what they do while all is well. */
  readonly speakers: readonly Rank[];
  statuses: Observation["processes"] | undefined;
  /** Micro-batches of each rank. */
  readonly shares: readonly number[];
}

export function setStatus(context: Context, rank: Rank, status: Rank["status"]): void {
  if (status === "gone" && rank.status !== "gone") context.living--;
  context.running += Number(status === "running") - Number(rank.status === "running");
  rank.status = status;
  context.statuses = undefined;
}

/** The same array until something changes. */
export function statusesOf(context: Context): Observation["processes"] {
  context.statuses ??= context.ranks.filter(({ heard }) => heard).map(({ rank, status }) => ({ rank, status }));
  return context.statuses;
}

export function say(context: Context, rank: Rank, body: EventBody): void {
  const { order, cluster, events } = context;
  const isChatter = body.ev !== "fault" && body.ev !== "injected" && body.ev !== "bye";
  if (!rank.heard || (isChatter && rank.rank !== 0 && cluster.temper.onlyFirstSpeaks)) return;
  const monotonicSeconds = cluster.clock.monotonicSeconds();
  const { run } = order.spec;
  events.push({ v: 1, run, epoch: order.epoch, rank: rank.rank, seq: ++rank.seq, monotonicSeconds, ...body });
  if ((body.ev === "step" && rank.rank === 0) || body.ev === "fault" || body.ev === "bye") cluster.clock.wakeUp();
}

export function record(context: Context, body: RecordBody): void {
  const { order, cluster, records } = context;
  const monotonicSeconds = cluster.clock.monotonicSeconds();
  records.push({ v: 1, epoch: order.epoch, seq: records.length + 1, monotonicSeconds, ...body });
  cluster.clock.wakeUp();
}

export function enter(context: Context, rank: Rank, phase: WorkerPhase, waitingFor?: number): void {
  if (rank.status !== "running") return;
  rank.phase = phase;
  rank.waitingFor = context.ranks.length > 1 ? waitingFor : undefined;
  say(context, rank, { ev: "phase", phase, step: context.step });
}

/** Runs `event` unless the step under way became void meanwhile or a rank cannot take part. */
export function after(context: Context, seconds: number, event: () => void): void {
  const { generation } = context;
  context.cluster.clock.schedule(seconds, () => {
    if (context.generation === generation && areAllRunning(context)) event();
  });
}

const areAllRunning = ({ ranks, running }: Context): boolean => running === ranks.length;

/** A link that breaks between two ranks that live: both ends say so and end. */
export function noticeLink(context: Context, a: Rank): void {
  const { clock } = context.cluster;
  const b = context.ranks[a.rank === 0 ? 1 : 0];
  if (b === undefined) return;
  context.generation++;
  for (const [own, peer] of [
    [a, b],
    [b, a],
  ] as const) {
    clock.schedule(0.01 + 0.1 * context.dice.uniform(), () => {
      if (own.status !== "running") return;
      say(context, own, {
        ev: "fault",
        kind: "link-down",
        step: context.step + 1,
        peer: peer.rank,
        detail: "connection reset",
        retried: false,
      });
      exit(context, own, { code: workerExitCode.linkLost, signal: null });
    });
  }
}

/** Ranks that miss another: by a reset connection soon, or by silence later. */
export function othersNotice(
  context: Context,
  missing: Rank,
  kind: "link-down" | "link-silent",
  seconds: number,
): void {
  const { clock } = context.cluster;
  const notices = missing.rank === 0 ? context.ranks.slice(1) : context.ranks.slice(0, 1);
  for (const rank of notices) {
    clock.schedule(seconds + 0.05 * context.dice.uniform(), () => {
      if (rank.status !== "running" || context.stopping || (missing.status === "running" && missing.heard)) return;
      say(context, rank, {
        ev: "fault",
        kind,
        step: context.step + 1,
        peer: missing.rank,
        detail: kind,
        retried: false,
      });
      exit(context, rank, { code: workerExitCode.linkLost, signal: null });
    });
  }
}

export function exit(
  context: Context,
  rank: Rank,
  { code, signal }: { code: number | null; signal: string | null },
): void {
  if (rank.status === "gone") return;
  const isOver = code === 0 || context.stopping;
  setStatus(context, rank, "gone");
  if (context.agent === "running") record(context, { ev: "exited", rank: rank.rank, code, signal });
  if (!isOver && code !== workerExitCode.fenced) othersNotice(context, rank, "link-down", 0.01);
  if (context.agent === "running" && context.living === 0) {
    context.agent = "gone";
    record(context, { ev: "ended", reason: context.stopping ? "stopped" : "all-exited" });
  }
}

export function stop(context: Context, graceSeconds: number): void {
  if (context.stopping) return;
  context.stopping = true;
  context.generation++;
  for (const rank of context.ranks) {
    if (rank.status === "gone") continue;
    setStatus(context, rank, "running");
    // One in eight ignores SIGTERM and has to be killed.
    const obeys = context.dice.below(8) > 0;
    const end = obeys ? { code: workerExitCode.stopped, signal: null } : { code: null, signal: "SIGKILL" };
    const seconds = obeys ? 0.02 + 0.1 * context.dice.uniform() : graceSeconds;
    context.cluster.clock.schedule(seconds, () => exit(context, rank, end));
  }
}

export function killAgent(context: Context): void {
  if (context.agent === "gone") return;
  context.agent = "gone";
  context.generation++;
  for (const rank of context.ranks) {
    context.cluster.clock.schedule(0.05, () => {
      setStatus(context, rank, "gone");
    });
  }
}
