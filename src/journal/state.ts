/**
 * What is known of a run once its events are added up.
 * Knows: the shape of the state and how it starts. Does not know: how an event changes it (reduce), what is shown of it (select).
 */
import type { CheckpointRef, Decision, EventData, Outcome, ProcessRef } from "./event.ts";

/** `new` before the first event; `interrupted` when a person stopped it: the same command goes on. */
export type RunPhase =
  | "new"
  | "created"
  | "starting"
  | "training"
  | "recovering"
  | "finishing"
  | "interrupted"
  | "finished"
  | "failed";

export interface WorkerState {
  readonly rank: number;
  readonly node: string;
  readonly process: ProcessRef;
  readonly exit: { readonly code: number | null; readonly signal: string | null } | undefined;
}

export interface Attempt {
  readonly epoch: number;
  readonly pool: string;
  /** Node of each rank. */
  readonly nodes: readonly string[];
  readonly resume: CheckpointRef | null;
  readonly why: string;
  /** `intended`: nobody knows yet whether it started. */
  readonly status: "intended" | "running" | "stopping" | "ended";
  readonly intendedAt: number;
  readonly firstStepAt: number | undefined;
  /** Newest step completed in or before this attempt. */
  readonly step: number;
  readonly agent: ProcessRef | null;
  readonly workers: readonly WorkerState[];
  /** Highest `source.seq` counted of each rank. */
  readonly seen: Readonly<Record<string, number>>;
  readonly completed: EventData["completed"] | undefined;
  readonly outcome: Outcome | undefined;
}

export interface Fault {
  readonly id: number;
  readonly detected: EventData["fault-detected"];
  readonly epoch: number;
  readonly pool: string;
  readonly at: number;
  /** Highest step ever completed when it was detected: an equal number at the next fault means no progress between. */
  readonly highestStep: number;
  readonly decision: Decision | undefined;
  readonly recoverSeconds: number | null;
  readonly lostSteps: number;
  /** The injection that brought it about, as `<pool>/<index>`. */
  readonly injection: string | undefined;
}

/** An injected fault that said that it strikes. */
export interface Strike {
  readonly fault: string;
  readonly kind: string;
  readonly rank: number;
  readonly step: number;
  readonly pool: string;
  readonly epoch: number;
  readonly at: number;
  /** The detected fault that it explains. */
  readonly detectedAs: number | undefined;
}

export interface RunState {
  readonly seq: number;
  readonly at: number;
  readonly createdAt: number;
  readonly created: EventData["run-created"] | undefined;
  readonly phase: RunPhase;
  readonly epoch: number;
  readonly pool: string | undefined;
  /** Launches that were intended. */
  readonly attempts: number;
  readonly attempt: Attempt | undefined;
  readonly step: number;
  readonly highestStep: number;
  readonly loss: number | null;
  readonly gradNorm: number | null;
  readonly tokens: number;
  /** Of the newest progress event. */
  readonly tokensPerSecond: number | null;
  readonly stepSeconds: number | null;
  /** Wall time of steps, each counted when it was first completed; a step computed again is not productive. */
  readonly productiveSeconds: number;
  readonly poolProductiveSeconds: Readonly<Record<string, number>>;
  /** Time between a person's stop and the next start, which is nobody's fault. */
  readonly interruptedSeconds: number;
  readonly interruptedAt: number | undefined;
  readonly lostSteps: number;
  readonly failovers: number;
  /** Nodes no longer used. */
  readonly evicted: readonly string[];
  /** Pools that the run has left. */
  readonly poolsLeft: readonly string[];
  readonly faults: readonly Fault[];
  readonly strikes: readonly Strike[];
  /** First fault that counts against budgets (a person's second try starts anew). */
  readonly budgetFrom: number;
  readonly attemptsBudgetFrom: number;
  /** A fault that nobody has decided about. */
  readonly undecided: number | undefined;
  /** Decided, and the next attempt has not been intended yet. */
  readonly plan: Decision | undefined;
  /** Faults that wait for training to go on. */
  readonly recovering: readonly number[];
  readonly finishIntended: boolean;
  readonly resume: { readonly checkpoint: CheckpointRef | null } | undefined;
  /** A checkpoint of at least step 1 was published at some time. */
  readonly published: boolean;
  readonly newest: { readonly memory: CheckpointRef | undefined; readonly disk: CheckpointRef | undefined };
  readonly quarantined: readonly CheckpointRef[];
  readonly validation: { readonly step: number; readonly loss: number } | undefined;
  readonly supervisor: EventData["supervisor-started"] | undefined;
  /** The last odd things about what a program says. */
  readonly notes: readonly EventData["noted"][];
  readonly blind: Readonly<Record<string, string>>;
  readonly finished: EventData["run-finished"] | undefined;
  readonly reasons: readonly string[];
}

export const initialState: RunState = {
  seq: 0,
  at: 0,
  createdAt: 0,
  created: undefined,
  phase: "new",
  epoch: 0,
  pool: undefined,
  attempts: 0,
  attempt: undefined,
  step: 0,
  highestStep: 0,
  loss: null,
  gradNorm: null,
  tokens: 0,
  tokensPerSecond: null,
  stepSeconds: null,
  productiveSeconds: 0,
  poolProductiveSeconds: {},
  interruptedSeconds: 0,
  interruptedAt: undefined,
  lostSteps: 0,
  failovers: 0,
  evicted: [],
  poolsLeft: [],
  faults: [],
  strikes: [],
  budgetFrom: 0,
  attemptsBudgetFrom: 0,
  undecided: undefined,
  plan: undefined,
  recovering: [],
  finishIntended: false,
  resume: undefined,
  published: false,
  newest: { memory: undefined, disk: undefined },
  quarantined: [],
  validation: undefined,
  supervisor: undefined,
  notes: [],
  blind: {},
  finished: undefined,
  reasons: [],
};
