/**
 * Turns an observation into the facts that the journal keeps: processes, steps, checkpoints, injections, the end.
 * Knows: which records and events the journal has counted. Does not know: detectors, decisions.
 */
import { agentRank, type EventDraft, type Source } from "../journal/event.ts";
import type { RunState } from "../journal/state.ts";
import type { AgentRecord } from "../launcher/agent-record.ts";
import type { Observation } from "../launcher/launcher.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";

type StepEvent = Extract<WorkerEvent, { ev: "step" }>;
type CheckpointEvent = Extract<WorkerEvent, { ev: "checkpoint" }>;

/** Drafts for what the journal has not counted yet, each rank's in its own order. Several steps in one look are one event. */
export function facts(seen: Observation, state: RunState): EventDraft[] {
  const { attempt } = state;
  if (attempt === undefined) return [];
  const isQuiet = seen.records.length === 0 && seen.events.length === 0 && seen.blind.length === 0;
  if (isQuiet && Object.keys(state.blind).length === 0) return [];
  const counted = (rank: number): number => attempt.seen[String(rank)] ?? 0;
  const records = seen.records.filter(({ seq }) => seq > counted(agentRank)).flatMap(recordFact);
  const ranks = new Map<number, WorkerEvent[]>();
  for (const event of seen.events) {
    // Rank 0 speaks for the attempt; of the others only injections count.
    if (event.rank !== 0 && event.ev !== "injected") continue;
    if (event.seq <= counted(event.rank) || event.rank >= attempt.nodes.length) continue;
    const list = ranks.get(event.rank) ?? [];
    ranks.set(event.rank, list);
    list.push(event);
  }
  const steps = state.created?.steps ?? 0;
  return [
    ...records,
    ...[...ranks.values()].flatMap((events) => rankFacts(events, attempt.step, steps)),
    ...sight(seen, state),
  ];
}

/** The most records that one tick takes into the journal; ten thousand workers that start or end at once take several. */
const recordsAtOnce = 1500;

/** A look cut so that its first part is no more than a tick can take; the agent's fate and the events come with the last. */
export function inParts(seen: Observation): { now: Observation; later: Observation | undefined } {
  if (seen.records.length <= recordsAtOnce) return { now: seen, later: undefined };
  const records = seen.records.slice(0, recordsAtOnce);
  return {
    now: { ...seen, agent: "unknown", records, events: [], processes: [], malformed: {} },
    later: { ...seen, records: seen.records.slice(recordsAtOnce) },
  };
}

function recordFact(record: AgentRecord): EventDraft[] {
  const source = { rank: agentRank, seq: record.seq };
  if (record.ev === "spawned") {
    const { rank, pid, startTicks } = record;
    return [{ type: "worker-started", data: { rank, process: { pid, startTicks }, source } }];
  }
  if (record.ev === "exited") {
    const { rank, code, signal } = record;
    return [{ type: "worker-exited", data: { rank, code, signal, source } }];
  }
  return [];
}

/** Rank 0 speaks for the attempt; of the others only injections count. */
function rankFacts(events: readonly WorkerEvent[], stepBefore: number, lastStep: number): EventDraft[] {
  const found: { seq: number; draft: EventDraft }[] = [];
  const steps: StepEvent[] = [];
  let memory: CheckpointEvent | undefined;
  for (const event of events) {
    const source: Source = { rank: event.rank, seq: event.seq };
    if (event.ev === "injected") {
      const { fault, kind, rank, step } = event;
      found.push({ seq: event.seq, draft: { type: "fault-injected", data: { fault, kind, rank, step, source } } });
    }
    if (event.rank !== 0) continue;
    if (event.ev === "step") {
      const newest = steps.at(-1)?.step ?? stepBefore;
      if (event.step > newest && event.step <= lastStep) steps.push(event);
    }
    if (event.ev === "checkpoint" && event.tier === "memory") memory = event;
    if (event.ev === "checkpoint" && event.tier === "disk") found.push({ seq: event.seq, draft: published(event) });
    if (event.ev === "validation") {
      const { step, loss } = event;
      found.push({ seq: event.seq, draft: { type: "validation", data: { step, loss, source } } });
    }
    if (event.ev === "bye" && event.reason === "finished" && event.step === lastStep && lastStep > 0) {
      const { step, loss = null, weightsSha256 = null } = event;
      found.push({ seq: event.seq, draft: { type: "completed", data: { step, loss, weightsSha256, source } } });
    }
  }
  // The memory tier gets a checkpoint every step; the newest says all.
  if (memory !== undefined) found.push({ seq: memory.seq, draft: published(memory) });
  const progress = progressed(steps);
  if (progress !== undefined) found.push(progress);
  return found.sort((a, b) => a.seq - b.seq).map(({ draft }) => draft);
}

function published({ rank, seq, step, tier, path, seconds }: CheckpointEvent): EventDraft {
  return {
    type: "checkpoint-published",
    data: { checkpoint: { path, step, tier }, seconds, source: { rank, seq } },
  };
}

function progressed(steps: readonly StepEvent[]): { seq: number; draft: EventDraft } | undefined {
  const newest = steps.at(-1);
  if (newest === undefined) return undefined;
  const sum = (of: (event: StepEvent) => number): number => steps.reduce((total, event) => total + of(event), 0);
  return {
    seq: newest.seq,
    draft: {
      type: "progress",
      data: {
        step: newest.step,
        steps: steps.length,
        seconds: sum(({ seconds }) => seconds),
        tokens: sum(({ tokens }) => tokens ?? 0),
        loss: newest.loss ?? null,
        gradNorm: newest.gradNorm ?? null,
        source: { rank: newest.rank, seq: newest.seq },
      },
    },
  };
}

/** What has become unreadable or readable again. */
function sight(seen: Observation, state: RunState): EventDraft[] {
  const now = new Map(seen.blind.map(({ view, why }) => [view, why]));
  const lost = [...now].filter(([view]) => !(view in state.blind));
  const back = Object.keys(state.blind).filter((view) => !now.has(view));
  return [
    ...lost.map(([view, why]): EventDraft => ({ type: "blinded", data: { view, why } })),
    ...back.map((view): EventDraft => ({ type: "sighted", data: { view } })),
  ];
}
