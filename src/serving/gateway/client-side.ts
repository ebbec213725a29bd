/**
 * The client's end of an answer: headers at most once, bytes in order, its pace, and whether it is still there.
 * Knows: one response of node:http, and that pieces which come close together go out together. Does not know: what the bytes say, backends.
 */
import type { ServerResponse } from "node:http";
import { framed } from "./chunk-frame.ts";
import type { GatewayError } from "./gateway-error.ts";
import type { Gathering } from "./gather.ts";

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
  /** The same for an answer in pieces, status 200. */
  beginStream(headers: Readonly<Record<string, string>>): void;
  /** False: the client reads slower than this; call again after `onDrain`. */
  write(bytes: Buffer): boolean;
  onDrain(call: () => void): void;
  end(bytes?: Buffer | string): void;
  /** The whole answer is this error; nothing when one has begun. */
  fail(error: GatewayError, headers?: Readonly<Record<string, string>>): void;
}

/** A copy of so much costs less than a second buffer. */
const joinedBytesMax = 65_536;
/** More than this does not wait for the rest of its moment. */
const gatheredBytesMax = 16_384;

/**
 * `always` are headers that every answer carries. A piece that comes a moment (gather) after the one before goes out at once;
 * others wait for such a moment, or for the end.
 */
export function clientSide(
  response: ServerResponse,
  always: Readonly<Record<string, string>>,
  gather: Gathering,
): ClientSide {
  let bytes = 0;
  let gone = false;
  let framing = false;
  let parts: Buffer[] = [];
  let gatheredBytes = 0;
  let sentAt = Number.NEGATIVE_INFINITY;
  let isPutOff = false;
  let isHeadSent = false;
  /**
   * One system call for all that is there. Node joins the head to a string, not to a buffer (Latin-1 keeps every byte), and holds
   * a write back until the end of its turn, where the end of the answer would make it two.
   */
  const put = (piece: Buffer): boolean => {
    const goesOn =
      isHeadSent || piece.length > joinedBytesMax
        ? response.write(piece)
        : response.write(piece.toString("latin1"), "latin1");
    isHeadSent = true;
    response.socket?.uncork();
    return goesOn;
  };
  const send = (last: boolean): boolean => {
    const frame = framed(parts, { last });
    parts = [];
    gatheredBytes = 0;
    return put(frame);
  };
  const sendGathered = (): void => {
    isPutOff = false;
    if (parts.length === 0 || gone) return;
    sentAt = performance.now();
    send(false);
  };
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
    beginStream(headers) {
      framing = response.req.httpVersionMinor > 0;
      response.writeHead(200, { ...always, ...headers, ...(framing && { "transfer-encoding": "chunked" }) });
      // Node frames a chunk in four buffers and hands them over together; framed here it is one, and costs half.
      if (framing) response.chunkedEncoding = false;
    },
    write(part) {
      bytes += part.length;
      if (!framing) return response.write(part);
      parts.push(part);
      gatheredBytes += part.length;
      const now = performance.now();
      if (now - sentAt >= gather.moment(now) || gatheredBytes > gatheredBytesMax) {
        sentAt = now;
        return send(false);
      }
      if (!isPutOff) gather.later(sendGathered);
      isPutOff = true;
      return !response.writableNeedDrain;
    },
    onDrain(call) {
      response.once("drain", call);
    },
    end(part) {
      if (part !== undefined) bytes += part.length;
      const piece = typeof part === "string" ? Buffer.from(part) : part;
      if (framing) {
        if (piece !== undefined) parts.push(piece);
        send(true);
      } else if (piece !== undefined && piece.length > 0) put(piece);
      response.end();
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
