/**
 * The two checkpoint tiers of a run as the supervisor needs them.
 * Knows: the contract. Does not know: how checkpoints are stored (checkpoint-tiers for files, memory in simulations).
 */
import type { CheckpointRef } from "../journal/event.ts";

export interface Rejected {
  readonly checkpoint: CheckpointRef;
  readonly why: string;
}

export interface Tiers {
  /**
   * The newest checkpoint that verifies (below `beforeStep` when given), and the newer ones that do not or are not wanted.
   * Asked only while no attempt lives.
   */
  newest(beforeStep: number | null): Promise<{ newest: CheckpointRef | undefined; rejected: readonly Rejected[] }>;
  /** Puts a checkpoint where nothing loads it; gives its new path. */
  quarantine(checkpoint: CheckpointRef, why: string): Promise<string>;
  /** Copies a memory-tier checkpoint to the disk tier; twice is once. undefined when it no longer verifies. */
  promote(checkpoint: CheckpointRef): Promise<CheckpointRef | undefined>;
  /** SHA-256 over the weights, as workers state it when they finish. */
  weightsSha256(checkpoint: CheckpointRef): Promise<string>;
  /** Removes the memory tier. */
  clearMemory(): void;
}
