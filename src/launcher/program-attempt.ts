/**
 * What an attempt of somebody's own program starts, and how it is to be watched.
 * Knows: the resolved command of one attempt. Does not know: the run file, how processes are started (local).
 */
import type { ProgramAdapter, ProgramCheckpointFormat } from "../spec/program.ts";
import type { AttemptOrder } from "./launcher.ts";

export interface ProgramAttempt {
  readonly run: string;
  /** With the flags that resume it, and `env` with the pool's. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Absolute: the run file's folder. */
  readonly cwd: string;
  readonly workersPerNode: number;
  readonly adapter: ProgramAdapter;
  /** 0: it is done when all ranks end with 0. */
  readonly steps: number;
  /** Step that it resumes from, as far as that is known. */
  readonly step: number;
  /** Seconds between two looks at the host's devices; 0: none. */
  readonly telemetrySeconds: number;
  /** `dir` is absolute. */
  readonly checkpoint: { readonly dir: string; readonly format: ProgramCheckpointFormat } | null;
}

/** As an attempt of the embedded engine, with a program instead of a worker spec. */
export type ProgramOrder = Omit<AttemptOrder, "spec"> & { readonly program: ProgramAttempt };
