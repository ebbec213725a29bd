/**
 * What is known of every layout of a checkpoint directory.
 * Knows: the contract. Does not know: any layout.
 */

export interface FoundCheckpoint {
  readonly step: number;
  /** Folder or file, absolute. */
  readonly path: string;
  /** Why it may not be loaded; undefined when all that it names is there. */
  whyIncomplete(): string | undefined | Promise<string | undefined>;
}

export interface CheckpointFormat {
  /** All checkpoints below `dir`, complete or not, in any order; none when it does not exist. */
  list(dir: string): FoundCheckpoint[];
  /**
   * Makes the directory's own pointer name this step, where the layout has one that says otherwise; what it said before, or
   * undefined when nothing had to be done. Without it the program would go on from what is torn, missing or distrusted.
   */
  point?(dir: string, step: number): string | undefined;
}
