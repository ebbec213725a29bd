/**
 * What is known of the living attempt beyond the journal: phases, step times, links, symptoms; made anew by every supervisor.
 * Knows: how observations add up. Does not know: what they mean (detectors), what is done (decide), files, clocks.
 */
import type { AgentRecord } from "../launcher/agent-record.ts";
import type { Observation } from "../launcher/launcher.ts";
import type { WorkerEvent, WorkerPhase } from "../spec/worker-event.ts";
import { type Recent, recent } from "./recent.ts";

export type WorkerFault = Extract<WorkerEvent, { ev: "fault" }>;

export interface RankView {
  readonly rank: number;
  readonly node: string;
  phase: WorkerPhase;
  /** Rank whose bytes it awaits, while in phase `reduce`. */
  waitingFor: number | undefined;
  /** Newest step that it has completed. */
  step: number;
  /** Observed seconds (see `silentSeconds`) since it last said anything. */
  silentSeconds: number;
  /** Its process is stopped by a signal (state T), for so many observed seconds. */
  stoppedSeconds: number;
  isStopped: boolean;
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

export interface LinkView {
  readonly low: number;
  readonly high: number;
  /** What each reading carried; `step` orders the two ends' readings. */
  readonly readings: Recent<{ step: number; bytes: number; seconds: number }>;
}

export interface View {
  readonly epoch: number;
  /** Whose steps are the attempt's: rank 0's, which says a step once it is kept, or, of a program, whoever prints them. */
  readonly speaker: "rank-0" | "any";
  /** Newest step of the attempt. */
  step: number;
  readonly ranks: readonly RankView[];
  readonly links: Map<string, LinkView>;
  /** Wall seconds of completed steps. */
  readonly stepSeconds: Recent<number>;
  /** Losses of this and earlier attempts, by step. */
  readonly losses: Recent<{ step: number; loss: number }>;
  firstStep: boolean;
  agent: Observation["agent"];
  agentEnded: Extract<AgentRecord, { ev: "ended" }>["reason"] | undefined;
  /**
   * Observed seconds since a step was last completed: time in which the supervisor really looked. When it was itself
   * starved, stopped or blind, that time does not count, so its own trouble is never taken for a worker's.
   */
  silentSeconds: number;
  attemptSeconds: number;
  /** Observed seconds since the first symptom that calls for an action. */
  symptomSeconds: number | undefined;
  lastProgressAt: number;
  lastObservedAt: number;
  blind: readonly { readonly view: string; readonly why: string }[];
}

/** Steps whose compute times and link readings are kept; a link has two ends. */
export const readingsKept = 64;
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
      silentSeconds: 0,
      stoppedSeconds: 0,
      isStopped: false,
      exit: undefined,
      spawnFailed: undefined,
      saidFinished: false,
      announces: false,
      faults: [],
      strikes: [],
      computeSeconds: recent(readingsKept),
    })),
    links: new Map(),
    stepSeconds: recent(128),
    losses,
    firstStep: false,
    agent: "unknown",
    agentEnded: undefined,
    silentSeconds: 0,
    attemptSeconds: 0,
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
  view.silentSeconds += counted;
  view.attemptSeconds += counted;
  if (view.symptomSeconds !== undefined) view.symptomSeconds += counted;
  for (const rank of view.ranks) {
    rank.silentSeconds += counted;
    if (rank.isStopped) rank.stoppedSeconds += counted;
  }
  for (const record of seen.records) lookAtRecord(view, record, lastLines);
  for (const event of seen.events) lookAtEvent(view, event, seen.monotonicSeconds);
  for (const { rank, status } of seen.processes) {
    const state = view.ranks[rank];
    if (state === undefined) continue;
    state.isStopped = status === "stopped";
    if (!state.isStopped) state.stoppedSeconds = 0;
  }
}

function lookAtRecord(view: View, record: AgentRecord, lastLines: (rank: number) => readonly string[]): void {
  if (record.ev === "ended") view.agentEnded = record.reason;
  const rank = "rank" in record && record.rank !== null ? view.ranks[record.rank] : undefined;
  if (rank === undefined) return;
  rank.silentSeconds = 0;
  if (record.ev === "exited") {
    rank.exit = { ...record, lastLines: lastLines(record.rank) };
    rank.saidFinished ||= record.finished === true;
  }
  if (record.ev === "spawn-failed") rank.spawnFailed = record.why;
}

function lookAtEvent(view: View, event: WorkerEvent, now: number): void {
  const rank = view.ranks[event.rank];
  if (rank === undefined) return;
  rank.silentSeconds = 0;
  switch (event.ev) {
    case "heartbeat":
      rank.announces = true;
      rank.phase = event.phase;
      rank.waitingFor = event.waitingFor;
      return;
    case "phase":
      rank.phase = event.phase;
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
  rank.phase = view.speaker === "any" ? "compute" : rank.phase;
  rank.step = event.step;
  // A program that says its steps and no phases has left the start behind all the same.
  if (rank.phase === "start" || rank.phase === "load" || rank.phase === "compile") rank.phase = "idle";
  if (event.computeSeconds !== undefined) rank.computeSeconds.add({ step: event.step, seconds: event.computeSeconds });
  for (const { peer, bytes, seconds } of event.links ?? []) {
    const [low, high] = [Math.min(rank.rank, peer), Math.max(rank.rank, peer)];
    const key = `${low}-${high}`;
    const link = view.links.get(key) ?? { low, high, readings: recent(2 * readingsKept) };
    view.links.set(key, link);
    if (seconds > 0) link.readings.add({ step: event.step, bytes, seconds });
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
  else if (view.firstStep) view.stepSeconds.add(Math.max(covered, view.silentSeconds));
  view.firstStep = true;
  view.silentSeconds = 0;
  view.lastProgressAt = at;
  view.step = step;
  // Nobody of a program says that it is done with saving or evaluating but by the next step.
  if (view.speaker === "any") for (const rank of view.ranks) rank.phase = "compute";
}
