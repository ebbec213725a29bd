/**
 * The client's end of an answer: headers at most once, bytes in order, its pace, and whether it is still there.
 * Knows: one response of node:http. Does not know: what the bytes say, backends.
 */
import type { ServerResponse } from "node:http";
import type { GatewayError } from "./gateway-error.ts";

export interface ClientSide {
  /** The client went away before its answer was complete. */
  readonly gone: boolean;
  /** Status and headers are on their way: no other answer can begin. */
  readonly begun: boolean;
  readonly status: number;
  readonly bytes: number;
  /** Called once, at once, if the client goes away; the newest caller replaces the one before. */
  onGone: (() => void) | undefined;
  begin(status: number, headers: Readonly<Record<string, string>>): void;
  /** False: the client reads slower than this; call again after `onDrain`. */
  write(bytes: Buffer | string): boolean;
  onDrain(call: () => void): void;
  end(bytes?: Buffer | string): void;
  /** The whole answer is this error; nothing when one has begun. */
  fail(error: GatewayError, headers?: Readonly<Record<string, string>>): void;
}

/** `always` are headers that every answer carries. */
export function clientSide(response: ServerResponse, always: Readonly<Record<string, string>>): ClientSide {
  let bytes = 0;
  let gone = false;
  const side: ClientSide = {
    get gone() {
      return gone;
    },
    get begun() {
      return response.headersSent;
    },
    get status() {
      return response.statusCode;
    },
    get bytes() {
      return bytes;
    },
    onGone: undefined,
    begin(status, headers) {
      response.writeHead(status, { ...always, ...headers });
    },
    write(part) {
      bytes += part.length;
      return response.write(part);
    },
    onDrain(call) {
      response.once("drain", call);
    },
    end(part) {
      if (part !== undefined) bytes += part.length;
      response.end(part);
    },
    fail(error, headers = {}) {
      if (response.headersSent || gone) return;
      const body = Buffer.from(JSON.stringify(error.document()));
      side.begin(error.status, {
        "content-type": "application/json; charset=utf-8",
        "content-length": String(body.length),
        ...(error.retryAfterSeconds !== undefined && { "retry-after": String(Math.ceil(error.retryAfterSeconds)) }),
        ...headers,
      });
      side.end(body);
    },
  };
  response.once("close", () => {
    if (response.writableFinished) return;
    gone = true;
    side.onGone?.();
  });
  return side;
}
