/**
 * The events of a run: the only truth about it, one line of `journal.jsonl` each.
 * Knows: every event type, its version and its data. Does not know: files, clocks, what an event does to the state (reduce).
 * Events that carry `source` stem from a worker or its agent; (epoch, rank, seq) is counted once, however often it is read.
 */
import * as z from "zod";
import { NotedDevice } from "../spec/device-finding.ts";
import { FaultAction, FaultCategory, FaultKind, FaultScope, Platform } from "../spec/vocabulary.ts";

const text = z.string().max(4000);
const name = z.string().min(1).max(200);
const path = z.string().min(1).max(4096);
const count = z.int().nonnegative();
const duration = z.number().nonnegative();
const pid = z.int().positive();

/** Rank of an agent's own records in `source.rank`, where workers count from 0. */
export const agentRank = -1;
export const Source = z.strictObject({ rank: z.int().min(agentRank), seq: z.int().positive() });
export type Source = z.infer<typeof Source>;

export const Tier = z.enum(["memory", "disk"]);
export type Tier = z.infer<typeof Tier>;
export const CheckpointRef = z.strictObject({ path, step: count, tier: Tier });
export type CheckpointRef = z.infer<typeof CheckpointRef>;

/** A process that cannot be mistaken for a later one with the same number: `startTicks` is field 22 of /proc/<pid>/stat. */
export const ProcessRef = z.strictObject({ pid, startTicks: count });
export type ProcessRef = z.infer<typeof ProcessRef>;

export const Outcome = z.enum(["completed", "fault", "stopped", "never-started"]);
export type Outcome = z.infer<typeof Outcome>;

const evidence = z.array(text).max(50);
/** What is to be done about a fault, in full: nodes are listed by rank. */
const Decision = z.strictObject({
  fault: count,
  action: FaultAction,
  pool: name,
  nodes: z.array(name).max(100_000),
  evicted: name.nullable(),
  /** Resume before this step, because what was published from it on is distrusted. */
  beforeStep: z.int().positive().nullable(),
  /** The run ends here: a person is asked, or a ceiling is reached. */
  fails: z.boolean(),
  why: text,
  evidence,
});
export type Decision = z.infer<typeof Decision>;

/** The root cause that `dualgauge diagnose` names; `line` counts within the last lines of the rank. */
const LogCause = z.strictObject({
  code: name,
  category: FaultCategory,
  action: FaultAction,
  rank: count.nullable(),
  why: text,
  evidence: z.array(z.strictObject({ file: name, line: z.int().positive(), text })).max(20),
});
export type LogCause = z.infer<typeof LogCause>;

const data = {
  "run-created": z.strictObject({
    name,
    /** SHA-256 of the parsed run file in canonical form. */
    identity: z.string().min(1).max(128),
    /** 0: a program that does not say beforehand how many it takes. */
    steps: count,
    pools: z.array(
      z.strictObject({ name, platform: Platform, emulated: z.boolean(), workers: z.int().positive(), spares: count }),
    ),
    /** Pools in the order in which the run may use them. */
    order: z.array(name).min(1),
    /** Faults that the run file injects; `fault` is `<pool>/<index>`. */
    injections: z.array(z.strictObject({ fault: name, pool: name, kind: name, rank: count, step: count.nullable() })),
    /** Where the memory tier lies, and whether that is memory (false: a disk folder stands in for it). */
    memoryFolder: path,
    /** Folder from which relative paths in the run file start. */
    folder: path,
    memoryBacked: z.boolean(),
  }),
  /** A failed run is tried again by a person: budgets start anew. */
  "run-resumed": z.strictObject({ why: text }),
  "supervisor-started": z.strictObject({ process: ProcessRef, host: name, version: name }),
  "supervisor-stopped": z.strictObject({
    /** `detached`: the workers go on without it. */
    reason: z.enum(["signal", "ended", "detached"]),
    signal: name.nullable(),
  }),
  /** Intent: the envelope's epoch is the new attempt's, one above the last. */
  "launch-intended": z.strictObject({
    pool: name,
    nodes: z.array(name).max(100_000),
    resume: CheckpointRef.nullable(),
    why: text,
  }),
  launched: z.strictObject({ agent: ProcessRef.nullable(), adopted: z.boolean() }),
  adopted: z.strictObject({ agent: ProcessRef.nullable() }),
  "worker-started": z.strictObject({ rank: count, process: ProcessRef, source: Source }),
  "worker-exited": z.strictObject({
    rank: count,
    code: z.int().nullable(),
    signal: z.string().max(40).nullable(),
    source: Source,
  }),
  /** The newest completed step, and the sums over all `steps` completed since the last such event. */
  progress: z.strictObject({
    step: z.int().positive(),
    steps: z.int().positive(),
    seconds: duration,
    tokens: duration,
    loss: z.number().nullable(),
    gradNorm: z.number().nullable(),
    source: Source,
  }),
  validation: z.strictObject({ step: count, loss: z.number(), source: Source }),
  "checkpoint-published": z.strictObject({ checkpoint: CheckpointRef, seconds: duration, source: Source }),
  "checkpoint-quarantined": z.strictObject({ checkpoint: CheckpointRef, to: path, why: text }),
  "checkpoint-promoted": z.strictObject({ from: path, checkpoint: CheckpointRef }),
  /** From what the next attempt starts; null is step 0, which is legal only while nothing was ever published. */
  "resume-chosen": z.strictObject({ checkpoint: CheckpointRef.nullable() }),
  "fault-injected": z.strictObject({ fault: name, kind: name, rank: count, step: count, source: Source }),
  "fault-detected": z.strictObject({
    id: count,
    kind: FaultKind,
    category: FaultCategory,
    scope: FaultScope,
    /** What the kind of fault alone suggests; `decided` says what is done. */
    advice: FaultAction,
    rank: count.nullable(),
    peer: count.nullable(),
    node: name.nullable(),
    /** What two faults must share to count as the same again. */
    root: name,
    step: count,
    detectedBy: name,
    detectSeconds: duration.nullable(),
    /** The worker mended it and goes on; nothing is left to decide. */
    retried: z.boolean(),
    recoverSeconds: duration.nullable(),
    why: text,
    evidence,
    source: Source.nullable(),
    /** What the last lines of all ranks say, where they say anything; absent in journals before it was kept. */
    diagnosis: LogCause.optional(),
  }),
  decided: Decision,
  /** Training goes on after a fault; seconds from its detection to the first step completed after it. */
  recovered: z.strictObject({ fault: count, recoverSeconds: duration, lostSteps: count }),
  "stop-intended": z.strictObject({ why: text }),
  "attempt-ended": z.strictObject({ outcome: Outcome, why: text }),
  /** Rank 0 has completed the last step; for a program: all ranks have ended with 0. */
  completed: z.strictObject({
    step: count,
    loss: z.number().nullable(),
    weightsSha256: z.string().max(128).nullable(),
    source: Source,
  }),
  "finish-intended": z.strictObject({ step: count }),
  /** The last checkpoint does not hold what it should: the steps after the one before it are trained again. */
  "finish-refused": z.strictObject({ step: z.int().positive(), why: text }),
  "run-finished": z.strictObject({
    /** null: a program without a checkpoint that dualgauge can read; so is the hash of any program's weights. */
    checkpoint: CheckpointRef.nullable(),
    finalLoss: z.number().nullable(),
    weightsSha256: z.string().max(128).nullable(),
  }),
  "run-failed": z.strictObject({ reasons: z.array(text).min(1).max(100), checkpoint: CheckpointRef.nullable() }),
  /** Something odd about what a program says, or about a device, for a person to see; by itself nothing is done about it. `count` of how many so far. */
  noted: z.strictObject({
    rank: count.nullable(),
    what: name,
    count: z.int().positive(),
    detail: text,
    /** Set where it is about a device and not about the program; absent in journals before devices were looked at. */
    device: NotedDevice.optional(),
    source: Source,
  }),
  /** A source could not be read: nothing is concluded from its silence until `sighted`. */
  blinded: z.strictObject({ view: name, why: text }),
  sighted: z.strictObject({ view: name }),
} as const;

export type EventType = keyof typeof data;
export type EventData = { [T in EventType]: z.infer<(typeof data)[T]> };
/** An event before the journal has numbered and dated it. */
export type EventDraft = { [T in EventType]: { readonly type: T; readonly data: EventData[T] } }[EventType];
export type RunEvent = EventDraft & {
  /** From 1, without gaps. */
  readonly seq: number;
  /** Unix seconds; wall time when the supervisor started plus monotonic time since, so it never falls. */
  readonly at: number;
  readonly run: string;
  readonly epoch: number;
  readonly v: 1;
};

const envelope = {
  seq: z.int().positive(),
  at: z.number().nonnegative(),
  run: name,
  epoch: count,
  v: z.literal(1),
};

const event = <T extends EventType>(type: T) =>
  z.strictObject({ ...envelope, type: z.literal(type), data: data[type] });
const types = Object.keys(data) as EventType[];
const schema = new Map<string, z.ZodType>(types.map((type) => [type, event(type)]));

export const eventTypes: readonly EventType[] = types;

/** The intents: durable before they are acted on, so that a crash in between is seen by whoever comes next. */
export const intentTypes: ReadonlySet<EventType> = new Set<EventType>([
  "run-created",
  "launch-intended",
  "stop-intended",
  "decided",
  "finish-intended",
  "run-finished",
  "run-failed",
  "supervisor-stopped",
]);

/** The event that `value` is, or why it is none (unknown type, unknown version, wrong data). */
export function parseEvent(value: unknown): { event: RunEvent } | { problem: string } {
  if (typeof value !== "object" || value === null || !("type" in value) || typeof value.type !== "string") {
    return { problem: "is no event" };
  }
  const known = schema.get(value.type);
  if (known === undefined) return { problem: `unknown event type ${value.type.slice(0, 60)}` };
  if ("v" in value && value.v !== 1) return { problem: `${value.type}: unknown version ${String(value.v)}` };
  const result = known.safeParse(value);
  if (result.success) return { event: result.data as RunEvent };
  const issue = result.error.issues[0];
  return { problem: `${value.type}: ${issue?.path.join(".") ?? ""} ${issue?.message ?? "is wrong"}` };
}
