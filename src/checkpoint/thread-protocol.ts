/**
 * What a checkpoint writer and its thread tell each other.
 * Knows: the messages. Does not know: either side.
 */
import type { EpochFence } from "./fence.ts";
import type { ManifestBody } from "./manifest.ts";
import type { StagedFile } from "./training-state.ts";
import type { Tier } from "./verify-checkpoint.ts";

/** Given to a thread once. */
export interface ThreadSetup {
  readonly tier: Tier;
  readonly folder: string;
  readonly keep: number;
  readonly slots: readonly SharedArrayBuffer[];
  readonly files: readonly StagedFile[];
  readonly fence: EpochFence | undefined;
}

export interface WriteRequest {
  readonly slot: number;
  readonly manifest: ManifestBody;
  /** Emulated fault: files are opened on `/dev/full`, so that the kernel itself says ENOSPC. */
  readonly noSpace: boolean;
}

export type WriteResult =
  | {
      readonly ok: true;
      readonly slot: number;
      readonly path: string;
      readonly bytes: number;
      readonly seconds: number;
    }
  | {
      readonly ok: false;
      readonly slot: number;
      /** The system's error code, e.g. `ENOSPC`; `FENCED` when a newer epoch exists. */
      readonly code: string;
      readonly message: string;
    };
