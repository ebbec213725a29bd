/**
 * Adds events up to the state of a run: pure and total, the same for supervisor, command line, page, simulator and tests.
 * Knows: what each event changes. Does not know: which events may follow which (legal), files, clocks.
 */
import type { CheckpointRef, EventData, RunEvent } from "./event.ts";
import { injectionOf } from "./injection.ts";
import { type Attempt, type Fault, initialState, type RunState, type WorkerState } from "./state.ts";

/**
 * The state after `events`, from `state` on. A prefix reduced, then the rest on top of it, gives the same as the whole.
 * `check` sees each event with the state before it, may throw, and must not keep that state.
 */
export function reduce(
  events: Iterable<RunEvent>,
  state: RunState = initialState,
  check?: (state: RunState, event: RunEvent) => void,
): RunState {
  let next = state;
  const own: Own = { workers: undefined };
  for (const event of events) {
    check?.(next, event);
    next = step(next, event, own);
  }
  return next;
}

/** What this call has made itself and nobody else holds: it may be changed in place, so that ten thousand starts are not ten thousand copies. */
interface Own {
  workers: WorkerState[] | undefined;
}

function step(before: RunState, event: RunEvent, own: Own): RunState {
  const attempt = counted(before, event);
  const state = { ...before, seq: event.seq, at: event.at, epoch: Math.max(before.epoch, event.epoch), attempt };
  switch (event.type) {
    case "run-created":
      return { ...state, created: event.data, createdAt: event.at, phase: "created", pool: event.data.order[0] };
    case "run-resumed":
      return resumed(state);
    case "supervisor-started":
      return started(state, event.data);
    case "supervisor-stopped":
      return stopped(state, event.data);
    case "launch-intended":
      return intended(state, event.data);
    case "launched":
    case "adopted":
      return onAttempt(state, (attempt) => ({
        ...attempt,
        status: attempt.status === "intended" ? "running" : attempt.status,
        agent: event.data.agent ?? attempt.agent,
      }));
    case "worker-started":
      return workerStarted(state, event.data, own);
    case "worker-exited":
      return workerExited(state, event.data, own);
    case "progress":
      return progressed(state, event.data);
    case "validation":
      return { ...state, validation: { step: event.data.step, loss: event.data.loss } };
    case "checkpoint-published":
      return publish(state, event.data.checkpoint);
    case "checkpoint-promoted":
      return publish(state, event.data.checkpoint);
    case "checkpoint-quarantined":
      return quarantine(state, event.data.checkpoint);
    case "resume-chosen":
      return { ...state, resume: { checkpoint: event.data.checkpoint } };
    case "fault-injected":
      return struck(state, event.data);
    case "fault-detected":
      return detected(state, event.data);
    case "decided":
      return decided(state, event.data);
    case "recovered":
      return recovered(state, event.data);
    case "stop-intended":
      return onAttempt(state, (attempt) => ({ ...attempt, status: "stopping" }));
    case "attempt-ended":
      return {
        ...onAttempt(state, (attempt) => ({ ...attempt, status: "ended", outcome: event.data.outcome })),
        phase:
          event.data.outcome === "completed"
            ? "finishing"
            : state.phase === "interrupted"
              ? "interrupted"
              : "recovering",
      };
    case "completed":
      return onAttempt(state, (attempt) => ({ ...attempt, completed: event.data }));
    case "finish-intended":
      return { ...state, phase: "finishing", finishIntended: true };
    case "finish-refused":
      return {
        ...onAttempt(state, (attempt) => ({ ...attempt, outcome: "fault" })),
        phase: "recovering",
        finishIntended: false,
      };
    case "run-finished":
      return { ...state, phase: "finished", finished: event.data, undecided: undefined, plan: undefined };
    case "run-failed":
      return { ...state, phase: "failed", reasons: event.data.reasons, undecided: undefined, plan: undefined };
    case "noted":
      return { ...state, notes: [...state.notes, event.data].slice(-100) };
    case "blinded":
      return { ...state, blind: { ...state.blind, [event.data.view]: event.data.why } };
    case "sighted":
      return {
        ...state,
        blind: Object.fromEntries(Object.entries(state.blind).filter(([view]) => view !== event.data.view)),
      };
    default:
      return event satisfies never;
  }
}

function onAttempt(state: RunState, change: (attempt: Attempt) => Attempt): RunState {
  return state.attempt === undefined ? state : { ...state, attempt: change(state.attempt) };
}

/** The attempt with what a worker or agent said marked as counted. */
function counted({ attempt }: RunState, event: RunEvent): Attempt | undefined {
  const source = "source" in event.data ? event.data.source : null;
  if (source === null || attempt === undefined || event.epoch !== attempt.epoch) return attempt;
  const key = String(source.rank);
  const seq = Math.max(attempt.seen[key] ?? 0, source.seq);
  return { ...attempt, seen: { ...attempt.seen, [key]: seq } };
}

function resumed(state: RunState): RunState {
  return {
    ...state,
    phase: "recovering",
    reasons: [],
    evicted: [],
    poolsLeft: [],
    budgetFrom: state.faults.length,
    attemptsBudgetFrom: state.attempts,
    undecided: undefined,
    plan: undefined,
    recovering: [],
  };
}

function started(state: RunState, data: EventData["supervisor-started"]): RunState {
  const away = state.interruptedAt === undefined ? 0 : state.at - state.interruptedAt;
  return {
    ...state,
    supervisor: data,
    blind: {},
    interruptedSeconds: state.interruptedSeconds + away,
    interruptedAt: undefined,
    phase: state.phase === "interrupted" ? "recovering" : state.phase,
  };
}

function stopped(state: RunState, data: EventData["supervisor-stopped"]): RunState {
  const over = state.phase === "finished" || state.phase === "failed" || data.reason !== "signal";
  return over
    ? { ...state, supervisor: undefined }
    : { ...state, supervisor: undefined, phase: "interrupted", interruptedAt: state.at };
}

function intended(state: RunState, data: EventData["launch-intended"]): RunState {
  const step = data.resume?.step ?? 0;
  return {
    ...state,
    phase: "starting",
    attempts: state.attempts + 1,
    pool: data.pool,
    step,
    plan: undefined,
    finishIntended: false,
    resume: undefined,
    lostSteps: state.lostSteps + Math.max(0, state.step - step),
    attempt: {
      epoch: state.epoch,
      pool: data.pool,
      nodes: data.nodes,
      resume: data.resume,
      why: data.why,
      status: "intended",
      intendedAt: state.at,
      firstStepAt: undefined,
      step,
      agent: null,
      workers: [],
      seen: {},
      completed: undefined,
      outcome: undefined,
    },
    faults: state.faults.map((fault) =>
      state.recovering.includes(fault.id) && fault.recoverSeconds === null
        ? { ...fault, lostSteps: fault.lostSteps + Math.max(0, state.step - step) }
        : fault,
    ),
  };
}

function workerStarted(state: RunState, data: EventData["worker-started"], own: Own): RunState {
  return onAttempt(state, (attempt) => {
    const { rank, process } = data;
    const workers = ownWorkers(attempt, own);
    const worker: WorkerState = { rank, node: attempt.nodes[rank] ?? "?", process, exit: undefined };
    const place = placeOf(workers, rank);
    if (workers[place]?.rank === rank) workers[place] = worker;
    else workers.splice(place, 0, worker);
    return { ...attempt, workers };
  });
}

function workerExited(state: RunState, { rank, code, signal }: EventData["worker-exited"], own: Own): RunState {
  return onAttempt(state, (attempt) => {
    const workers = ownWorkers(attempt, own);
    const place = placeOf(workers, rank);
    const worker = workers[place];
    if (worker?.rank === rank) workers[place] = { ...worker, exit: { code, signal } };
    return { ...attempt, workers };
  });
}

function ownWorkers(attempt: Attempt, own: Own): WorkerState[] {
  if (own.workers === undefined || own.workers !== attempt.workers) own.workers = [...attempt.workers];
  return own.workers;
}

/** Where the rank is or belongs in workers sorted by rank. */
function placeOf(workers: readonly WorkerState[], rank: number): number {
  let low = 0;
  let high = workers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((workers[middle]?.rank ?? rank) < rank) low = middle + 1;
    else high = middle;
  }
  return low;
}

function progressed(state: RunState, data: EventData["progress"]): RunState {
  const fresh = Math.max(0, Math.min(data.steps, data.step - state.highestStep));
  const seconds = (data.seconds * fresh) / data.steps;
  const pool = state.pool ?? "";
  const poolProductiveSeconds = { ...state.poolProductiveSeconds };
  poolProductiveSeconds[pool] = (poolProductiveSeconds[pool] ?? 0) + seconds;
  return {
    ...onAttempt(state, (attempt) => ({ ...attempt, step: data.step, firstStepAt: attempt.firstStepAt ?? state.at })),
    phase: "training",
    step: data.step,
    highestStep: Math.max(state.highestStep, data.step),
    loss: data.loss,
    gradNorm: data.gradNorm,
    tokens: state.tokens + (data.tokens * fresh) / data.steps,
    tokensPerSecond: data.seconds > 0 ? data.tokens / data.seconds : null,
    stepSeconds: data.seconds / data.steps,
    productiveSeconds: state.productiveSeconds + seconds,
    poolProductiveSeconds,
  };
}

function publish(state: RunState, checkpoint: CheckpointRef): RunState {
  const newest = { ...state.newest, [checkpoint.tier]: checkpoint };
  return { ...state, newest, published: state.published || checkpoint.step > 0 };
}

function quarantine(state: RunState, checkpoint: CheckpointRef): RunState {
  const kept = state.newest[checkpoint.tier];
  const newest =
    kept !== undefined && kept.step === checkpoint.step
      ? { ...state.newest, [checkpoint.tier]: undefined }
      : state.newest;
  return { ...state, newest, quarantined: [...state.quarantined, checkpoint] };
}

function struck(state: RunState, data: EventData["fault-injected"]): RunState {
  const { fault, kind, rank, step } = data;
  const pool = state.attempt?.pool ?? "";
  const strike = { fault, kind, rank, step, pool, epoch: state.epoch, at: state.at, detectedAs: undefined };
  return { ...state, strikes: [...state.strikes, strike] };
}

function detected(state: RunState, data: EventData["fault-detected"]): RunState {
  const index = injectionOf(state, data);
  const strike = index === undefined ? undefined : state.strikes[index];
  const fault: Fault = {
    id: data.id,
    detected: data,
    epoch: state.epoch,
    pool: state.attempt?.pool ?? state.pool ?? "",
    at: state.at,
    highestStep: state.highestStep,
    decision: undefined,
    recoverSeconds: data.retried ? (data.recoverSeconds ?? 0) : null,
    lostSteps: 0,
    injection: strike?.fault,
  };
  return {
    ...state,
    faults: [...state.faults, fault],
    strikes:
      index === undefined
        ? state.strikes
        : state.strikes.map((other, place) => (place === index ? { ...other, detectedAs: data.id } : other)),
    undecided: data.retried ? state.undecided : data.id,
  };
}

function decided(state: RunState, decision: EventData["decided"]): RunState {
  const { action } = decision;
  const faults = state.faults.map((fault) => (fault.id === decision.fault ? { ...fault, decision } : fault));
  const base = { ...state, faults, undecided: undefined };
  if (action === "none" || action === "retry") return base;
  const leaves = state.pool !== undefined && decision.pool !== state.pool;
  return {
    ...base,
    plan: decision,
    phase: "recovering",
    recovering: [...state.recovering, decision.fault],
    evicted: decision.evicted === null ? state.evicted : [...state.evicted, decision.evicted],
    poolsLeft: leaves && state.pool !== undefined ? [...state.poolsLeft, state.pool] : state.poolsLeft,
    failovers: state.failovers + (leaves ? 1 : 0),
    pool: decision.pool,
  };
}

function recovered(state: RunState, data: EventData["recovered"]): RunState {
  return {
    ...state,
    recovering: state.recovering.filter((id) => id !== data.fault),
    faults: state.faults.map((fault) =>
      fault.id === data.fault ? { ...fault, recoverSeconds: data.recoverSeconds, lostSteps: data.lostSteps } : fault,
    ),
  };
}
