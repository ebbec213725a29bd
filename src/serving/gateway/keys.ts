/**
 * Says who asks and whether they may: keys by their hash, requests and tokens per minute.
 * Knows: hashes of keys, token buckets. Does not know: keys themselves, HTTP, what is asked.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { FleetKey } from "./fleet-file.ts";
import { GatewayError } from "./gateway-error.ts";

export interface Caller {
  readonly name: string;
  readonly models: readonly string[] | undefined;
  /** GatewayError 429 when a limit is reached; else counts one request. */
  admit(now: number): void;
  /** Takes what an answer cost off the minute's tokens. */
  spend(tokens: number, now: number): void;
}

export interface Keys {
  /** The caller of an `Authorization` header. GatewayError 401 when there is none or it is unknown. */
  callerOf(authorization: string | undefined): Caller;
}

/** Buckets of keys that were there before keep their level. */
export function createKeys(
  keys: readonly FleetKey[],
  before?: ReadonlyMap<string, Caller>,
): Keys & { callers: Map<string, Caller> } {
  const callers = new Map<string, Caller>();
  const known = keys.map((key) => {
    const identity = JSON.stringify(key);
    const caller = before?.get(identity) ?? createCaller(key);
    callers.set(identity, caller);
    return { hash: Buffer.from(key.sha256, "hex"), caller };
  });
  return {
    callers,
    callerOf(authorization) {
      const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
      if (given === undefined) {
        throw new GatewayError(401, "send a key: Authorization: Bearer KEY", { code: "missing_api_key" });
      }
      const hash = createHash("sha256").update(given).digest();
      // Every hash is compared, and each in constant time: how long it takes says nothing of which was near.
      let found: Caller | undefined;
      for (const { hash: expected, caller } of known) if (timingSafeEqual(hash, expected)) found = caller;
      if (found === undefined) throw new GatewayError(401, "the key is unknown", { code: "invalid_api_key" });
      return found;
    },
  };
}

function createCaller({ name, models, requestsPerMinute, tokensPerMinute }: FleetKey): Caller {
  const requests = requestsPerMinute === undefined ? undefined : bucket(requestsPerMinute);
  const tokens = tokensPerMinute === undefined ? undefined : bucket(tokensPerMinute);
  return {
    name,
    models,
    admit(now) {
      const wait = Math.max(requests?.secondsUntil(1, now) ?? 0, tokens?.secondsUntil(1, now) ?? 0);
      if (wait > 0) {
        const what =
          (requests?.secondsUntil(1, now) ?? 0) > 0 ? `${requestsPerMinute} requests` : `${tokensPerMinute} tokens`;
        throw new GatewayError(
          429,
          `the key's limit of ${what} a minute is reached; try again in ${Math.ceil(wait)} s`,
          {
            ...{ code: "rate_limit_exceeded", retryAfterSeconds: wait },
          },
        );
      }
      requests?.take(1, now);
    },
    spend: (count, now) => tokens?.take(count, now),
  };
}

/** A minute's worth at most, refilled evenly. It may go below zero: what an answer costs is known only afterwards. */
function bucket(perMinute: number): {
  secondsUntil(level: number, now: number): number;
  take(count: number, now: number): void;
} {
  const perSecond = perMinute / 60;
  const most = Math.max(1, perMinute);
  let level = most;
  let at = Number.NEGATIVE_INFINITY;
  const refill = (now: number): void => {
    if (now > at) level = Math.min(most, level + (at === Number.NEGATIVE_INFINITY ? 0 : (now - at) * perSecond));
    at = Math.max(at, now);
  };
  return {
    secondsUntil(needed, now) {
      refill(now);
      return level >= needed ? 0 : (needed - level) / perSecond;
    },
    take(count, now) {
      refill(now);
      level -= count;
    },
  };
}
