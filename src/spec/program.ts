/**
 * `program` of `run.yaml`: a training program that is started as it is, instead of the embedded engine.
 * Knows: keys and defaults. Does not know: how its lines are read (program/), how it is started (launcher).
 */
import * as z from "zod";

/** Whose log lines the program prints. */
export const ProgramAdapter = z.enum(["megatron", "mindspeed", "torchtitan", "deepspeed", "plain"]);
export type ProgramAdapter = z.infer<typeof ProgramAdapter>;

/** How its checkpoint directory is laid out; `torch` is one `torch.save` file per step. */
export const ProgramCheckpointFormat = z.enum(["megatron", "dcp", "deepspeed", "hf", "torch", "dualgauge"]);
export type ProgramCheckpointFormat = z.infer<typeof ProgramCheckpointFormat>;

/** Environment variables; names as POSIX has them, so that none can smuggle in another. */
export const ProgramEnv = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,200}$/, "is no name of an environment variable"),
  z
    .string()
    .max(100_000)
    .regex(/^[^\0]*$/, "holds a NUL character"),
);
export type ProgramEnv = z.infer<typeof ProgramEnv>;

const argument = z
  .string()
  .max(100_000)
  .regex(/^[^\0]*$/, "holds a NUL character");
/** Program and arguments, started without a shell in the run file's folder. */
export const ProgramCommand = z.array(argument).min(1).max(10_000);

export const Program = z.strictObject({
  command: ProgramCommand,
  /** Ranks on each node; `pools[].workers` counts nodes. */
  workersPerNode: z.int().positive().max(1024).default(1),
  env: ProgramEnv.optional(),
  adapter: ProgramAdapter.default("plain"),
  /** The step that must be reached; absent: the program is done when all ranks end with 0. */
  steps: z.int().positive().max(100_000_000).optional(),
  checkpoint: z
    .strictObject({
      /** Relative to the run file. */
      dir: z.string().min(1).max(4096),
      format: ProgramCheckpointFormat,
    })
    .optional(),
  /** Seconds between two looks at the host's devices; 0 looks never; absent: 10. */
  telemetrySeconds: z.number().nonnegative().max(86_400).optional(),
  resume: z
    .strictObject({
      /** Appended to the command when a complete checkpoint exists; `{path}`, `{step}` and `{dir}` are replaced. */
      flags: z.array(argument).max(1000).default([]),
    })
    .optional(),
});
export type Program = z.infer<typeof Program>;

/** The flags with the checkpoint's path and step in place of `{path}`, `{step}` and `{dir}`. */
export function resumeFlags(
  flags: readonly string[],
  { path, step, dir }: { readonly path: string; readonly step: number; readonly dir: string },
): string[] {
  const values: Readonly<Record<string, string>> = { path, step: String(step), dir };
  // One pass: a path that itself holds `{step}` stays as it is.
  return flags.map((flag) => flag.replace(/\{(path|step|dir)\}/g, (whole, key: string) => values[key] ?? whole));
}
