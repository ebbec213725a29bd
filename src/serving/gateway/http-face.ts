/**
 * The gateway's routes on node:http: what is asked where, who asks, limits, CORS, errors as documents.
 * Knows: paths, headers. Does not know: backends, sockets' opening and closing (serve-fleet), what an answer says.
 */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Route, routes } from "./asked.ts";
import { type ClientSide, clientSide } from "./client-side.ts";
import type { Gateway } from "./gateway.ts";
import { GatewayError } from "./gateway-error.ts";
import { gathering } from "./gather.ts";
import { readBody } from "./read-body.ts";

export interface HttpFace {
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Health says so, and connections are asked to end. */
  draining: boolean;
}

/**
 * Tokens of one stream are further apart than the least, so that none waits while there is time for all; what comes in a burst, or
 * faster than a busy process can write piece by piece, goes on in fewer writes. Nobody reads faster than the most.
 */
const gatherLimits = { millisecondsMin: 1, millisecondsMax: 16 };

export function createHttpFace(
  gateway: Gateway,
  { created, complain }: { created: number; complain: (error: Error) => void },
): HttpFace {
  // Distinct between processes; within one, a count is enough.
  const prefix = `req-${randomUUID().slice(0, 8)}-`;
  let count = 0;
  const gather = gathering(gatherLimits);
  const face: HttpFace = {
    draining: false,
    handle(request, response) {
      const given = request.headers["x-request-id"];
      const id = typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : prefix + ++count;
      const client = clientSide(
        response,
        {
          "x-request-id": id,
          ...corsHeaders(gateway, request),
          ...(face.draining && { connection: "close" }),
        },
        gather,
      );
      route(gateway, request, client, { id, created, draining: face.draining }).catch((error: unknown) => {
        if (client.gone) return;
        const known = error instanceof GatewayError ? error : new GatewayError(500, "internal error");
        if (known !== error) complain(error instanceof Error ? error : new Error(String(error)));
        // What is left of a body that was refused is not read; the connection cannot be used again.
        client.fail(known, request.complete ? {} : { connection: "close" });
        if (client.begun && !response.writableEnded) response.destroy();
      });
    },
  };
  return face;
}

interface Context {
  readonly id: string;
  readonly created: number;
  readonly draining: boolean;
}

async function route(gateway: Gateway, request: IncomingMessage, client: ClientSide, context: Context): Promise<void> {
  const { method = "GET", url = "/" } = request;
  const question = url.indexOf("?");
  const path = question < 0 ? url : url.slice(0, question);
  const known = routes.find((each) => each === path);
  if (known !== undefined) {
    if (method === "POST") return post(gateway, known, request, client, context);
    if (method !== "OPTIONS") throw new GatewayError(405, `${path} takes POST`);
  }
  if (method === "OPTIONS" && gateway.fleet.file.cors !== undefined) return preflight(client);
  if (method === "GET" && path === "/health") return health(gateway, client, context);
  if (method === "GET" && path === "/metrics") {
    const text = await gateway.metrics.text();
    client.begin(200, { "content-type": gateway.metrics.contentType });
    return client.end(text);
  }
  if (method === "GET" && (path === "/v1/models" || path.startsWith("/v1/models/")))
    return models(gateway, path, request, client, context);
  throw new GatewayError(404, `Unknown request URL: ${method} ${path}`, { code: "unknown_url" });
}

async function post(
  gateway: Gateway,
  known: Route,
  request: IncomingMessage,
  client: ClientSide,
  { id }: Context,
): Promise<void> {
  const caller = gateway.callerOf(request.headers.authorization);
  const resume = request.headers["x-dualgauge-resume"];
  const body = await readBody(request, gateway.fleet.file.limits.bodyBytes);
  await gateway.answer({
    ...{ route: known, body, client, caller, id },
    headers: headersOn(request, id),
    resume: typeof resume === "string" ? resume : undefined,
  });
}

/** Trace context and the request's id go on; credentials, cookies and all else do not. */
function headersOn({ headers }: IncomingMessage, id: string): Record<string, string> {
  const on: Record<string, string> = { "content-type": "application/json", "x-request-id": id };
  for (const name of ["accept", "traceparent", "tracestate", "baggage"]) {
    const value = headers[name];
    if (typeof value === "string") on[name] = value;
  }
  return on;
}

function health(gateway: Gateway, client: ClientSide, { draining }: Context): void {
  const { fleet } = gateway;
  const backends = fleet.backends.map((live) => ({
    ...{ name: live.file.name, platform: live.file.platform, inFlight: live.inFlight, breaker: live.health.breaker },
    ...(live.health.reason !== undefined && { reason: live.health.reason }),
    ...(live.file.drain && { draining: true }),
  }));
  const taking = fleet.backends.some((live) => live.health.breaker === "closed" && !live.file.drain);
  const status = draining ? "draining" : taking ? "ok" : "no backend is trusted";
  const canary = fleet.file.canary && { backend: fleet.file.canary.backend, rolledBack: fleet.rolledBack ?? null };
  json(client, draining || !taking ? 503 : 200, {
    status,
    running: gateway.inFlight,
    backends,
    ...(canary && { canary }),
  });
}

function models(
  gateway: Gateway,
  path: string,
  request: IncomingMessage,
  client: ClientSide,
  { created }: Context,
): void {
  const caller = gateway.callerOf(request.headers.authorization);
  const names = [...gateway.fleet.models.keys()].filter((name) => caller?.models?.includes(name) ?? true);
  const card = (id: string) => ({ id, object: "model", created, owned_by: "dualgauge" });
  const asked = path === "/v1/models" ? undefined : (decode(path.slice("/v1/models/".length)) ?? "");
  if (asked !== undefined && !names.includes(asked))
    throw new GatewayError(404, `The model ${JSON.stringify(asked)} does not exist`, { code: "model_not_found" });
  json(client, 200, asked === undefined ? { object: "list", data: names.map(card) } : card(asked));
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // A lone percent sign names no model.
    return undefined;
  }
}

function corsHeaders(gateway: Gateway, request: IncomingMessage): Record<string, string> {
  const { cors } = gateway.fleet.file;
  const { origin } = request.headers;
  if (cors === undefined || origin === undefined) return {};
  if (!cors.origins.includes(origin) && !cors.origins.includes("*")) return { vary: "origin" };
  return { "access-control-allow-origin": origin, vary: "origin" };
}

function preflight(client: ClientSide): void {
  client.begin(204, {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers":
      "authorization, content-type, traceparent, tracestate, x-request-id, x-dualgauge-resume",
    "access-control-max-age": "600",
  });
  client.end();
}

function json(client: ClientSide, status: number, document: object): void {
  const body = Buffer.from(JSON.stringify(document));
  client.begin(status, { "content-type": "application/json; charset=utf-8", "content-length": String(body.length) });
  client.end(body);
}
