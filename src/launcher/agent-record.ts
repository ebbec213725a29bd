/**
 * What an agent is told (`launch.json`) and what it records (`agent.jsonl`), so that any later supervisor can take over.
 * Knows: both files' schemas. Does not know: the supervisor, the launcher, what workers do.
 */
import * as z from "zod";

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
      /** stdout and stderr together. */
      log: path,
    }),
  ),
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
  }),
  /** The last record: nothing that the agent started lives. `fenced`: a newer epoch exists, nothing was started. */
  z.strictObject({ ...header, ev: z.literal("ended"), reason: z.enum(["all-exited", "stopped", "fenced"]) }),
]);
export type AgentRecord = z.infer<typeof AgentRecord>;
