/**
 * One attempt of simulated workers: they start, step, publish, suffer the faults of their order, and end.
 * Knows: how real workers behave towards a supervisor (events, exits, who notices whom). Does not know: the supervisor.
 */
import type { ProcessStatus } from "../host/processes.ts";
import { microBatchShares } from "../spec/micro-batch-shares.ts";
import { random } from "../spec/random.ts";
import { type WorkerEvent, workerExitCode } from "../spec/worker-event.ts";
import type { AgentRecord } from "./agent-record.ts";
import type { AttemptOrder, Observation } from "./launcher.ts";
import { publish, type SimulatedCluster, trainedWeights } from "./simulated-cluster.ts";
import {
  after,
  type Context,
  enter,
  exit,
  killAgent,
  type Rank,
  record,
  say,
  setStatus,
  statusesOf,
  stop,
} from "./simulated-ranks.ts";
import { befall, strikes } from "./simulated-strikes.ts";

export interface SimulatedAttempt {
  readonly epoch: number;
  readonly records: readonly AgentRecord[];
  readonly events: readonly WorkerEvent[];
  readonly pid: number;
  isAlive(): boolean;
  agentStatus(): ProcessStatus;
  /** Of every rank that has been spawned and can be seen; the same array until one changes. */
  statuses(): Observation["processes"];
  lastLines(rank: number): readonly string[];
  /** SIGTERM, SIGCONT, grace, SIGKILL. */
  stop(graceSeconds: number): void;
  /** SIGKILL of the agent: its workers see the end of their input and follow. */
  killAgent(): void;
}

export function startSimulatedAttempt(cluster: SimulatedCluster, order: AttemptOrder): SimulatedAttempt {
  const ranks = order.nodes.map(
    (_, rank): Rank => ({
      ...{ rank, seq: 0, status: "running", phase: "start", waitingFor: undefined, log: [], heard: true },
    }),
  );
  const context: Context = {
    cluster,
    order,
    dice: random(cluster.seed, `attempt ${order.epoch}`),
    ranks,
    speakers: cluster.temper.onlyFirstSpeaks ? ranks.slice(0, 1) : ranks,
    running: ranks.length,
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
    diskRefuses: undefined,
    slowness: 1,
    spike: 1,
    killSaving: false,
    living: order.nodes.length,
    statuses: undefined,
    shares: microBatchShares({
      microBatches: order.spec.train.globalBatch / order.spec.train.microBatch,
      ranks: order.nodes.length,
    }),
  };
  begin(context);
  const pid = 100_000 + order.epoch * 1_000;
  return {
    epoch: order.epoch,
    records: context.records,
    events: context.events,
    pid,
    isAlive: () => context.agent === "running" || context.living > 0,
    agentStatus: () => context.agent,
    statuses: () => statusesOf(context),
    lastLines: (rank) => context.ranks[rank]?.log ?? [],
    stop: (graceSeconds) => stop(context, graceSeconds),
    killAgent: () => killAgent(context),
  };
}

function begin(context: Context): void {
  const { cluster, order, ranks, dice } = context;
  const pid = 100_000 + order.epoch * 1_000;
  record(context, { ev: "agent", pid, startTicks: order.epoch });
  if (order.epoch < cluster.epoch) {
    context.agent = "gone";
    for (const rank of ranks) setStatus(context, rank, "gone");
    record(context, { ev: "ended", reason: "fenced" });
    return;
  }
  for (const rank of ranks) {
    if (cluster.broken.has(order.nodes[rank.rank] ?? "")) {
      setStatus(context, rank, "gone");
      record(context, { ev: "spawn-failed", rank: rank.rank, why: "the node does not answer" });
      continue;
    }
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
    if (stored === undefined || stored.corrupt !== undefined || stored.step !== resume.step) {
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
  const { cluster, dice } = context;
  const step = context.step + 1;
  const { stepSeconds, jitter, pauseChance, pauseSeconds } = cluster.temper;
  const { shares, slowness } = context;
  let most = 1;
  for (const share of shares) most = Math.max(most, share);
  let computed = 0;
  const compute = context.speakers.map((rank) => {
    enter(context, rank, "compute");
    const isSlow = context.slow !== undefined && context.slow.rank === rank.rank && step <= context.slow.until;
    const work = (slowness * (shares[rank.rank] ?? 1)) / most;
    const factor = work * Math.max(0.2, 1 + jitter * dice.normal()) * (isSlow ? (context.slow?.factor ?? 1) : 1);
    computed = Math.max(computed, stepSeconds * 0.8 * factor);
    return stepSeconds * 0.8 * factor;
  });
  strikes(context, step, computed);
  befall(context, step, computed);
  const linkSlow = context.linkSlow !== undefined && step <= context.linkSlow.until ? context.linkSlow : undefined;
  const linkSeconds = (rank: number): number => 0.03 / (linkSlow?.rank === rank ? linkSlow.share : 1);
  const reduced = linkSlow === undefined ? linkSeconds(0) : Math.max(0.03, linkSeconds(linkSlow.rank));
  const paused = dice.uniform() < pauseChance ? dice.uniform() * pauseSeconds : 0;
  after(context, computed, () => {
    for (const rank of context.speakers) enter(context, rank, "reduce", rank.rank === 0 ? 1 : 0);
    after(context, reduced, () => {
      // A pause is either a validation or a slow checkpoint; both are said.
      for (const rank of context.speakers) enter(context, rank, paused > pauseSeconds / 2 ? "validate" : "save");
      after(context, 0.2 * stepSeconds + paused, () =>
        completeStep(context, { step, compute, linkSeconds, seconds: computed + reduced + 0.2 * stepSeconds + paused }),
      );
    });
  });
}

/** More ranks than this stand in a ring; fewer all talk to rank 0. */
const ringFrom = 64;

function completeStep(
  context: Context,
  done: { step: number; compute: readonly number[]; linkSeconds: (rank: number) => number; seconds: number },
): void {
  const { cluster, order, ranks } = context;
  const { step, compute, linkSeconds, seconds } = done;
  const { train } = order.spec;
  const [first] = ranks;
  if (context.killSaving && first !== undefined) {
    exit(context, first, { code: null, signal: "SIGKILL" });
    return;
  }
  const weights = trainedWeights(context.weights, step, train.seed);
  const stored = publish(cluster, order.epoch, { step, tier: "memory", weights });
  if (stored === undefined) {
    for (const rank of ranks) exit(context, rank, { code: workerExitCode.fenced, signal: null });
    return;
  }
  context.step = step;
  context.weights = weights;
  const loss = lossAt(step) * context.spike;
  context.spike = 1;
  for (const rank of [...context.speakers].reverse()) {
    if (rank.rank === 0)
      say(context, rank, { ev: "checkpoint", step, tier: "memory", path: stored.path, seconds: 0.01 });
    // Many ranks stand in a ring, so that none has more links than it may tell of.
    const links =
      ranks.length > ringFrom
        ? [{ peer: (rank.rank + 1) % ranks.length, bytes: 1e6, seconds: linkSeconds(rank.rank) }]
        : rank.rank === 0
          ? ranks.slice(1).map((peer) => ({ peer: peer.rank, bytes: 1e6, seconds: linkSeconds(peer.rank) }))
          : [{ peer: 0, bytes: 1e6, seconds: linkSeconds(rank.rank) }];
    const computeSeconds = compute[rank.rank] ?? 0;
    say(context, rank, { ev: "step", step, seconds, loss, tokens: 1000, computeSeconds, links });
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
  if (context.diskRefuses !== undefined) {
    const detail = context.diskRefuses;
    context.diskRefuses = undefined;
    say(context, first, { ev: "fault", kind: "no-space", step, detail, retried: true, detectSeconds: 0 });
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
  const { heartbeatSeconds = 0.5 } = context.cluster.temper;
  if (heartbeatSeconds !== Number.POSITIVE_INFINITY)
    context.cluster.clock.schedule(heartbeatSeconds, () => beat(context));
}
