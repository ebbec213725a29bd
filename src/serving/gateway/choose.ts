/**
 * Chooses the backend from which an answer is expected first, at a stated price of money, and keeps conversations where their cache is.
 * Knows: measured speeds, load, weights, prices, rendezvous hashing. Does not know: clocks, health rules, sockets.
 */

/** What one candidate is like at this moment. */
export interface Candidate {
  readonly name: string;
  readonly inFlight: number;
  readonly capacity: number;
  readonly weight: number;
  readonly dollarsPerMillionTokens: number;
  readonly firstTokenSeconds: number;
  readonly secondsPerToken: number;
  /** Since an answer of it was last measured. */
  readonly unmeasuredSeconds: number;
}

/** What is known of an idle backend's slowness is worth half after so long. */
const forgetSeconds = 30;

export interface Wanted {
  /** Expected, not the limit that was asked for. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Hash of the beginning of the conversation; equal for all its turns. */
  readonly conversation: number;
}

export interface RoutingPolicy {
  readonly secondsPerDollar: number;
  readonly affinitySlack: number;
}

/**
 * Seconds until the answer is expected to end, divided by the weight, plus the price in seconds.
 * Up to its capacity a backend shares its speed lightly (batching); above, requests wait in turn, so time grows in proportion.
 */
export function expectedSeconds(candidate: Candidate, wanted: Wanted, policy: RoutingPolicy): number {
  const { inFlight, capacity } = candidate;
  const alone = candidate.firstTokenSeconds + wanted.answerTokens * candidate.secondsPerToken;
  const crowding = 1 + inFlight / capacity + Math.max(0, inFlight + 1 - capacity) / capacity;
  const dollars = ((wanted.promptTokens + wanted.answerTokens) * candidate.dollarsPerMillionTokens) / 1e6;
  return (alone * crowding) / candidate.weight + dollars * policy.secondsPerDollar;
}

/**
 * The candidate to ask; undefined when there is none. It is the conversation's own one (highest rendezvous hash) while that
 * has room and is expected to take at most `affinitySlack` times the best, else the best. A home that lost its conversations for
 * being slow is given the benefit of the doubt that grows with the time since, for one request at a time: nothing else would
 * ever measure it again. Only its own conversations try it, so that no other one loses its cache for that.
 */
export function choose<T extends Candidate>(
  candidates: readonly T[],
  wanted: Wanted,
  policy: RoutingPolicy,
): T | undefined {
  let best: T | undefined;
  let bestSeconds = Number.POSITIVE_INFINITY;
  let home: T | undefined;
  let homeRank = -1;
  let homeSeconds = 0;
  for (const candidate of candidates) {
    const seconds = expectedSeconds(candidate, wanted, policy);
    if (seconds < bestSeconds) {
      best = candidate;
      bestSeconds = seconds;
    }
    const rank = rendezvous(wanted.conversation, candidate);
    if (rank > homeRank) {
      home = candidate;
      homeRank = rank;
      homeSeconds = seconds;
    }
  }
  if (home === undefined || home.inFlight >= home.capacity) return best;
  const doubt = home.inFlight === 0 ? 2 ** (-home.unmeasuredSeconds / forgetSeconds) : 1;
  return homeSeconds * doubt <= policy.affinitySlack * bestSeconds ? home : best;
}

/** Weighted rendezvous hash (Schindelhauer & Schomaker 2005): each candidate wins in proportion to its weight. */
function rendezvous(conversation: number, { name, weight }: Candidate): number {
  const uniform = (mix(conversation ^ hashText(name)) + 0.5) / 2 ** 32;
  return weight / -Math.log(uniform);
}

/** FNV-1a over UTF-16 code units of at most `lengthMax` characters, mixed; unsigned 32 bits. */
export function hashText(text: string, lengthMax = 2048, from = 0x811c9dc5): number {
  let hash = from;
  const end = Math.min(text.length, lengthMax);
  for (let at = 0; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}

function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
