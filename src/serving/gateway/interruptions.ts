/**
 * Keeps streams that broke off for a while, so that their clients can get the rest.
 * Knows: ids that nobody can guess, whose they are, how long and how much is kept. Does not know: how a stream is continued.
 */
import { randomUUID } from "node:crypto";
import type { Interrupted } from "./exchange.ts";

export interface Interruptions {
  keep(interrupted: Interrupted, owner: string | undefined, now: number): string;
  /** Gives it out once; undefined when there is none of that id for that owner any more. */
  take(id: string, owner: string | undefined, now: number): Interrupted | undefined;
  readonly size: number;
}

const countMax = 1000;
const bytesMax = 64 * 2 ** 20;

export function createInterruptions(keepSeconds: () => number): Interruptions {
  const kept = new Map<string, { interrupted: Interrupted; owner: string | undefined; until: number; bytes: number }>();
  let bytes = 0;
  const forget = (id: string): void => {
    bytes -= kept.get(id)?.bytes ?? 0;
    kept.delete(id);
  };
  const forgetOld = (now: number): void => {
    for (const [id, { until }] of kept) {
      if (until > now && kept.size <= countMax && bytes <= bytesMax) return;
      forget(id);
    }
  };
  return {
    get size() {
      return kept.size;
    },
    keep(interrupted, owner, now) {
      // Whoever has the id gets the text, so it is drawn by the system and not from a seed.
      const id = `resume-${randomUUID()}`;
      const size = interrupted.asked.body.length + 2 * interrupted.stream.text.length;
      kept.set(id, { interrupted, owner, until: now + keepSeconds(), bytes: size });
      bytes += size;
      forgetOld(now);
      return id;
    },
    take(id, owner, now) {
      forgetOld(now);
      const found = kept.get(id);
      if (found === undefined || found.owner !== owner) return undefined;
      forget(id);
      return found.interrupted;
    },
  };
}
