/**
 * What is known of the living attempt beyond the journal: phases, step times, links, symptoms; made anew by every supervisor.
 * Knows: how observations add up. Does not know: what they mean (detectors), what is done (decide), files, clocks.
 */
import type { AgentRecord } from "../launcher/agent-record.ts";
import { channelView, type Observation } from "../launcher/launcher.ts";
import type { WorkerEvent, WorkerPhase } from "../spec/worker-event.ts";
import { median, quantile, type Recent, recent } from "./recent.ts";

export type WorkerFault = Extract<WorkerEvent, { ev: "fault" }>;

export interface RankView {
  readonly rank: number;
  readonly node: string;
  phase: WorkerPhase;
  /** Rank whose bytes it awaits, while in phase `reduce`. */
  waitingFor: number | undefined;
  /** Newest step that it has completed. */
  step: number;
  /** `observedSeconds` when it last said anything. */
  heardAt: number;
  /** `observedSeconds` when its process was first seen stopped by a signal (state T); undefined while it is not. */
  stoppedAt: number | undefined;
  /** Highest number of its events that was counted: what comes again, or late, says nothing new. */
  seq: number;
  exit: (Extract<AgentRecord, { ev: "exited" }> & { lastLines: readonly string[] }) | undefined;
  spawnFailed: string | undefined;
  saidFinished: boolean;
  /** It says by the opt-in protocol what it is doing, so that its silence can be judged strictly. */
  announces: boolean;
  readonly faults: WorkerFault[];
  /** When injected faults said that they strike, by kind: the start of what is then detected. */
  readonly strikes: { kind: string; step: number; monotonicSeconds: number }[];
  readonly computeSeconds: Recent<{ step: number; seconds: number }>;
}

export interface DeviceNote {
  readonly device: NonNullable<Extract<AgentRecord, { ev: "noted" }>["device"]>;
  /** Rank that computes on it, as far as that can be told. */
  readonly rank: number | null;
  readonly what: string;
  readonly detail: string;
}
/** More kinds of trouble than these on one host say nothing new. */
const deviceNotesMax = 500;

export interface LinkView {
  readonly low: number;
  readonly high: number;
  /** What each reading carried; `step` orders the two ends' readings. */
  readonly readings: Recent<{ step: number; bytes: number; seconds: number }>;
}

/** `median` holds for the first `counted` rates; a step that is over is sorted once. */
export interface LinkRates {
  readonly rates: number[];
  median: number;
  counted: number;
}

export interface View {
  readonly epoch: number;
  /** Whose steps are the attempt's: rank 0's, which says a step once it is kept, or, of a program, whoever prints them. */
  readonly speaker: "rank-0" | "any";
  /** Newest step of the attempt. */
  step: number;
  readonly ranks: readonly RankView[];
  readonly links: Map<number, LinkView>;
  /** Rates (bytes per second) that all links showed in each recent step, in no order. */
  readonly linkRates: Map<number, LinkRates>;
  /** Wall seconds of completed steps. */
  readonly stepSeconds: Recent<number>;
  /** Order statistics of `stepSeconds`, kept because every look asks for them; 0 before the first step. */
  usualStepSeconds: { median: number; p99: number };
  /** Of somebody's own program: the longest time between two reports in this attempt, also of those long ago. */
  longestReportSeconds: number;
  /** Losses of this and earlier attempts, by step. */
  readonly losses: Recent<{ step: number; loss: number }>;
  /** What the agent has told of devices in this attempt, the newest of each kind and device last. */
  readonly devices: Map<string, DeviceNote>;
  /** Micro-batches of each rank; reckoned once. */
  shares: readonly number[] | undefined;
  firstStep: boolean;
  agent: Observation["agent"];
  agentEnded: Extract<AgentRecord, { ev: "ended" }>["reason"] | undefined;
  /** Ranks of which something is to be told, so that a look at ten thousand that are well costs nothing. */
  readonly ended: Set<RankView>;
  readonly accusing: Set<RankView>;
  readonly stopped: Set<RankView>;
  /** How many ranks that have not ended are in a phase that may take long. */
  inLongPhase: number;
  /** What the last look saw of processes: the same array again means that nothing changed. */
  processes: Observation["processes"] | undefined;
  /** Time in which the supervisor really looked. */
  observedSeconds: number;
  /**
   * Observed seconds since a step was last completed: time in which the supervisor really looked. When it was itself
   * starved, stopped or blind, that time does not count, so its own trouble is never taken for a worker's.
   */
  silentSeconds: number;
  /** Observed seconds since the first symptom that calls for an action. */
  symptomSeconds: number | undefined;
  lastProgressAt: number;
  lastObservedAt: number;
  blind: readonly { readonly view: string; readonly why: string }[];
}

/** Steps whose compute times and link readings are kept; a link has two ends. */
export const readingsKept = 64;
/** Phases that may take long by their nature; within them a rank gets the time that a launch gets. */
const longPhases: ReadonlySet<WorkerPhase> = new Set<WorkerPhase>(["start", "load", "compile", "validate", "save"]);
/** The most that one look counts for: what is longer, the supervisor has slept through. */
const longestLookSeconds = 0.5;

export function createView(
  {
    epoch,
    nodes,
    step,
    speaker = "rank-0",
  }: { epoch: number; nodes: readonly string[]; step: number; speaker?: View["speaker"] },
  now: number,
  losses: View["losses"] = recent(64),
): View {
  return {
    epoch,
    speaker,
    step,
    ranks: nodes.map((node, rank) => ({
      rank,
      node,
      phase: "start",
      waitingFor: undefined,
      step,
      heardAt: 0,
      stoppedAt: undefined,
      seq: 0,
      exit: undefined,
      spawnFailed: undefined,
      saidFinished: false,
      announces: false,
      faults: [],
      strikes: [],
      computeSeconds: recent(readingsKept),
    })),
    links: new Map(),
    linkRates: new Map(),
    stepSeconds: recent(128),
    usualStepSeconds: { median: 0, p99: 0 },
    longestReportSeconds: 0,
    losses,
    devices: new Map(),
    shares: undefined,
    firstStep: false,
    agent: "unknown",
    agentEnded: undefined,
    ended: new Set(),
    accusing: new Set(),
    stopped: new Set(),
    inLongPhase: nodes.length,
    processes: undefined,
    observedSeconds: 0,
    silentSeconds: 0,
    symptomSeconds: undefined,
    lastProgressAt: now,
    lastObservedAt: now,
    blind: [],
  };
}

/** Adds an observation to the view; `lastLines` gives what a rank that has ended printed last. */
export function look(view: View, seen: Observation, lastLines: (rank: number) => readonly string[]): void {
  const passed = Math.max(0, seen.monotonicSeconds - view.lastObservedAt);
  const counted = seen.blind.length > 0 ? 0 : Math.min(passed, longestLookSeconds);
  view.lastObservedAt = seen.monotonicSeconds;
  view.blind = seen.blind;
  view.agent = seen.agent;
  view.observedSeconds += counted;
  view.silentSeconds += counted;
  if (view.symptomSeconds !== undefined) view.symptomSeconds += counted;
  if (seen.blind.some((one) => one.view === channelView)) forgetSilence(view);
  for (const record of seen.records) lookAtRecord(view, record, lastLines);
  for (const event of seen.events) lookAtEvent(view, event, seen.monotonicSeconds);
  if (seen.processes !== view.processes) lookAtProcesses(view, seen.processes);
}

function lookAtProcesses(view: View, processes: Observation["processes"]): void {
  view.processes = processes;
  for (const { rank: number, status } of processes) {
    const rank = view.ranks[number];
    if (rank === undefined) continue;
    if (status !== "stopped") {
      if (rank.stoppedAt === undefined) continue;
      rank.stoppedAt = undefined;
      view.stopped.delete(rank);
    } else if (rank.stoppedAt === undefined) {
      rank.stoppedAt = view.observedSeconds;
      view.stopped.add(rank);
    }
  }
}

/** The time without a step so far does not count: it could not be seen. */
export function forgetSilence(view: View): void {
  view.silentSeconds = 0;
  view.symptomSeconds = undefined;
}

/** In rank order, whatever the order in which they came. */
export function byRank(ranks: ReadonlySet<RankView>): RankView[] {
  return ranks.size === 0 ? [] : [...ranks].sort((a, b) => a.rank - b.rank);
}

/** Observed seconds since the rank last said anything. */
export function silentSecondsOf(view: View, rank: RankView): number {
  return view.observedSeconds - rank.heardAt;
}

/** Observed seconds for which the rank's process has been stopped by a signal; 0 when it is not. */
export function stoppedSecondsOf(view: View, rank: RankView): number {
  return rank.stoppedAt === undefined ? 0 : view.observedSeconds - rank.stoppedAt;
}

function enterPhase(view: View, rank: RankView, phase: WorkerPhase): void {
  if (rank.exit === undefined && rank.phase !== phase) {
    view.inLongPhase += Number(longPhases.has(phase)) - Number(longPhases.has(rank.phase));
  }
  rank.phase = phase;
}

function lookAtRecord(view: View, record: AgentRecord, lastLines: (rank: number) => readonly string[]): void {
  if (record.ev === "ended") view.agentEnded = record.reason;
  if (record.ev === "noted") {
    if (record.device !== undefined) noteDevice(view, { ...record, device: record.device });
    // What the agent notes of a rank is no word of the rank's.
    return;
  }
  const rank = "rank" in record && record.rank !== null ? view.ranks[record.rank] : undefined;
  if (rank === undefined) return;
  rank.heardAt = view.observedSeconds;
  if (record.ev === "exited" && rank.exit === undefined) {
    if (longPhases.has(rank.phase)) view.inLongPhase--;
    rank.exit = { ...record, lastLines: lastLines(record.rank) };
    rank.saidFinished ||= record.finished === true;
    view.ended.add(rank);
  }
  if (record.ev === "spawn-failed") {
    rank.spawnFailed = record.why;
    view.ended.add(rank);
  }
}

function noteDevice(view: View, { device, rank, what, detail }: DeviceNote): void {
  const key = `${device.name} ${what}`;
  view.devices.delete(key);
  if (view.devices.size < deviceNotesMax) view.devices.set(key, { device, rank, what, detail });
}

function lookAtEvent(view: View, event: WorkerEvent, now: number): void {
  const rank = view.ranks[event.rank];
  if (rank === undefined || event.epoch !== view.epoch || event.seq <= rank.seq) return;
  rank.seq = event.seq;
  rank.heardAt = view.observedSeconds;
  switch (event.ev) {
    case "heartbeat":
      rank.announces = true;
      enterPhase(view, rank, event.phase);
      rank.waitingFor = event.waitingFor;
      return;
    case "phase":
      enterPhase(view, rank, event.phase);
      rank.waitingFor = undefined;
      return;
    case "checkpoint":
      // Of a program that prints no steps, a checkpoint is the only progress that shows.
      if (view.speaker === "any" && event.step > view.step) progressed(view, event.step, now, undefined);
      return;
    case "step":
      lookAtStep(view, rank, event, now);
      return;
    case "fault":
      rank.faults.push(event);
      view.accusing.add(rank);
      return;
    case "injected":
      rank.strikes.push({ kind: event.kind, step: event.step, monotonicSeconds: event.monotonicSeconds ?? now });
      return;
    case "bye":
      rank.saidFinished = event.reason === "finished";
      return;
    default:
      return;
  }
}

function lookAtStep(view: View, rank: RankView, event: Extract<WorkerEvent, { ev: "step" }>, now: number): void {
  if (event.step <= rank.step) return;
  if (view.speaker === "any") enterPhase(view, rank, "compute");
  rank.step = event.step;
  // A program that says its steps and no phases has left the start behind all the same.
  if (rank.phase === "start" || rank.phase === "load" || rank.phase === "compile") enterPhase(view, rank, "idle");
  if (event.computeSeconds !== undefined) rank.computeSeconds.add({ step: event.step, seconds: event.computeSeconds });
  for (const { peer, bytes, seconds } of event.links ?? []) {
    const [low, high] = [Math.min(rank.rank, peer), Math.max(rank.rank, peer)];
    const key = low * 2 ** 21 + high;
    const link = view.links.get(key) ?? { low, high, readings: recent(2 * readingsKept) };
    view.links.set(key, link);
    if (seconds <= 0) continue;
    link.readings.add({ step: event.step, bytes, seconds });
    const known = view.linkRates.get(event.step) ?? { rates: [], median: 0, counted: 0 };
    if (known.rates.length === 0) view.linkRates.set(event.step, known);
    known.rates.push(bytes / seconds);
  }
  if (view.speaker === "rank-0" ? rank.rank !== 0 : event.step <= view.step) return;
  progressed(view, event.step, event.monotonicSeconds ?? now, event.seconds);
  if (event.loss !== undefined) view.losses.add({ step: event.step, loss: event.loss });
}

/**
 * The attempt has got on. A program may print every tenth step, and pauses to evaluate and to save without saying so: its
 * usual time is that between two reports, not that of a step.
 */
function progressed(view: View, step: number, at: number, stepSeconds: number | undefined): void {
  const covered = (stepSeconds ?? 0) * (view.firstStep ? step - view.step : 1);
  if (view.speaker === "rank-0") view.stepSeconds.add(stepSeconds ?? 0);
  else if (view.firstStep) {
    view.stepSeconds.add(Math.max(covered, view.silentSeconds));
    view.longestReportSeconds = Math.max(view.longestReportSeconds, view.silentSeconds);
  }
  view.firstStep = true;
  view.silentSeconds = 0;
  view.lastProgressAt = at;
  view.step = step;
  view.linkRates.delete(step - readingsKept);
  const seconds = view.stepSeconds.values();
  view.usualStepSeconds = { median: median(seconds) ?? 0, p99: quantile(seconds, 0.99) ?? 0 };
  // Nobody of a program says that it is done with saving or evaluating but by the next step.
  if (view.speaker === "any") for (const rank of view.ranks) enterPhase(view, rank, "compute");
}
