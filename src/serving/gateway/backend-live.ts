/**
 * One backend while the gateway runs: its connection, what is in flight, its health, speed and counts.
 * Knows: one backend. Does not know: requests' contents, the other backends.
 */
import type { Route } from "./asked.ts";
import type { FleetBackend, Health } from "./fleet-file.ts";
import { freshHealth, type HealthState, type Outcome, observe } from "./health.ts";
import { createSpeed, type Speed } from "./speed.ts";
import type { Upstream } from "./upstream.ts";

export interface LiveBackend {
  /** A reload may change weight, price, capacity and drain. */
  file: FleetBackend;
  /** Name for clients → name at this backend. */
  readonly models: ReadonlyMap<string, string>;
  /** Its URL, or the folder of its weights. */
  readonly from: string;
  readonly upstream: Upstream;
  /** `Bearer …`, when the backend asks for a key. */
  readonly authorization: string | undefined;
  readonly speed: Speed;
  readonly outcomes: Record<Outcome | "abandoned", number>;
  health: HealthState;
  inFlight: number;
  /** No new requests come; when the last one ends the upstream is closed. */
  retired: boolean;
  close(): Promise<void>;
}

export function liveBackend(
  file: FleetBackend,
  models: ReadonlyMap<string, string>,
  upstream: Upstream,
  { policy, apiKey, from }: { policy: Health; apiKey: string | undefined; from: string },
): LiveBackend {
  let closed: Promise<void> | undefined;
  return {
    file,
    models,
    from,
    upstream,
    authorization: apiKey === undefined ? undefined : `Bearer ${apiKey}`,
    speed: createSpeed(),
    outcomes: { ok: 0, failed: 0, busy: 0, empty: 0, garbled: 0, slow: 0, abandoned: 0 },
    health: freshHealth(policy),
    inFlight: 0,
    retired: false,
    close() {
      closed ??= upstream.close();
      return closed;
    },
  };
}

/** Whether it could go on with a broken answer: completions from a longer prompt always, chat where the engine is known for it. */
export function canContinue({ file: { engine, continues } }: LiveBackend, route: Route): boolean {
  if (route === "/v1/completions") return true;
  return continues ?? (engine === "vllm" || engine === "vllm-ascend" || engine === "sglang" || engine === "embedded");
}

/** Books the outcome; true when it opened the breaker. */
export function book(
  backend: LiveBackend,
  outcome: Outcome,
  at: { now: number; policy: Health; retryAfterSeconds?: number | undefined },
): boolean {
  const before = backend.health.breaker;
  backend.outcomes[outcome]++;
  backend.health = observe(backend.health, outcome, at);
  return before !== "open" && backend.health.breaker === "open";
}

/** A request has left it: a retired backend closes with its last one. */
export function leave(backend: LiveBackend): void {
  backend.inFlight--;
  if (backend.retired && backend.inFlight === 0) void backend.close();
}
