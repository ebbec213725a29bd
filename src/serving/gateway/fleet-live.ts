/**
 * The fleet while it runs: its backends, which of them may take a request, and how a new file replaces the old one.
 * Knows: models, canary share, drain, health, reload. Does not know: HTTP, exchanges, how an upstream connects (given in).
 */
import type { Asked } from "./asked.ts";
import { canContinue, type LiveBackend, liveBackend } from "./backend-live.ts";
import { type Candidate, choose } from "./choose.ts";
import type { FleetBackend, FleetFile } from "./fleet-file.ts";
import { mayTake } from "./health.ts";
import type { Upstream } from "./upstream.ts";

/** Connects to a backend; the models are those of the file, or what an embedded one says of itself. */
export type OpenBackend = (
  backend: FleetBackend,
  fleet: FleetFile,
) => Promise<{ upstream: Upstream; models: ReadonlyMap<string, string>; apiKey: string | undefined; from: string }>;

export interface FleetLive {
  readonly file: FleetFile;
  readonly backends: readonly LiveBackend[];
  readonly models: ReadonlyMap<string, readonly LiveBackend[]>;
  /** Why the canary gets no more requests; undefined while it does. */
  rolledBack: string | undefined;
  /** Whether the request belongs to the canary's share. */
  isCanary(asked: Asked): boolean;
  pick(asked: Asked, options: PickOptions): LiveBackend | undefined;
  anyContinues(asked: Asked): boolean;
  serving(asked: Asked): number;
  /** Takes the new file on; backends that are the same keep their connections and what is known of them. Throws without any change. */
  apply(file: FleetFile): Promise<void>;
  /** Closes every backend once its answers have ended. */
  close(): Promise<void>;
}

export interface PickOptions {
  readonly now: number;
  readonly tried: ReadonlySet<LiveBackend>;
  readonly forced: boolean;
  readonly continuing: boolean;
}

export async function openFleet(first: FleetFile, open: OpenBackend): Promise<FleetLive> {
  let file = first;
  let backends: readonly LiveBackend[] = [];
  let models: ReadonlyMap<string, readonly LiveBackend[]> = new Map();
  let rolledBack: string | undefined;

  const apply = async (next: FleetFile): Promise<void> => {
    const opened: LiveBackend[] = [];
    try {
      const nextBackends: LiveBackend[] = [];
      for (const backend of next.backends) {
        const same = backends.find((live) => live.file.name === backend.name && isSame(live.file, backend));
        if (same !== undefined && next.health.connectSeconds === file.health.connectSeconds) {
          nextBackends.push(same);
          continue;
        }
        const { upstream, models: offered, apiKey, from } = await open(backend, next);
        const live = liveBackend(backend, offered, upstream, { policy: next.health, apiKey, from });
        opened.push(live);
        nextBackends.push(live);
      }
      const gone = backends.filter((live) => !nextBackends.includes(live));
      // From here on nothing waits and nothing fails: a request sees the old fleet or the new one.
      for (const [index, live] of nextBackends.entries()) live.file = next.backends[index] ?? live.file;
      if (JSON.stringify(next.canary) !== JSON.stringify(file.canary)) rolledBack = undefined;
      file = next;
      backends = nextBackends;
      models = modelsOf(nextBackends);
      for (const live of gone) {
        live.retired = true;
        if (live.inFlight === 0) void live.close();
      }
    } catch (error) {
      await Promise.all(opened.map((live) => live.close()));
      throw error;
    }
  };
  await apply(first);

  const isCanary = ({ conversation }: Asked): boolean =>
    file.canary !== undefined &&
    rolledBack === undefined &&
    (Math.imul(conversation, 0x9e3779b1) >>> 0) / 2 ** 32 < file.canary.percent / 100;

  return {
    get file() {
      return file;
    },
    get backends() {
      return backends;
    },
    get models() {
      return models;
    },
    get rolledBack() {
      return rolledBack;
    },
    set rolledBack(reason) {
      rolledBack = reason;
    },
    isCanary,
    pick(asked, { now, tried, forced, continuing }) {
      const able = (models.get(asked.model) ?? []).filter(
        (live) =>
          mayServe(live, file, rolledBack) && !tried.has(live) && (!continuing || canContinue(live, asked.route)),
      );
      const fit = able.filter((live) => mayTake(live.health, { now, inFlight: live.inFlight }));
      const ofShare =
        file.canary === undefined
          ? fit
          : fit.filter((live) => (live.file.name === file.canary?.backend) === isCanary(asked));
      const candidates = ofShare.length > 0 ? ofShare : fit;
      const chosen = dueForTrial(candidates, { tried, continuing }) ?? best(candidates, asked, now, file);
      // Distrust is no reason to refuse when nobody else is left: the one whose wait ends first is asked all the same.
      return chosen ?? (forced ? able.sort((a, b) => a.health.notBefore - b.health.notBefore)[0] : undefined);
    },
    anyContinues: (asked) => (models.get(asked.model) ?? []).some((live) => canContinue(live, asked.route)),
    serving: (asked) => (models.get(asked.model) ?? []).filter((live) => mayServe(live, file, rolledBack)).length,
    apply,
    async close() {
      await Promise.all(backends.map((live) => live.close()));
    },
  };
}

/** Takes clients' requests, its health aside. */
function mayServe(
  { file: { name, drain } }: LiveBackend,
  { canary, shadow }: FleetFile,
  rolledBack: string | undefined,
): boolean {
  return !drain && name !== shadow?.backend && !(name === canary?.backend && rolledBack !== undefined);
}

/**
 * An open breaker whose wait is over is asked before all others, whatever speeds, prices and conversations say: a backend that nobody
 * is sent to never proves that it is well again. A request that another backend has failed already, or that is in the
 * middle of its answer, has no patience left for that.
 */
function dueForTrial(
  fit: readonly LiveBackend[],
  { tried, continuing }: { tried: ReadonlySet<LiveBackend>; continuing: boolean },
): LiveBackend | undefined {
  return continuing || tried.size > 0 ? undefined : fit.find((live) => live.health.breaker !== "closed");
}

function best(
  backends: readonly LiveBackend[],
  asked: Asked,
  now: number,
  { routing }: FleetFile,
): LiveBackend | undefined {
  if (backends.length <= 1) return backends[0];
  // Of one that never answered nothing is known: it counts as like the fastest, or a fast fleet would never try it.
  const known = backends.filter((live) => live.speed.measuredAt !== undefined);
  const fastest = (of: (live: LiveBackend) => number): number | undefined =>
    known.length === 0 ? undefined : Math.min(...known.map(of));
  const candidates = backends.map((live): Candidate & { live: LiveBackend } => {
    const { measuredAt } = live.speed;
    const guess = <K extends "firstTokenSeconds" | "secondsPerToken">(key: K): number =>
      (measuredAt === undefined ? fastest((other) => other.speed[key](now)) : undefined) ?? live.speed[key](now);
    return {
      live,
      ...{ name: live.file.name, inFlight: live.inFlight, capacity: live.file.capacity, weight: live.file.weight },
      dollarsPerMillionTokens: live.file.dollarsPerMillionTokens,
      firstTokenSeconds: guess("firstTokenSeconds"),
      secondsPerToken: guess("secondsPerToken"),
      unmeasuredSeconds: measuredAt === undefined ? 0 : Math.max(0, now - measuredAt),
    };
  });
  const usual = backends.reduce((sum, live) => sum + live.speed.answerTokens, 0) / backends.length;
  const answerTokens = Math.min(usual, asked.maxTokens ?? usual);
  return choose(
    candidates,
    { promptTokens: asked.promptTokens, answerTokens, conversation: asked.conversation },
    routing,
  )?.live;
}

/** Whether the connection and what is known of the backend may stay; weights, prices, capacity and drain may change meanwhile. */
function isSame(one: FleetBackend, other: FleetBackend): boolean {
  const identity = ({ url, directory, engine, platform, models, apiKeyEnv }: FleetBackend): string =>
    JSON.stringify({ url, directory, engine, platform, models, apiKeyEnv });
  return identity(one) === identity(other);
}

function modelsOf(backends: readonly LiveBackend[]): Map<string, LiveBackend[]> {
  const models = new Map<string, LiveBackend[]>();
  for (const live of backends)
    for (const name of live.models.keys()) models.set(name, [...(models.get(name) ?? []), live]);
  return models;
}
