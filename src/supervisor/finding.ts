/**
 * What a detector found: a symptom with its evidence, not yet a cause.
 * Knows: the shape. Does not know: who detects, what is done about it.
 */
import type { FaultKind } from "../spec/vocabulary.ts";

export interface Finding {
  readonly kind: FaultKind;
  readonly rank: number | null;
  readonly peer: number | null;
  readonly step: number;
  /** Name of the detector. */
  readonly detectedBy: string;
  /** Monotonic seconds at which it began, as far as that is known. */
  readonly since: number | null;
  /** The worker mended it and goes on. */
  readonly retried: boolean;
  readonly recoverSeconds: number | null;
  readonly why: string;
  readonly evidence: readonly string[];
  /** The worker's event behind it, so that it is counted once. */
  readonly source: { readonly rank: number; readonly seq: number } | null;
}

export const plainFinding = { peer: null, since: null, retried: false, recoverSeconds: null, source: null } as const;
