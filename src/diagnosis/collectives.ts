/**
 * Says which rank a collective waited for, from the ranks that complained.
 * Knows: who timed out, at which operation, and whom they blame. Does not know: why that rank did not come.
 */
import type { Observation } from "./observe.ts";

export interface Absent {
  readonly rank: number;
  readonly how: "blamed" | "behind" | "silent";
}

export interface Ranks {
  readonly seen: ReadonlySet<number>;
  readonly worldSize: number | undefined;
}

/** The one rank that the waiting ones point at, or undefined where they point at none or at several. */
export function absentRank(waits: readonly Observation[], ranks: Ranks): Absent | undefined {
  const waiting = new Set(waits.flatMap(({ rank }) => (rank === undefined ? [] : [rank])));
  const blamed = mostBlamed(waits, waiting);
  if (blamed !== undefined) return { rank: blamed, how: "blamed" };
  const behind = laggard(waits);
  if (behind !== undefined) return { rank: behind, how: "behind" };
  const silent = onlyMissing(waiting, ranks);
  return silent === undefined ? undefined : { rank: silent, how: "silent" };
}

function mostBlamed(waits: readonly Observation[], waiting: ReadonlySet<number>): number | undefined {
  const votes = new Map<number, number>();
  for (const { blames } of waits) if (blames !== undefined) votes.set(blames, (votes.get(blames) ?? 0) + 1);
  // A rank that waits itself is only a link of the chain, unless all of them wait.
  const free = [...votes].filter(([rank]) => !waiting.has(rank));
  const [first, second] = (free.length > 0 ? free : [...votes]).sort((a, b) => b[1] - a[1]);
  return first !== undefined && (second === undefined || first[1] > second[1]) ? first[0] : undefined;
}

/** One rank that stands at an earlier operation than all others has not finished what they wait for. */
function laggard(waits: readonly Observation[]): number | undefined {
  const at = new Map<number, number>();
  for (const { rank, sequence } of waits) {
    if (rank !== undefined && sequence !== undefined) at.set(rank, Math.min(at.get(rank) ?? sequence, sequence));
  }
  if (at.size < 3) return undefined;
  const [first, second] = [...at].sort((a, b) => a[1] - b[1]);
  return first !== undefined && second !== undefined && first[1] < second[1] ? first[0] : undefined;
}

function onlyMissing(waiting: ReadonlySet<number>, { seen, worldSize }: Ranks): number | undefined {
  // One rank that waits, in a job of unknown size, tells nothing of any other.
  if (waiting.size < (worldSize === undefined ? 2 : 1)) return undefined;
  const highest = Math.max(...waiting, ...seen);
  // Without a stated size: whole nodes of eight, once most of one has spoken.
  const guessed = waiting.size >= 5 ? Math.ceil((highest + 1) / 8) * 8 : highest + 1;
  const size = Math.max(worldSize ?? guessed, highest + 1);
  if (size < 2 || size - waiting.size !== 1) return undefined;
  for (let rank = 0; rank < size; rank++) if (!waiting.has(rank)) return rank;
  return undefined;
}
