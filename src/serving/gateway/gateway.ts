/**
 * One endpoint over a fleet: takes what a client asked to a backend, and books what came of it.
 * Knows: how exchange, fleet, samples, metrics, limits and log fit together. Does not know: sockets, routes, files.
 */
import { type AccessLog, createAccessLog } from "./access-log.ts";
import { type Asked, type Route, readAsked } from "./asked.ts";
import type { ClientSide } from "./client-side.ts";
import { exchange, type Interrupted, type Summary, type Surroundings } from "./exchange.ts";
import type { FleetFile } from "./fleet-file.ts";
import type { FleetLive } from "./fleet-live.ts";
import { GatewayError } from "./gateway-error.ts";
import { createInterruptions } from "./interruptions.ts";
import { type Caller, createKeys } from "./keys.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createSamples } from "./samples.ts";

/** One request with its body read. */
export interface Incoming {
  readonly route: Route;
  readonly body: Buffer;
  readonly client: ClientSide;
  readonly caller: Caller | undefined;
  readonly id: string;
  /** Passed on to the backend. */
  readonly headers: Readonly<Record<string, string>>;
  readonly resume: string | undefined;
}

export interface Gateway {
  readonly fleet: FleetLive;
  readonly metrics: Metrics;
  readonly inFlight: number;
  /** Undefined when no keys are asked for; GatewayError 401 for a wrong one. */
  callerOf(authorization: string | undefined): Caller | undefined;
  /** Answers at the client whatever happens. GatewayError for what is refused before any backend is asked. */
  answer(incoming: Incoming): Promise<void>;
  /** A new file, taken on between two requests. Throws without any change. */
  apply(file: FleetFile): Promise<void>;
  /** Ends samples, writes the log out, closes the backends. */
  close(): Promise<void>;
}

export interface GatewayOptions {
  readonly fleet: FleetLive;
  /** Monotonic seconds. */
  readonly now: () => number;
  /** Unix time in seconds, for the log. */
  readonly date: () => number;
  /** A line for the operator. */
  readonly say: (line: string) => void;
}

export function createGateway({ fleet, now, date, say }: GatewayOptions): Gateway {
  const metrics = createMetrics(() => fleet);
  const interruptions = createInterruptions(() => fleet.file.resumeSeconds);
  const samples = createSamples({
    ...{ fleet, now, compared: metrics.compared, shadowed: metrics.shadowed },
    rolledBack: (reason) => say(`canary ${fleet.file.canary?.backend} rolled back: ${reason}`),
  });
  let keys = createKeys(fleet.file.keys ?? []);
  let log: AccessLog = createAccessLog(fleet.file.accessLog);
  let inFlight = 0;

  const around = (owner: string | undefined): Surroundings => ({
    get fleet() {
      return fleet.file;
    },
    now,
    pick: (asked, options) => fleet.pick(asked, { ...options, now: now() }),
    serving: (asked) => fleet.serving(asked),
    anyContinues: (asked) => fleet.anyContinues(asked),
    note({ what, backend, reason }) {
      metrics.noted(what, backend.file.name);
      if (what !== "failover")
        say(`${backend.file.name}: ${what === "opened" ? "distrusted" : "went on with an answer"} (${reason})`);
      if (what === "opened" && backend.file.name === fleet.file.canary?.backend && fleet.rolledBack === undefined) {
        fleet.rolledBack = reason;
        say(`canary ${backend.file.name} rolled back: ${reason}`);
      }
    },
    keep(interrupted) {
      metrics.interrupted();
      return interruptions.keep(interrupted, owner, now());
    },
    wait: (seconds, client) => waitFor(seconds, client),
  });

  return {
    fleet,
    metrics,
    get inFlight() {
      return inFlight;
    },
    callerOf: (authorization) => (fleet.file.keys === undefined ? undefined : keys.callerOf(authorization)),
    async answer({ route, body, client, caller, id, headers, resume }) {
      const began = now();
      const taken =
        resume === undefined ? undefined : takeUp(fleet, interruptions.take(resume, caller?.name, began), route);
      const asked = taken?.asked ?? readAsked(route, body);
      mayAsk(fleet, caller, asked);
      if (inFlight >= fleet.file.limits.inFlight) {
        throw new GatewayError(503, "too many requests are in flight; try again later", {
          code: "overloaded",
          retryAfterSeconds: 1,
        });
      }
      caller?.admit(began);
      inFlight++;
      let summary: Summary;
      try {
        summary = await exchange({
          ...{ around: around(caller?.name), client, asked, headers, caller: caller?.name, resumed: taken },
        });
      } finally {
        inFlight--;
      }
      const seconds = now() - began;
      caller?.spend(summary.promptTokens + summary.answerTokens, now());
      metrics.ended(summary, { model: asked.model, seconds, status: client.status });
      log.write(() => entryOf(summary, { id, caller, asked, client, seconds, at: date() }));
      if (summary.answeredBy !== undefined && client.status === 200) samples.answered(asked, summary.answeredBy);
    },
    async apply(file) {
      await fleet.apply(file);
      keys = createKeys(file.keys ?? [], keys.callers);
      log.flush();
      log = createAccessLog(file.accessLog);
    },
    async close() {
      await samples.idle();
      log.flush();
      await fleet.close();
    },
  };
}

/** The request and what its client already has; from the start when it cannot be continued. */
function takeUp(
  fleet: FleetLive,
  interrupted: Interrupted | undefined,
  route: Route,
): { asked: Asked; stream: Interrupted["stream"] | undefined } {
  if (interrupted === undefined || interrupted.asked.route !== route) {
    throw new GatewayError(404, "nothing is kept under this resume id for this key and route", {
      code: "unknown_resume_id",
    });
  }
  const { asked, stream } = interrupted;
  const fit = asked.unfitToContinue === undefined && !stream.beyondText && fleet.anyContinues(asked);
  return { asked, stream: fit ? { ...stream, continuedAt: [...stream.continuedAt] } : undefined };
}

function mayAsk(fleet: FleetLive, caller: Caller | undefined, { model }: Asked): void {
  const allowed = caller?.models === undefined || caller.models.includes(model);
  if (allowed && fleet.models.has(model)) return;
  const names = [...fleet.models.keys()].filter((name) => caller?.models?.includes(name) ?? true);
  const message = `The model ${JSON.stringify(model)} does not exist; this endpoint serves ${names.map((name) => JSON.stringify(name)).join(", ")}`;
  throw new GatewayError(404, message, { code: "model_not_found", param: "model" });
}

function entryOf(
  summary: Summary,
  {
    id,
    caller,
    asked,
    client,
    seconds,
    at,
  }: { id: string; caller: Caller | undefined; asked: Asked; client: ClientSide; seconds: number; at: number },
): Record<string, unknown> {
  return {
    at: new Date(at * 1000).toISOString(),
    id,
    key: caller?.name,
    route: asked.route,
    model: asked.model,
    stream: asked.stream,
    status: client.gone ? 499 : client.status,
    backends: summary.backends,
    continued: summary.continued || undefined,
    finish: summary.finish,
    promptTokens: summary.promptTokens,
    answerTokens: summary.answerTokens,
    firstTokenSeconds: summary.firstTokenSeconds && Number(summary.firstTokenSeconds.toFixed(6)),
    seconds: Number(seconds.toFixed(6)),
    bytesIn: asked.body.length,
    bytesOut: client.bytes,
    error: summary.error,
  };
}

/** Ends early when the client goes away. */
function waitFor(seconds: number, client: ClientSide): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      client.onGone = undefined;
      resolve();
    };
    const timer = setTimeout(end, seconds * 1000);
    client.onGone = end;
  });
}
