/**
 * What a worker of the embedded engine is told, as a JSON file named by `DUALGAUGE_WORKER_SPEC`; everything else comes by
 * torchelastic's environment (RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_RUN_ID, …).
 * Knows: the run file's parts that a worker needs, and the folders. Does not know: other attempts.
 */
import * as z from "zod";
import { DeepseekConfig } from "./deepseek-config.ts";
import { Emulation } from "./emulation.ts";
import { DataSource, Failover, Train } from "./run-file.ts";

const path = z.string().min(1).max(4096);

export const WorkerSpec = z.strictObject({
  v: z.literal(1),
  run: z.string().min(1),
  epoch: z.int().positive(),
  pool: z.string().min(1),
  model: DeepseekConfig,
  /** `files` and `tokenizer` are absolute paths here. */
  data: DataSource,
  train: Train,
  emulate: Emulation,
  failover: Failover,
  folders: z.strictObject({
    /** Memory-backed storage: every completed step. */
    memory: path,
    /** Disk: every `checkpointEvery` steps and the last. */
    disk: path,
    /** Compiled graphs, shared by attempts. */
    cache: path,
    /** Holds the newest epoch in decimal; a worker of an older one does not publish (exit `fenced`). */
    epochFile: path,
  }),
  /** The checkpoint to start from; null starts at step 0 from the seed. */
  resume: z.strictObject({ path, step: z.int().nonnegative() }).nullable(),
  /** How often each fault of this pool (`<pool>/<index>`) has struck already. */
  struck: z.record(z.string(), z.int().nonnegative()),
});
export type WorkerSpec = z.infer<typeof WorkerSpec>;
