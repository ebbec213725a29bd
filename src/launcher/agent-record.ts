/**
 * What an agent is told (`launch.json`) and what it records (`agent.jsonl`), so that any later supervisor can take over.
 * Knows: both files' schemas. Does not know: the supervisor, the launcher, what workers do.
 */
import * as z from "zod";
import { NotedDevice } from "../spec/device-finding.ts";
import { ProgramAdapter, ProgramCheckpointFormat } from "../spec/program.ts";

const path = z.string().min(1).max(4096);

export const AgentOrder = z.strictObject({
  v: z.literal(1),
  run: z.string().min(1).max(200),
  epoch: z.int().positive(),
  /** Holds the newest epoch; an agent of an older one starts nothing. */
  epochFile: path,
  records: path,
  graceSeconds: z.number().positive(),
  workers: z.array(
    z.strictObject({
      rank: z.int().nonnegative(),
      command: z.array(z.string()).min(1),
      env: z.record(z.string(), z.string()),
      /** stdout and stderr together; of a program stdout alone. */
      log: path,
      /** A program's stderr, and the file that it may write events to. */
      errors: path.optional(),
      told: path.optional(),
      /** Where the agent writes what it understood of a program. */
      events: path.optional(),
    }),
  ),
  /** Set for somebody's own program: how it is watched. */
  program: z
    .strictObject({
      cwd: path,
      /** Attempt's folder; it marks the environment of everything that the program starts. */
      mark: path,
      adapter: ProgramAdapter,
      steps: z.int().nonnegative(),
      step: z.int().nonnegative(),
      checkpoint: z.strictObject({ dir: path, format: ProgramCheckpointFormat }).nullable(),
      /** Seconds between two looks at the host's devices; 0 or absent (in orders of earlier versions): none. */
      telemetrySeconds: z.number().nonnegative().optional(),
    })
    .optional(),
});
export type AgentOrder = z.infer<typeof AgentOrder>;

const header = {
  v: z.literal(1),
  epoch: z.int().positive(),
  /** From 1, without gaps. */
  seq: z.int().positive(),
  monotonicSeconds: z.number().nonnegative(),
};
const rank = z.int().nonnegative();
const process = { pid: z.int().positive(), startTicks: z.int().nonnegative() };

export const AgentRecord = z.discriminatedUnion("ev", [
  z.strictObject({ ...header, ev: z.literal("agent"), ...process }),
  z.strictObject({ ...header, ev: z.literal("spawned"), rank, ...process }),
  z.strictObject({ ...header, ev: z.literal("spawn-failed"), rank, why: z.string().max(2000) }),
  z.strictObject({
    ...header,
    ev: z.literal("exited"),
    rank,
    code: z.int().nullable(),
    signal: z.string().max(40).nullable(),
    /** Of a program: it ended with 0 and nothing says that it ended too early. */
    finished: z.boolean().optional(),
  }),
  /** Something odd about what a program says; `count` of how many so far. */
  z.strictObject({
    ...header,
    ev: z.literal("noted"),
    rank: rank.nullable(),
    what: z.string().min(1).max(200),
    count: z.int().positive(),
    detail: z.string().max(2000),
    /** Set where it is about a device and not about the program. */
    device: NotedDevice.optional(),
  }),
  /**
   * The last record: nothing that the agent started lives. `fenced`: a newer epoch exists, nothing was started; `finished`: a
   * program's ranks all ended with 0 and have done their steps.
   */
  z.strictObject({
    ...header,
    ev: z.literal("ended"),
    reason: z.enum(["all-exited", "stopped", "fenced", "finished"]),
  }),
]);
export type AgentRecord = z.infer<typeof AgentRecord>;
