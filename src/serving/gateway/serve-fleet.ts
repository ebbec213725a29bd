/**
 * Opens the gateway on a port, takes a changed file on, and closes it without cutting off an answer.
 * Knows: TLS files, connecting to backends, opening, reloading and closing in order. Does not know: signals, watching files, routes.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer, Server as SecureServer } from "node:https";
import { systemErrorCode } from "../../host/files.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { createApp } from "../app.ts";
import { openEmbedded } from "../embedded.ts";
import { listenOn } from "../listen.ts";
import type { FleetFile } from "./fleet-file.ts";
import { type OpenBackend, openFleet } from "./fleet-live.ts";
import { createGateway, type Gateway } from "./gateway.ts";
import { createHttpFace } from "./http-face.ts";
import { embeddedUpstream, httpUpstream } from "./upstream.ts";

export interface ServedFleet {
  readonly url: string;
  readonly port: number;
  readonly gateway: Gateway;
  /** Takes `file` on between two requests. BadInput, and nothing changed, when it cannot be. */
  reload(file: FleetFile): Promise<void>;
  /** Takes no new connection, lets answers end for at most the file's `drainSeconds`, closes the backends. */
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly say: (line: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Monotonic seconds, for breakers, speeds and limits a minute; the process's own clock unless a test moves it. */
  readonly now?: (() => number) | undefined;
  /** Threads of each embedded engine, and how its model is called. */
  readonly embedded?: { readonly threads: number; readonly name?: string | undefined };
}

const monotonicSeconds = (): number => performance.now() / 1000;

/** BadInput when the port, a key file, an API key or a model directory is not what the file says. */
export async function serveFleet(
  file: FleetFile,
  { say, env, now = monotonicSeconds, embedded }: ServeOptions,
): Promise<ServedFleet> {
  const date = (): number => Date.now() / 1000;
  const secrets = file.tls === undefined ? undefined : readTls(file.tls);
  const fleet = await openFleet(file, openBackend(env, date, embedded ?? { threads: 1 }));
  const gateway = createGateway({ fleet, now, date, say });
  const face = createHttpFace(gateway, {
    created: Math.floor(date()),
    complain: (error) => say(`internal error: ${error.stack ?? error.message}`),
  });
  const { headerBytes, requestSeconds } = file.limits;
  const settings = {
    maxHeaderSize: headerBytes,
    requestTimeout: requestSeconds * 1000,
    headersTimeout: Math.min(20, requestSeconds) * 1000,
    // Longer than the 60 s of common load balancers, so that they and not this end close an idle connection.
    keepAliveTimeout: 65_000,
  };
  const server =
    secrets === undefined
      ? createServer(settings, face.handle)
      : createSecureServer({ ...settings, ...secrets }, face.handle);
  const listening = await listenOn(server, file.listen).catch(async (error: unknown) => {
    await gateway.close();
    throw error;
  });
  return {
    url: listening.url,
    port: listening.port,
    gateway,
    async reload(next) {
      const before = fleet.file;
      if (next.listen.host !== before.listen.host || next.listen.port !== before.listen.port)
        throw new BadInput("listen: the address cannot change while it serves; start anew for that");
      if ((next.tls === undefined) !== (before.tls === undefined))
        throw new BadInput("tls: cannot come or go while it serves; start anew for that");
      const fresh = next.tls === undefined ? undefined : readTls(next.tls);
      await gateway.apply(next);
      if (fresh !== undefined && server instanceof SecureServer) server.setSecureContext(fresh);
    },
    async close() {
      face.draining = true;
      await listening.close({ graceSeconds: fleet.file.drainSeconds });
      await gateway.close();
    },
  };
}

function openBackend(
  env: ServeOptions["env"],
  date: () => number,
  { threads, name }: NonNullable<ServeOptions["embedded"]>,
): OpenBackend {
  return async (backend, { health }) => {
    const where = `backends ${backend.name}`;
    const apiKey = backend.apiKeyEnv === undefined ? undefined : env[backend.apiKeyEnv];
    if (backend.apiKeyEnv !== undefined && !apiKey)
      throw new BadInput(`${where}.apiKeyEnv: ${backend.apiKeyEnv} is not set; export it with the backend's key`);
    if (backend.directory === undefined) {
      if (backend.url === undefined) throw new BadInput(`${where}: give url or directory`);
      const models = new Map(Object.entries(backend.models ?? {}));
      return { upstream: httpUpstream(backend.url, health), models, apiKey, from: backend.url };
    }
    const called = name ?? Object.values(backend.models ?? {})[0];
    const engine = await openEmbedded(backend.directory, { threads, name: called });
    const app = createApp({ backend: engine, now: date, places: 64 });
    const models = new Map(Object.entries(backend.models ?? { [engine.model]: engine.model }));
    return { upstream: embeddedUpstream(app, () => engine.close()), models, apiKey, from: engine.path };
  };
}

function readTls({ certFile, keyFile }: NonNullable<FleetFile["tls"]>): { cert: Buffer; key: Buffer } {
  const read = (key: string, path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === undefined) throw error;
      throw new BadInput(`tls.${key}: ${path} cannot be read (${code}); name a PEM file`);
    }
  };
  return { cert: read("certFile", certFile), key: read("keyFile", keyFile) };
}
