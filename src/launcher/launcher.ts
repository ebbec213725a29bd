/**
 * The contract between the supervisor and whatever starts, watches and stops the workers of an attempt.
 * Knows: orders, observations. Does not know: how processes are started, what is concluded from an observation.
 * Every launcher passes test/contract/launcher.test.ts.
 */
import type { ProcessIdentity, ProcessStatus } from "../host/processes.ts";
import type { WorkerEvent } from "../spec/worker-event.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";
import type { AgentRecord } from "./agent-record.ts";
import type { ProgramOrder } from "./program-attempt.ts";

/** Everything that an attempt needs; `nodes` lists the node of each rank. */
export interface AttemptOrder {
  readonly epoch: number;
  readonly nodes: readonly string[];
  /** From SIGTERM to SIGKILL when the attempt is stopped. */
  readonly graceSeconds: number;
  readonly spec: WorkerSpec;
}

export interface LivingAttempt {
  readonly epoch: number;
  /** null: its agent is gone, workers of it live on. */
  readonly agent: ProcessIdentity | null;
}

/** What is new of an attempt since the last call. What could not be read is in `blind`, never taken for silence. */
export interface Observation {
  readonly monotonicSeconds: number;
  /** `unknown` until the agent has said who it is. */
  readonly agent: ProcessStatus | "unknown";
  readonly records: readonly AgentRecord[];
  /** In the order in which each rank wrote them; events of other epochs are left out. */
  readonly events: readonly WorkerEvent[];
  /** Status of each worker that has been spawned and not been seen to exit. */
  readonly processes: readonly { readonly rank: number; readonly status: ProcessStatus }[];
  readonly blind: readonly { readonly view: string; readonly why: string }[];
  /** Lines that are no events of this run and epoch, counted per rank. */
  readonly malformed: Readonly<Record<number, number>>;
}

/** Name of the blind view when workers cannot write what they have to say: then their silence is the disk's, not theirs. */
export const channelView = "what workers say";

export interface Launcher {
  readonly name: string;
  /** Starts an attempt's agent and resolves when it exists; LaunchFailed when it cannot. The caller has raised the epoch. */
  launch(order: AttemptOrder | ProgramOrder): Promise<{ agent: ProcessIdentity | null }>;
  /** Attempts of this run of which anything lives. */
  living(): Promise<LivingAttempt[]>;
  /** Ends an attempt and all that it started; resolves when nothing of it lives. Stopping twice is stopping once. */
  stop(epoch: number, graceSeconds: number): Promise<{ epoch: number; stopped: true }>;
  observe(epoch: number): Observation;
  /** The last lines that a rank printed. */
  lastLines(epoch: number, rank: number): readonly string[];
  /** Resolves when there may be something new to observe. */
  changed(): Promise<void>;
  close(): void;
}

/** An attempt could not be started; `message` says why in one line. */
export class LaunchFailed extends Error {
  override readonly name = "LaunchFailed";
}
