/**
 * Judges a backend by how its answers ended, and says when it may be tried again.
 * Knows: outcomes, a circuit breaker that opens, waits longer each time and lets one trial through. Does not know: clocks, sockets, routing.
 * Health is outcome, not ping: a server that replies to pings while its answers fail is ill, and one that is merely busy is not.
 */
import type { Health } from "./fleet-file.ts";

export type Outcome =
  | "ok"
  /** Refused the connection, 5xx, cut off, silent too long, half a document. */
  | "failed"
  /** 429 or 503: full, not ill. */
  | "busy"
  | "empty"
  | "garbled"
  /** Right, but far slower than its own usual. */
  | "slow";

export interface HealthState {
  readonly breaker: "closed" | "open" | "trial";
  readonly failuresInRow: number;
  /** Newest last, at most 20; true is bad. */
  readonly recent: readonly boolean[];
  /** Monotonic seconds; no request before it, from an open breaker or a full backend. */
  readonly notBefore: number;
  /** Wait that the next opening takes. */
  readonly openSeconds: number;
  readonly reason: string | undefined;
}

const recentMax = 20;
const busySeconds = 1;

export function freshHealth(policy: Health): HealthState {
  return {
    breaker: "closed",
    failuresInRow: 0,
    recent: [],
    notBefore: 0,
    openSeconds: policy.openSeconds,
    reason: undefined,
  };
}

/** The state after an answer ended at `now` (monotonic seconds). `retryAfterSeconds` is what a busy backend asked for. */
export function observe(
  state: HealthState,
  outcome: Outcome,
  { now, policy, retryAfterSeconds }: { now: number; policy: Health; retryAfterSeconds?: number | undefined },
): HealthState {
  if (outcome === "busy") {
    const wait = Math.min(retryAfterSeconds ?? busySeconds, policy.openSecondsMax);
    // A full backend has still answered: a trial that finds it full ends the trial.
    return { ...state, breaker: "closed", notBefore: Math.max(state.notBefore, now + wait) };
  }
  if (outcome === "ok") {
    if (state.breaker !== "closed") return { ...freshHealth(policy), notBefore: 0 };
    return state.failuresInRow === 0 && state.recent.length === 0
      ? state
      : { ...state, failuresInRow: 0, recent: push(state.recent, false) };
  }
  // A slow answer is a right one: it weighs in the share, and does not add to a row of failures.
  const failuresInRow = outcome === "slow" ? state.failuresInRow : state.failuresInRow + 1;
  const recent = push(state.recent, true);
  const bad = recent.filter(Boolean).length;
  const share = recent.length >= recentMax && bad >= policy.failureShare * recentMax;
  const changed = { ...state, failuresInRow, recent };
  if (state.breaker === "open") return changed;
  if (state.breaker === "trial" || failuresInRow >= policy.failures || share) {
    const reason =
      share && failuresInRow < policy.failures
        ? `${bad} of ${recentMax} answers were bad`
        : `${outcome} ${failuresInRow} times in a row`;
    const openSeconds = Math.min(policy.openSecondsMax, state.openSeconds * 2);
    return { ...changed, breaker: "open", notBefore: now + state.openSeconds, openSeconds, recent: [], reason };
  }
  return changed;
}

/** Whether a request may go there: always when closed, one at a time on trial once the wait is over. */
export function mayTake(state: HealthState, { now, inFlight }: { now: number; inFlight: number }): boolean {
  if (now < state.notBefore) return false;
  return state.breaker === "closed" || inFlight === 0;
}

/** A request was sent: an open breaker whose wait is over is on trial now. */
export function begin(state: HealthState): HealthState {
  return state.breaker === "open" ? { ...state, breaker: "trial" } : state;
}

function push(recent: readonly boolean[], bad: boolean): boolean[] {
  return [...recent.slice(-(recentMax - 1)), bad];
}
