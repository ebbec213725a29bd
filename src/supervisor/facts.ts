/**
 * Turns an observation into the facts that the journal keeps: processes, steps, checkpoints, injections, the end.
 * Knows: which records and events the journal has counted. Does not know: detectors, decisions.
 */
import { agentRank, type EventDraft, type Source } from "../journal/event.ts";
import type { RunState } from "../journal/state.ts";
import type { AgentRecord } from "../launcher/agent-record.ts";
import type { Observation } from "../launcher/launcher.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";
import type { Policy } from "./policy.ts";

type StepEvent = Extract<WorkerEvent, { ev: "step" }>;
type CheckpointEvent = Extract<WorkerEvent, { ev: "checkpoint" }>;

/** Drafts for what the journal has not counted yet, each rank's in its own order. Several steps in one look are one event. */
export function facts(seen: Observation, state: RunState, policy: Policy): EventDraft[] {
  const { attempt } = state;
  if (attempt === undefined) return [];
  const isQuiet = seen.records.length === 0 && seen.events.length === 0 && seen.blind.length === 0;
  if (isQuiet && Object.keys(state.blind).length === 0) return [];
  const counted = (rank: number): number => attempt.seen[String(rank)] ?? 0;
  const records = seen.records.filter(({ seq }) => seq > counted(agentRank)).flatMap(recordFact);
  const speaker = policy.program === undefined ? "rank-0" : "any";
  const ranks = new Map<number, WorkerEvent[]>();
  for (const event of seen.events) {
    // Where rank 0 speaks for the attempt, only injections of the others count.
    if (speaker === "rank-0" && event.rank !== 0 && event.ev !== "injected") continue;
    if (event.seq <= counted(event.rank) || event.rank >= attempt.nodes.length) continue;
    const list = ranks.get(event.rank) ?? [];
    ranks.set(event.rank, list);
    list.push(event);
  }
  const scope: Scope = {
    lastStep: state.created?.steps || Number.MAX_SAFE_INTEGER,
    speaker,
    newest: attempt.step,
  };
  const said = [...ranks.values()].flatMap((events) => rankFacts(events, scope));
  // A program's end comes after what was said before it, and states its newest step.
  const ends = records.flatMap((draft): EventDraft[] =>
    draft.type === "completed" ? [{ ...draft, data: { ...draft.data, step: scope.newest } }] : [],
  );
  return [...records.filter(({ type }) => type !== "completed"), ...said, ...ends, ...sight(seen, state)];
}

interface Scope {
  readonly lastStep: number;
  readonly speaker: "rank-0" | "any";
  /** Newest step drafted so far; of a program, ranks may print the same steps. */
  newest: number;
}

/** The most that one tick takes in; ten thousand workers that start, step or end at once take several. */
const recordsAtOnce = 250;
const eventsAtOnce = 4000;

/**
 * A look cut so that its first part is no more than a tick can take: what was said, then records of what ended after it; the
 * agent's fate comes with the last.
 */
export function inParts(seen: Observation): { now: Observation; later: Observation | undefined } {
  const { records, events } = seen;
  if (records.length <= recordsAtOnce && events.length <= eventsAtOnce) return { now: seen, later: undefined };
  const part: Observation = { ...seen, agent: "unknown", records: [], events: [], processes: [], malformed: {} };
  return events.length > 0
    ? {
        now: { ...part, events: events.slice(0, eventsAtOnce) },
        later: { ...seen, events: events.slice(eventsAtOnce) },
      }
    : {
        now: { ...part, records: records.slice(0, recordsAtOnce) },
        later: { ...seen, records: records.slice(recordsAtOnce) },
      };
}

function recordFact(record: AgentRecord): EventDraft[] {
  const source = { rank: agentRank, seq: record.seq };
  if (record.ev === "spawned") {
    const { rank, pid, startTicks } = record;
    return [{ type: "worker-started", data: { rank, process: { pid, startTicks }, source } }];
  }
  if (record.ev === "noted") {
    const { rank, what, count, detail, device } = record;
    return [{ type: "noted", data: { rank, what, count, detail, ...(device && { device }), source } }];
  }
  if (record.ev === "ended" && record.reason === "finished") {
    return [{ type: "completed", data: { step: 0, loss: null, weightsSha256: null, source } }];
  }
  if (record.ev === "exited") {
    const { rank, code, signal } = record;
    return [{ type: "worker-exited", data: { rank, code, signal, source } }];
  }
  return [];
}

/** Rank 0 speaks for the attempt, and of the others only injections count; of a program, whoever prints a new step. */
function rankFacts(events: readonly WorkerEvent[], scope: Scope): EventDraft[] {
  const { lastStep, speaker } = scope;
  const stepBefore = scope.newest;
  const found: { seq: number; draft: EventDraft }[] = [];
  const steps: StepEvent[] = [];
  let memory: CheckpointEvent | undefined;
  for (const event of events) {
    const source: Source = { rank: event.rank, seq: event.seq };
    if (event.ev === "injected") {
      const { fault, kind, rank, step } = event;
      found.push({ seq: event.seq, draft: { type: "fault-injected", data: { fault, kind, rank, step, source } } });
    }
    if (event.rank !== 0 && speaker === "rank-0") continue;
    if (event.ev === "step") {
      const newest = steps.at(-1)?.step ?? stepBefore;
      if (event.step > newest && event.step <= lastStep) steps.push(event);
      scope.newest = Math.max(scope.newest, steps.at(-1)?.step ?? 0);
    }
    if (event.ev === "checkpoint" && event.tier === "memory") memory = event;
    if (event.ev === "checkpoint" && event.tier === "disk") found.push({ seq: event.seq, draft: published(event) });
    if (event.ev === "validation") {
      const { step, loss } = event;
      found.push({ seq: event.seq, draft: { type: "validation", data: { step, loss, source } } });
    }
    if (
      event.ev === "bye" &&
      speaker === "rank-0" &&
      event.reason === "finished" &&
      event.step === lastStep &&
      lastStep > 0
    ) {
      const { step, loss = null, weightsSha256 = null } = event;
      found.push({ seq: event.seq, draft: { type: "completed", data: { step, loss, weightsSha256, source } } });
    }
  }
  // The memory tier gets a checkpoint every step; the newest says all.
  if (memory !== undefined) found.push({ seq: memory.seq, draft: published(memory) });
  const progress = progressed(steps, speaker === "any" ? stepBefore : undefined);
  if (progress !== undefined) found.push(progress);
  return found.sort((a, b) => a.seq - b.seq).map(({ draft }) => draft);
}

function published({ rank, seq, step, tier, path, seconds }: CheckpointEvent): EventDraft {
  return {
    type: "checkpoint-published",
    data: { checkpoint: { path, step, tier }, seconds, source: { rank, seq } },
  };
}

/** `stepBefore`: reports that may cover several steps each; absent: one step each. */
function progressed(
  steps: readonly StepEvent[],
  stepBefore: number | undefined,
): { seq: number; draft: EventDraft } | undefined {
  const newest = steps.at(-1);
  if (newest === undefined) return undefined;
  const covered = (index: number): number =>
    stepBefore === undefined ? 1 : (steps[index]?.step ?? 0) - (steps[index - 1]?.step ?? stepBefore);
  const sum = (of: (event: StepEvent) => number): number =>
    steps.reduce((total, event, index) => total + of(event) * covered(index), 0);
  return {
    seq: newest.seq,
    draft: {
      type: "progress",
      data: {
        step: newest.step,
        steps: sum(() => 1),
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
