/**
 * Sends a request to one backend and hands its answer over byte by byte, whether it sits behind a URL or in this process.
 * Knows: connection pools, pausing, giving up. Does not know: what is asked or answered, other backends.
 */
import type { Hono } from "hono";
import { Pool } from "undici";
import { callerHeader } from "../app.ts";

/** What is called as the answer comes: onStart once, then onData, then exactly one of onEnd and onError. */
export interface Sink {
  onStart(status: number, headers: Readonly<Record<string, string | string[] | undefined>>): void;
  onData(chunk: Buffer): void;
  onEnd(): void;
  onError(error: Error): void;
}

/** What the receiver may do meanwhile; nothing is called after `abort`. */
export interface Control {
  pause(): void;
  resume(): void;
  abort(): void;
}

export interface UpstreamRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | undefined;
  /** Whose turn it takes at a backend that answers clients in turn; no server behind a URL learns it. */
  readonly caller?: string | undefined;
}

export interface Upstream {
  send(request: UpstreamRequest, sink: Sink): Control;
  /** Called when nothing is in flight that anybody waits for. */
  close(): Promise<void>;
}

/** A server at `url`. Time limits on answers are the receiver's; only connecting has its own. */
export function httpUpstream(url: string, { connectSeconds }: { connectSeconds: number }): Upstream {
  const { origin, pathname } = new URL(url);
  const prefix = pathname.replace(/\/+$/, "");
  const pool = new Pool(origin, {
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectSeconds * 1000 },
  });
  return {
    send({ method, path, headers, body }, sink) {
      let aborted = false;
      let paused = false;
      let controller: { pause(): void; resume(): void; abort(reason: Error): void } | undefined;
      const handler = {
        onRequestStart(given: NonNullable<typeof controller>): void {
          controller = given;
          if (aborted) given.abort(new Error("given up"));
        },
        onResponseStart(
          _: unknown,
          status: number,
          answerHeaders: Record<string, string | string[] | undefined>,
        ): void {
          if (!aborted && status >= 200) sink.onStart(status, answerHeaders);
        },
        onResponseData(_: unknown, chunk: Buffer): void {
          if (!aborted) sink.onData(chunk);
        },
        onResponseEnd(): void {
          if (!aborted) sink.onEnd();
        },
        onResponseError(_: unknown, error: Error): void {
          if (!aborted) sink.onError(error);
        },
      };
      pool.dispatch({ method, path: prefix + path, headers, body: body ?? null }, handler);
      return {
        pause() {
          if (!paused) controller?.pause();
          paused = true;
        },
        resume() {
          if (paused) controller?.resume();
          paused = false;
        },
        abort() {
          if (aborted) return;
          aborted = true;
          controller?.abort(new Error("given up"));
        },
      };
    },
    close: () => pool.destroy(),
  };
}

/** The embedded endpoint, called without a socket; `close` frees the engine. */
export function embeddedUpstream(app: Hono, close: () => Promise<void>): Upstream {
  return {
    send({ method, path, headers, body, caller }, sink) {
      const abandon = new AbortController();
      let go: (() => void) | undefined;
      let paused = false;
      const run = async (): Promise<void> => {
        const request = new Request(`http://embedded${path}`, {
          method,
          headers: caller === undefined ? headers : { ...headers, [callerHeader]: caller },
          signal: abandon.signal,
          ...(body && { body: new Uint8Array(body) }),
        });
        const response = await app.fetch(request);
        if (abandon.signal.aborted) return void response.body?.cancel();
        sink.onStart(response.status, Object.fromEntries(response.headers));
        const reader = response.body?.getReader();
        abandon.signal.addEventListener("abort", () => void reader?.cancel().catch(() => undefined));
        for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
          if (abandon.signal.aborted) return;
          sink.onData(Buffer.from(part.value.buffer, part.value.byteOffset, part.value.byteLength));
          if (paused) await new Promise<void>((resolve) => (go = resolve));
        }
        if (!abandon.signal.aborted) sink.onEnd();
      };
      // The caller gets its control before the first call.
      queueMicrotask(() => {
        run().catch((error: unknown) => {
          if (!abandon.signal.aborted) sink.onError(error instanceof Error ? error : new Error(String(error)));
        });
      });
      return {
        pause() {
          paused = true;
        },
        resume() {
          paused = false;
          go?.();
        },
        abort() {
          abandon.abort(new Error("given up"));
          go?.();
        },
      };
    },
    close,
  };
}
