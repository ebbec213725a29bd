/**
 * What `train --json`, `status --json` and every rendering show of a run's state.
 * Knows: the documents that others depend on. Does not know: how the state came about, whether a process is alive.
 */
import type { Platform } from "../spec/vocabulary.ts";
import type { ProcessRef } from "./event.ts";
import type { RunState } from "./state.ts";

/** One fault as the documents show it; an injected one that never struck has `fired: false` and nothing else to tell. */
export interface FaultReport {
  /** `<n>` of a detected fault, `injected:<pool>/<index>` of one that was not detected. */
  readonly id: string;
  /** Of an injected fault kind, rank and step are those of the injection (`crash`); else what was detected (`process-signal`). */
  readonly kind: string;
  readonly detectedKind: string | null;
  readonly category: string | null;
  readonly scope: string | null;
  readonly rank: number | null;
  readonly node: string | null;
  readonly pool: string;
  readonly step: number | null;
  readonly epoch: number | null;
  readonly detectedBy: string | null;
  readonly detectSeconds: number | null;
  readonly recoverSeconds: number | null;
  readonly lostSteps: number;
  /** What was done; `retry` when the workers mended it. */
  readonly action: string | null;
  readonly fired: boolean;
  readonly injected: boolean;
  readonly evidence: readonly string[];
  readonly why: string;
}

/** Detected faults in order, then injected ones that struck unseen, then those that never struck. */
export function faultReports(state: RunState): FaultReport[] {
  const strikes = new Map(state.strikes.map((strike) => [strike.detectedAs, strike]));
  const detected = state.faults.map((fault): FaultReport => {
    const { detected: found, decision } = fault;
    const strike = strikes.get(fault.id);
    return {
      id: String(fault.id),
      kind: strike?.kind ?? found.kind,
      detectedKind: found.kind,
      category: found.category,
      scope: found.scope,
      rank: strike?.rank ?? found.rank,
      node: found.node,
      pool: fault.pool,
      step: strike?.step ?? found.step,
      epoch: fault.epoch,
      detectedBy: found.detectedBy,
      detectSeconds: found.detectSeconds,
      recoverSeconds: fault.recoverSeconds,
      lostSteps: fault.lostSteps,
      action: found.retried ? "retry" : (decision?.action ?? null),
      fired: true,
      injected: fault.injection !== undefined,
      evidence: [...found.evidence, ...(decision?.evidence ?? [])],
      why: decision === undefined ? found.why : `${found.why}; ${decision.why}`,
    };
  });
  const unseen = state.strikes
    .filter((strike) => strike.detectedAs === undefined)
    .map((strike) => {
      const cause = state.faults.find(
        (fault) => fault.epoch === strike.epoch && fault.at >= strike.at && !fault.detected.retried,
      );
      const why = cause
        ? `struck, but fault ${cause.id} ended the attempt before it could show`
        : "struck, and nothing came of it: what it spoilt was replaced before anything read it";
      return undetected({ ...strike, fired: true, why });
    });
  const struck = new Set(state.strikes.map((strike) => strike.fault));
  const silent = (state.created?.injections ?? [])
    .filter((injection) => !struck.has(injection.fault))
    .map((injection) => undetected({ ...injection, epoch: null, fired: false, why: "has not struck" }));
  return [...detected, ...unseen, ...silent];
}

function undetected(injection: {
  fault: string;
  kind: string;
  rank: number;
  pool: string;
  step: number | null;
  epoch: number | null;
  fired: boolean;
  why: string;
}): FaultReport {
  const { fault, kind, rank, pool, step, epoch, fired, why } = injection;
  const none = { detectedKind: null, category: null, scope: null, node: null, detectedBy: null, detectSeconds: null };
  const rest = { recoverSeconds: null, lostSteps: 0, action: null, injected: true, evidence: [] };
  return { id: `injected:${fault}`, kind, rank, pool, step, epoch, fired, why, ...none, ...rest };
}

/**
 * Effective training time ratio: productive seconds over wall seconds since the run was created, without the time for
 * which a person had stopped it; null before anything was productive. `at` (Unix seconds) defaults to the last event.
 */
export function ettr(state: RunState, at: number = state.at): number | null {
  const wall = Math.max(at, state.at) - state.createdAt - state.interruptedSeconds;
  if (state.productiveSeconds === 0 || wall <= 0) return null;
  return Math.min(1, state.productiveSeconds / wall);
}

export interface WorkerReport {
  readonly pid: number;
  readonly startTicks: number;
  readonly rank: number;
  readonly node: string;
  readonly pool: string;
}

/** Workers that have not been seen to exit; whether they live now is for the caller to check. */
export function workers(state: RunState): WorkerReport[] {
  const { attempt } = state;
  if (attempt === undefined || attempt.status === "ended") return [];
  return attempt.workers
    .filter((worker) => worker.exit === undefined)
    .map(({ rank, node, process }) => ({ ...process, rank, node, pool: attempt.pool }));
}

export interface NoteReport {
  /** `nvidia 3`; null where it is about the program. */
  readonly device: string | null;
  readonly rank: number | null;
  readonly what: string;
  /** How often so far. */
  readonly count: number;
  readonly detail: string;
}

/** Lines that a person looks through. */
const notesMax = 20;

function noteReports(state: RunState): NoteReport[] {
  const byKey = new Map<string, NoteReport>();
  for (const { rank, what, count, detail, device } of state.notes) {
    const key = `${device?.name} ${rank} ${what}`;
    byKey.delete(key);
    byKey.set(key, { device: device?.name ?? null, rank, what, count, detail });
  }
  return [...byKey.values()].slice(-notesMax);
}

export interface StatusDocument {
  readonly state: RunState["phase"];
  readonly run: string;
  readonly attempt: number;
  readonly epoch: number;
  readonly pool: string | null;
  readonly platform: Platform | null;
  readonly emulated: boolean;
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly ettr: number | null;
  readonly lostSteps: number;
  readonly failovers: number;
  readonly supervisor: ProcessRef | null;
  readonly workers: readonly WorkerReport[];
  readonly faults: readonly FaultReport[];
  readonly blind: Readonly<Record<string, string>>;
  /** The last word on each odd thing about the program or a device, newest last. */
  readonly notes: readonly NoteReport[];
  readonly checkpoint: string | null;
  readonly reasons: readonly string[];
}

/** `status --json`; the caller drops a supervisor and workers that no longer live. */
export function statusDocument(state: RunState, at?: number): StatusDocument {
  const pool = state.created?.pools.find(({ name }) => name === state.pool);
  return {
    state: state.phase,
    run: state.created?.name ?? "",
    attempt: state.attempts,
    epoch: state.epoch,
    pool: state.pool ?? null,
    platform: pool?.platform ?? null,
    emulated: pool?.emulated ?? false,
    step: state.step,
    steps: state.created?.steps ?? 0,
    loss: state.loss,
    ettr: ettr(state, at),
    lostSteps: state.lostSteps,
    failovers: state.failovers,
    supervisor: state.supervisor?.process ?? null,
    workers: workers(state),
    faults: faultReports(state),
    blind: state.blind,
    notes: noteReports(state),
    checkpoint: state.finished?.checkpoint?.path ?? newestCheckpoint(state),
    reasons: state.reasons,
  };
}

export interface TrainDocument {
  readonly state: RunState["phase"];
  readonly run: string;
  readonly steps: number;
  readonly attempts: number;
  readonly failovers: number;
  readonly lostSteps: number;
  readonly ettr: number | null;
  readonly pool: string | null;
  readonly faults: readonly FaultReport[];
  readonly finalLoss: number | null;
  readonly validationLoss: number | null;
  readonly checkpoint: string | null;
  readonly weightsSha256: string | null;
  readonly reasons: readonly string[];
}

/** `train --json`. */
export function trainDocument(state: RunState): TrainDocument {
  return {
    state: state.phase,
    run: state.created?.name ?? "",
    steps: state.step,
    attempts: state.attempts,
    failovers: state.failovers,
    lostSteps: state.lostSteps,
    ettr: ettr(state),
    pool: state.pool ?? null,
    faults: faultReports(state),
    finalLoss: state.finished?.finalLoss ?? null,
    validationLoss: state.validation?.loss ?? null,
    checkpoint: state.finished?.checkpoint?.path ?? newestCheckpoint(state),
    weightsSha256: state.finished?.weightsSha256 ?? null,
    reasons: state.reasons,
  };
}

function newestCheckpoint(state: RunState): string | null {
  const { memory, disk } = state.newest;
  if (memory === undefined) return disk?.path ?? null;
  return disk !== undefined && disk.step >= memory.step ? disk.path : memory.path;
}
