/**
 * What may befall a simulated attempt beside the faults of its run file: what a run file cannot ask for, and real life does.
 * Knows: the kinds, when they strike, how often they did. Does not know: what they do to an attempt (simulated-strikes).
 */

type Kind =
  /** A rank's process ends. */
  | {
      readonly kind: "end";
      readonly code: number | null;
      readonly signal: string | null;
      readonly lines?: readonly string[];
    }
  /** Its process is stopped by a signal; its links fall silent. */
  | { readonly kind: "stop" }
  /** It does not get on, and its heartbeats go on. */
  | { readonly kind: "stuck" }
  /** Neither its peers nor the supervisor hear of it any more. */
  | { readonly kind: "unheard" }
  /** Its link breaks and comes back within the workers' patience. */
  | { readonly kind: "flap" }
  /** Stored checkpoints do not verify from now on. */
  | { readonly kind: "spoil"; readonly which: "newest" | "newest-of-each-tier" | "all"; readonly why: string }
  /** What the memory tier held is gone, as when a node goes that nobody has a copy of. */
  | { readonly kind: "lose-memory" }
  /** Its node starts no worker any more. */
  | { readonly kind: "break-node" }
  /** Rank 0 is killed while it saves, before anything is published. */
  | { readonly kind: "kill-saving" }
  /** The disk tier refuses the next checkpoint. */
  | { readonly kind: "disk-refuses"; readonly detail: string }
  /** Every rank computes slower from now on. */
  | { readonly kind: "all-slow"; readonly factor: number }
  /** Rank 0 says a loss that is too high by this factor, once. */
  | { readonly kind: "spike"; readonly factor: number }
  | { readonly kind: "agent-dies" }
  /** The rank prints these lines and goes on. */
  | { readonly kind: "words"; readonly lines: readonly string[] }
  /** A rank is killed, and a writer of this attempt goes on publishing in secret while the next one trains. */
  | { readonly kind: "zombie" };

export type Mishap = Kind & {
  /** Step (from 1) during which it strikes. */
  readonly step: number;
  readonly rank: number;
  /** How often in all, over all attempts. */
  readonly times: number;
  /** Only on this pool; absent: on any. */
  readonly pool?: string;
  /** How often it has struck: whoever injects asserts that it did. */
  fired: number;
};

/** A mishap that has not struck yet; once, to rank 0, unless told otherwise. */
export function mishap(
  what: Kind & { readonly step: number; readonly rank?: number; readonly times?: number; readonly pool?: string },
): Mishap {
  return { rank: 0, times: 1, ...what, fired: 0 };
}
