/**
 * What a worker says of itself: JSON lines on `DUALGAUGE_EVENTS`, one object a line.
 * Knows: the opt-in half of the worker protocol. Does not know: how lines travel or who reads them.
 * Readers drop events of an older epoch and a `seq` seen before; a writer counts `seq` from 1 in each process.
 */
import * as z from "zod";
import { FaultKind } from "./vocabulary.ts";

const header = {
  v: z.literal(1),
  run: z.string().min(1).max(200),
  epoch: z.int().nonnegative(),
  rank: z.int().nonnegative().max(1_000_000),
  seq: z.int().positive(),
  /** CLOCK_MONOTONIC of the worker's host; compared only with times of the same host and boot. */
  monotonicSeconds: z.number().nonnegative().optional(),
};
const step = z.int().nonnegative();
const duration = z.number().nonnegative();

/** What the rank is doing; `reduce` waits for others, so a silent rank in any other phase is the one to look at. */
export const WorkerPhase = z.enum([
  "start",
  "load",
  "compile",
  "compute",
  "reduce",
  "update",
  "validate",
  "save",
  "idle",
]);
export type WorkerPhase = z.infer<typeof WorkerPhase>;

export const LinkReading = z.strictObject({
  peer: z.int().nonnegative(),
  bytes: z.number().nonnegative(),
  seconds: duration,
});
export type LinkReading = z.infer<typeof LinkReading>;

export const WorkerEvent = z.discriminatedUnion("ev", [
  z.strictObject({
    ...header,
    ev: z.literal("hello"),
    pid: z.int().positive(),
    platform: z.string().max(200).optional(),
  }),
  z.strictObject({
    ...header,
    ev: z.literal("heartbeat"),
    phase: WorkerPhase,
    step,
    /** The rank whose bytes are awaited, in phase `reduce`. */
    waitingFor: z.int().nonnegative().optional(),
  }),
  z.strictObject({ ...header, ev: z.literal("phase"), phase: WorkerPhase, step }),
  z.strictObject({
    ...header,
    ev: z.literal("step"),
    /** The step completed, from 1. */
    step,
    /** Mean next-token cross entropy of the global batch in nats; absent when the program does not say. */
    loss: z.number().optional(),
    gradNorm: z.number().optional(),
    /** Wall time of the step. */
    seconds: duration,
    /** Tokens of the global batch. */
    tokens: z.number().nonnegative().optional(),
    /** This rank's own forward and backward time, without waiting. */
    computeSeconds: duration.optional(),
    reduceSeconds: duration.optional(),
    /** How long checkpointing stopped this step. */
    stallSeconds: duration.optional(),
    links: z.array(LinkReading).max(1024).optional(),
  }),
  z.strictObject({ ...header, ev: z.literal("validation"), step, loss: z.number() }),
  z.strictObject({
    ...header,
    ev: z.literal("checkpoint"),
    step,
    tier: z.enum(["memory", "disk"]),
    path: z.string().min(1).max(4096),
    seconds: duration,
    bytes: z.number().nonnegative().optional(),
  }),
  z.strictObject({
    ...header,
    ev: z.literal("fault"),
    kind: FaultKind,
    step,
    /** The other end of a link, or the rank that is to blame when it is not the speaker. */
    peer: z.int().nonnegative().optional(),
    detail: z.string().max(2000),
    /** True when the worker mended it itself (resent, recomputed) and goes on. */
    retried: z.boolean().default(false),
    /** From the fault to its detection, where the worker knows. */
    detectSeconds: duration.optional(),
    recoverSeconds: duration.optional(),
  }),
  z.strictObject({
    ...header,
    ev: z.literal("injected"),
    /** `<pool>/<index in emulate.faults>`: said, and on disk, before the fault strikes. */
    fault: z.string().min(1).max(200),
    kind: z.string().max(40),
    step,
  }),
  z.strictObject({
    ...header,
    ev: z.literal("bye"),
    reason: z.enum(["finished", "stopped", "failed"]),
    step,
    /** With `finished`, from rank 0: SHA-256 over the final weights (checkpoint/weights-digest). */
    weightsSha256: z.string().optional(),
    loss: z.number().optional(),
    checkpoint: z.string().optional(),
  }),
]);
export type WorkerEvent = z.infer<typeof WorkerEvent>;

/** How a worker of the embedded engine ends, besides 0 and signals; sysexits.h and, above 80, our own. */
export const workerExitCode = {
  badInput: 2,
  /** A link to another rank broke or fell silent; the other end is named in a `fault` event. */
  linkLost: 75,
  /** Asked to stop by SIGTERM; state is in the memory tier. */
  stopped: 80,
  /** The checkpoint it was told to load does not verify. */
  corruptCheckpoint: 81,
  /** The platform does not have an operator or number format that the run needs. */
  unsupported: 82,
  /** NaN or Inf again after the step was computed anew. */
  numerics: 83,
  /** A newer epoch exists: this worker is a zombie and must not write. */
  fenced: 84,
  /** Storage is full, and so is the tier below. */
  noSpace: 85,
} as const;
