/**
 * One attempt of simulated workers: they start, step, publish, suffer the faults of their order, and end.
 * Knows: how real workers behave towards a supervisor (events, exits, who notices whom). Does not know: the supervisor.
 */
import type { ProcessStatus } from "../host/processes.ts";
import type { InjectedFault } from "../spec/emulation.ts";
import { microBatchShares } from "../spec/micro-batch-shares.ts";
import { type Random, random } from "../spec/random.ts";
import { type WorkerEvent, type WorkerPhase, workerExitCode } from "../spec/worker-event.ts";
import type { AgentRecord } from "./agent-record.ts";
import type { AttemptOrder } from "./launcher.ts";
import { publish, type SimulatedCluster, trainedWeights } from "./simulated-cluster.ts";

export interface SimulatedAttempt {
  readonly epoch: number;
  readonly records: readonly AgentRecord[];
  readonly events: readonly WorkerEvent[];
  readonly pid: number;
  isAlive(): boolean;
  agentStatus(): ProcessStatus;
  statusOf(rank: number): ProcessStatus;
  lastLines(rank: number): readonly string[];
  /** SIGTERM, SIGCONT, grace, SIGKILL. */
  stop(graceSeconds: number): void;
  /** SIGKILL of the agent: its workers see the end of their input and follow. */
  killAgent(): void;
}

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

interface Rank {
  readonly rank: number;
  seq: number;
  status: "running" | "stopped" | "gone";
  phase: WorkerPhase;
  waitingFor: number | undefined;
  log: string[];
}

interface Context {
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
  diskFullOnce: boolean;
}

export function startSimulatedAttempt(cluster: SimulatedCluster, order: AttemptOrder): SimulatedAttempt {
  const context: Context = {
    cluster,
    order,
    dice: random(cluster.seed, `attempt ${order.epoch}`),
    ranks: order.nodes.map((_, rank) => ({
      rank,
      seq: 0,
      status: "running",
      phase: "start",
      waitingFor: undefined,
      log: [],
    })),
    records: [],
    events: [],
    agent: "running",
    stopping: false,
    step: order.spec.resume?.step ?? 0,
    weights: "",
    generation: 0,
    struck: { ...order.spec.struck },
    slow: undefined,
    linkSlow: undefined,
    diskFullOnce: false,
  };
  begin(context);
  const pid = 100_000 + order.epoch * 1_000;
  return {
    epoch: order.epoch,
    records: context.records,
    events: context.events,
    pid,
    isAlive: () => context.agent === "running" || context.ranks.some(({ status }) => status !== "gone"),
    agentStatus: () => context.agent,
    statusOf: (rank) => context.ranks[rank]?.status ?? "gone",
    lastLines: (rank) => context.ranks[rank]?.log ?? [],
    stop: (graceSeconds) => stop(context, graceSeconds),
    killAgent: () => killAgent(context),
  };
}

function say(context: Context, rank: Rank, body: EventBody): void {
  const { order, cluster, events } = context;
  const monotonicSeconds = cluster.clock.monotonicSeconds();
  const header = {
    v: 1,
    run: order.spec.run,
    epoch: order.epoch,
    rank: rank.rank,
    seq: ++rank.seq,
    monotonicSeconds,
  } as const;
  events.push({ ...header, ...body });
  if (body.ev === "step" || body.ev === "fault" || body.ev === "bye") cluster.clock.wakeUp();
}

function record(context: Context, body: RecordBody): void {
  const { order, cluster, records } = context;
  const monotonicSeconds = cluster.clock.monotonicSeconds();
  records.push({ v: 1, epoch: order.epoch, seq: records.length + 1, monotonicSeconds, ...body });
  cluster.clock.wakeUp();
}

function begin(context: Context): void {
  const { cluster, order, ranks, dice } = context;
  const pid = 100_000 + order.epoch * 1_000;
  record(context, { ev: "agent", pid, startTicks: order.epoch });
  if (order.epoch < cluster.epoch) {
    context.agent = "gone";
    for (const rank of ranks) rank.status = "gone";
    record(context, { ev: "ended", reason: "fenced" });
    return;
  }
  for (const rank of ranks) {
    record(context, { ev: "spawned", rank: rank.rank, pid: pid + 1 + rank.rank, startTicks: order.epoch });
    say(context, rank, { ev: "hello", pid: pid + 1 + rank.rank });
    enter(context, rank, "load");
  }
  beat(context);
  after(context, 0.1 + dice.uniform() * cluster.temper.startSeconds, () => load(context));
}

function load(context: Context): void {
  const { cluster, order, ranks } = context;
  const resume = order.spec.resume;
  if (resume === null) context.weights = "initial";
  else {
    const stored = cluster.checkpoints.get(resume.path);
    if (stored === undefined || stored.corrupt || stored.step !== resume.step) {
      const first = ranks[0];
      if (first !== undefined)
        say(context, first, {
          ev: "fault",
          kind: "corrupt-checkpoint",
          step: context.step,
          detail: resume.path,
          retried: false,
        });
      for (const rank of ranks) exit(context, rank, { code: workerExitCode.corruptCheckpoint, signal: null });
      return;
    }
    context.weights = stored.weights;
  }
  computeStep(context);
}

/** Draws the step's times, lets the faults of this step strike, and completes it when every rank has done its part. */
function computeStep(context: Context): void {
  const { cluster, ranks, dice } = context;
  const step = context.step + 1;
  const { stepSeconds, jitter, pauseChance, pauseSeconds } = cluster.temper;
  const { globalBatch, microBatch } = context.order.spec.train;
  const shares = microBatchShares({ microBatches: globalBatch / microBatch, ranks: ranks.length });
  const compute = ranks.map((rank) => {
    enter(context, rank, "compute");
    const slow = context.slow !== undefined && context.slow.rank === rank.rank && step <= context.slow.until;
    const work = (shares[rank.rank] ?? 1) / Math.max(...shares);
    return (
      stepSeconds * 0.8 * work * Math.max(0.2, 1 + jitter * dice.normal()) * (slow ? (context.slow?.factor ?? 1) : 1)
    );
  });
  const computed = Math.max(...compute);
  strikes(context, step, computed);
  const linkSlow = context.linkSlow !== undefined && step <= context.linkSlow.until ? context.linkSlow : undefined;
  const linkSeconds = (rank: number): number => 0.03 / (linkSlow?.rank === rank ? linkSlow.share : 1);
  const reduced = Math.max(0.03, ...ranks.slice(1).map(({ rank }) => linkSeconds(rank)));
  const paused = dice.uniform() < pauseChance ? dice.uniform() * pauseSeconds : 0;
  after(context, computed, () => {
    for (const rank of ranks) enter(context, rank, "reduce", rank.rank === 0 ? 1 : 0);
    after(context, reduced, () => {
      // A pause is either a validation or a slow checkpoint; both are said.
      for (const rank of ranks) enter(context, rank, paused > pauseSeconds / 2 ? "validate" : "save");
      after(context, 0.2 * stepSeconds + paused, () =>
        completeStep(context, { step, compute, linkSeconds, seconds: computed + reduced + 0.2 * stepSeconds + paused }),
      );
    });
  });
}

function completeStep(
  context: Context,
  done: { step: number; compute: readonly number[]; linkSeconds: (rank: number) => number; seconds: number },
): void {
  const { cluster, order, ranks } = context;
  const { step, compute, linkSeconds, seconds } = done;
  const { train } = order.spec;
  const weights = trainedWeights(context.weights, step, train.seed);
  const stored = publish(cluster, order.epoch, { step, tier: "memory", weights });
  if (stored === undefined) {
    for (const rank of ranks) exit(context, rank, { code: workerExitCode.fenced, signal: null });
    return;
  }
  context.step = step;
  context.weights = weights;
  for (const rank of [...ranks].reverse()) {
    if (rank.rank === 0)
      say(context, rank, { ev: "checkpoint", step, tier: "memory", path: stored.path, seconds: 0.01 });
    const links =
      rank.rank === 0
        ? ranks.slice(1).map((peer) => ({ peer: peer.rank, bytes: 1e6, seconds: linkSeconds(peer.rank) }))
        : [{ peer: 0, bytes: 1e6, seconds: linkSeconds(rank.rank) }];
    const computeSeconds = compute[rank.rank] ?? 0;
    say(context, rank, { ev: "step", step, seconds, loss: lossAt(step), tokens: 1000, computeSeconds, links });
  }
  if (step % train.checkpointEvery === 0 || step === train.steps) saveToDisk(context, step);
  if (step === train.steps) finish(context);
  else computeStep(context);
}

/** Falls like a real loss, without spikes. */
const lossAt = (step: number): number => 1.5 + 4 / Math.sqrt(step);

function saveToDisk(context: Context, step: number): void {
  const first = context.ranks[0];
  if (first === undefined) return;
  if (context.diskFullOnce) {
    context.diskFullOnce = false;
    say(context, first, { ev: "fault", kind: "no-space", step, detail: "ENOSPC", retried: true, detectSeconds: 0 });
  }
  const stored = publish(context.cluster, context.order.epoch, { step, tier: "disk", weights: context.weights });
  if (stored !== undefined)
    say(context, first, { ev: "checkpoint", step, tier: "disk", path: stored.path, seconds: 0.1 });
}

function finish(context: Context): void {
  const { ranks, step, weights } = context;
  for (const rank of [...ranks].reverse()) {
    const last = rank.rank === 0 ? { weightsSha256: weights, loss: lossAt(step) } : {};
    say(context, rank, { ev: "bye", reason: "finished", step, ...last });
    exit(context, rank, { code: 0, signal: null });
  }
}

function enter(context: Context, rank: Rank, phase: WorkerPhase, waitingFor?: number): void {
  if (rank.status !== "running") return;
  rank.phase = phase;
  rank.waitingFor = context.ranks.length > 1 ? waitingFor : undefined;
  say(context, rank, { ev: "phase", phase, step: context.step });
}

/** Heartbeats come whether or not the step gets on: they must fool nobody. */
function beat(context: Context): void {
  if (context.agent === "gone") return;
  for (const rank of context.ranks) {
    if (rank.status !== "running") continue;
    const { phase, waitingFor } = rank;
    say(context, rank, {
      ev: "heartbeat",
      phase,
      step: context.step,
      ...(waitingFor === undefined ? {} : { waitingFor }),
    });
  }
  context.cluster.clock.schedule(0.5, () => beat(context));
}

/** Runs `event` unless the step under way became void meanwhile or a rank cannot take part. */
function after(context: Context, seconds: number, event: () => void): void {
  const { generation } = context;
  context.cluster.clock.schedule(seconds, () => {
    if (context.generation === generation && context.ranks.every(({ status }) => status === "running")) event();
  });
}

function strikes(context: Context, step: number, computed: number): void {
  const { order, dice, cluster } = context;
  order.spec.emulate.faults.forEach((fault, index) => {
    const id = `${order.spec.pool}/${index}`;
    if (fault.step !== step || (context.struck[id] ?? 0) >= fault.times || fault.rank >= context.ranks.length) return;
    const { generation } = context;
    cluster.clock.schedule(dice.uniform() * computed * 0.9, () => {
      const rank = context.ranks[fault.rank];
      if (context.generation !== generation || context.step !== step - 1 || rank?.status !== "running") return;
      context.struck[id] = (context.struck[id] ?? 0) + 1;
      say(context, rank, { ev: "injected", fault: id, kind: fault.kind, step });
      strike(context, rank, fault, step);
    });
  });
}

function strike(context: Context, rank: Rank, fault: InjectedFault, step: number): void {
  const mended = (kind: "nan" | "corrupt-gradient", peer?: number): void =>
    say(context, rank, {
      ev: "fault",
      kind,
      step,
      detail: "injected",
      retried: true,
      detectSeconds: 0.01,
      recoverSeconds: 0.1,
      ...(peer === undefined ? {} : { peer }),
    });
  switch (fault.kind) {
    case "crash":
      exit(context, rank, { code: null, signal: "SIGKILL" });
      break;
    case "exit":
      exit(context, rank, { code: fault.code, signal: null });
      break;
    case "oom":
      rank.log.push("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory");
      exit(context, rank, { code: null, signal: "SIGABRT" });
      break;
    case "hang":
      rank.status = "stopped";
      othersNotice(context, rank, "link-silent", context.order.spec.failover.linkSilentSeconds);
      break;
    case "linkdown":
      noticeLink(context, rank);
      break;
    case "nan":
      mended("nan");
      break;
    case "bitflip":
      if (fault.target === "gradient") mended("corrupt-gradient", rank.rank === 0 ? 1 : 0);
      else flipNewest(context);
      break;
    case "slow":
      context.slow = { rank: rank.rank, factor: fault.factor, until: step + fault.steps };
      break;
    case "linkslow":
      context.linkSlow = { rank: Math.max(1, rank.rank), share: 0.05, until: step + fault.steps };
      break;
    case "nospace":
      context.diskFullOnce = true;
      break;
    default:
      fault.kind satisfies never;
  }
}

function flipNewest(context: Context): void {
  const newest = context.cluster.checkpoints.get(`/memory/step-${String(context.step).padStart(8, "0")}`);
  if (newest !== undefined) newest.corrupt = true;
}

/** A link that breaks between two ranks that live: both ends say so and end. */
function noticeLink(context: Context, a: Rank): void {
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
function othersNotice(context: Context, missing: Rank, kind: "link-down" | "link-silent", seconds: number): void {
  const { clock } = context.cluster;
  const notices = missing.rank === 0 ? context.ranks.slice(1) : context.ranks.slice(0, 1);
  for (const rank of notices) {
    clock.schedule(seconds + 0.05 * context.dice.uniform(), () => {
      if (rank.status !== "running" || context.stopping || missing.status === "running") return;
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

function exit(context: Context, rank: Rank, { code, signal }: { code: number | null; signal: string | null }): void {
  if (rank.status === "gone") return;
  const isOver = code === 0 || context.stopping;
  rank.status = "gone";
  if (context.agent === "running") record(context, { ev: "exited", rank: rank.rank, code, signal });
  if (!isOver && code !== workerExitCode.fenced) othersNotice(context, rank, "link-down", 0.01);
  if (context.agent === "running" && context.ranks.every(({ status }) => status === "gone")) {
    context.agent = "gone";
    record(context, { ev: "ended", reason: context.stopping ? "stopped" : "all-exited" });
  }
}

function stop(context: Context, graceSeconds: number): void {
  if (context.stopping) return;
  context.stopping = true;
  context.generation++;
  for (const rank of context.ranks) {
    if (rank.status === "gone") continue;
    rank.status = "running";
    // One in eight ignores SIGTERM and has to be killed.
    const obeys = context.dice.below(8) > 0;
    const end = obeys ? { code: workerExitCode.stopped, signal: null } : { code: null, signal: "SIGKILL" };
    const seconds = obeys ? 0.02 + 0.1 * context.dice.uniform() : graceSeconds;
    context.cluster.clock.schedule(seconds, () => exit(context, rank, end));
  }
}

function killAgent(context: Context): void {
  if (context.agent === "gone") return;
  context.agent = "gone";
  context.generation++;
  for (const rank of context.ranks) {
    context.cluster.clock.schedule(0.05, () => {
      rank.status = "gone";
    });
  }
}
