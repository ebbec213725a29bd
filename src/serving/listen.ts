/**
 * Opens the socket for an endpoint and closes it without cutting off an answer.
 * Knows: ports, connections, what an occupied port means to a person. Does not know: routes.
 */
import { createServer, type IncomingMessage, Server } from "node:http";
import { Server as SecureServer } from "node:https";
import type { Socket } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { Hono } from "hono";
import { BadInput } from "../spec/bad-input.ts";

export interface Listening {
  /** `http://host:port` (or https), without a slash at the end. */
  readonly url: string;
  readonly port: number;
  /** Takes no new connection, lets answers end for at most `graceSeconds`, then cuts the rest off. */
  close(options: { graceSeconds: number }): Promise<void>;
}

/** BadInput when the port is taken, not allowed, or the host is no address of this machine. `port` 0 takes a free one. */
export async function listen(app: Hono, { host, port }: { host: string; port: number }): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    createServer,
    serverOptions: { maxHeaderSize: 16_384, requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: 5_000 },
  });
  if (!(server instanceof Server)) throw new Error("createServer makes a Server");
  return listenOn(server, { host, port });
}

/** The same for a server that answers by itself, with or without TLS. */
export async function listenOn(
  server: Server | SecureServer,
  { host, port }: { host: string; port: number },
): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(refusal(error, host, port)));
    server.listen(port, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has an address");
  const unasked = unaskedConnections(server);
  const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    url: `${server instanceof SecureServer ? "https" : "http"}://${name}:${address.port}`,
    port: address.port,
    close({ graceSeconds }) {
      return new Promise((resolve) => {
        const cut = setTimeout(() => server.closeAllConnections(), graceSeconds * 1000);
        // A connection that was kept alive for its next request counts as idle only once its answer has ended.
        const sweep = setInterval(() => server.closeIdleConnections(), 50);
        for (const socket of unasked) socket.destroy();
        server.close(() => {
          clearTimeout(cut);
          clearInterval(sweep);
          resolve();
        });
      });
    },
  };
}

/**
 * Connections on which nothing was ever asked: clients open them to have them ready. Node counts them as busy until its time limit
 * for headers, and would keep a server from closing so long.
 */
function unaskedConnections(server: Server | SecureServer): ReadonlySet<Socket> {
  const unasked = new Set<Socket>();
  server.on(server instanceof SecureServer ? "secureConnection" : "connection", (socket: Socket) => {
    unasked.add(socket);
    socket.once("close", () => unasked.delete(socket));
  });
  server.on("request", ({ socket }: IncomingMessage) => unasked.delete(socket));
  return unasked;
}

function refusal(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case "EADDRINUSE":
      return new BadInput(`--port ${port}: another program listens there; choose another, or 0 for a free one`);
    case "EACCES":
      return new BadInput(`--port ${port}: this user may not listen there; choose one above 1023`);
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new BadInput(`--host ${host}: not an address of this machine; use 127.0.0.1 or 0.0.0.0`);
    default:
      return error;
  }
}
