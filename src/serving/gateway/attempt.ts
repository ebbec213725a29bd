/**
 * Asks one backend once, and says how that went; what is good of the answer goes to the client as it comes.
 * Knows: time limits, backpressure, when an answer is whole. Does not know: which backend is next, keys, logs.
 */
import type { LiveBackend } from "./backend-live.ts";
import { meaningOf } from "./chunk.ts";
import type { ClientSide } from "./client-side.ts";
import { eventCutter } from "./events.ts";
import type { Health } from "./fleet-file.ts";
import { garbled } from "./garbled.ts";
import type { Outcome } from "./health.ts";
import { patience } from "./patience.ts";
import { type StreamState, streamPart } from "./stream-state.ts";
import type { Control, Sink } from "./upstream.ts";

export interface WholeAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
  readonly text: string;
  readonly finish: string | undefined;
  readonly usage: { readonly prompt: number; readonly completion: number } | undefined;
}

/** How an attempt ended. Times are monotonic seconds. */
export type Attempt =
  /** The stream is complete at the client. */
  | { readonly kind: "streamed"; readonly firstTokenAt: number | undefined; readonly paused: boolean }
  /** A whole answer that nobody has yet. */
  | { readonly kind: "whole"; readonly answer: WholeAnswer; readonly suspicion: "empty" | "garbled" | undefined }
  /** The backend found the request wrong: its own words are the answer. */
  | { readonly kind: "refused"; readonly answer: WholeAnswer }
  /** Nothing of this attempt reached the client. */
  | {
      readonly kind: "failed";
      readonly outcome: Outcome;
      readonly reason: string;
      readonly retryAfterSeconds?: number | undefined;
      readonly answer?: WholeAnswer;
    }
  /** Part of it did, and no more comes. */
  | { readonly kind: "cut"; readonly reason: string }
  | { readonly kind: "abandoned" };

export interface AttemptOptions {
  readonly backend: LiveBackend;
  readonly client: ClientSide;
  readonly path: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Name of the client's key, if keys are asked for. */
  readonly caller?: string | undefined;
  /** Of a streamed request; absent: the answer comes whole. */
  readonly stream: StreamState | undefined;
  readonly continuing: boolean;
  readonly emptyIsAnswer: boolean;
  /** Headers of the answer, once it begins. */
  readonly answerHeaders: Readonly<Record<string, string>>;
  readonly policy: Health;
  readonly firstTokenSeconds: number;
  /** For an answer that comes whole. */
  readonly answerSeconds: number;
  readonly answerBytesMax: number;
  readonly now: () => number;
}

/** Never rejects. */
export function attempt(options: AttemptOptions): Promise<Attempt> {
  return new Promise((resolve) => {
    const { backend, client, stream, policy } = options;
    let settled = false;
    let control: Control | undefined;
    const settle = (result: Attempt, { stop }: { stop: boolean }): void => {
      if (settled) return;
      settled = true;
      waiting.end();
      client.onGone = undefined;
      if (stop) control?.abort();
      resolve(result);
    };
    let receiver: Receiver | undefined;
    const fail = (reason: string): void => settle(receiver?.broken(reason) ?? failed(reason), { stop: true });
    const waiting = patience(fail);
    const sink: Sink = {
      onStart(status, headers) {
        const contentType = String(headers["content-type"] ?? "application/json");
        if (settled) return;
        if (stream !== undefined && status === 200 && contentType.startsWith("text/event-stream")) {
          receiver = streamReceiver(options, stream, () => control, {
            settle,
            fail,
            refresh: () => waiting.start(policy.stallSeconds, "no token for"),
            hold: () => waiting.end(),
          });
        } else {
          const retryAfter = Number(headers["retry-after"]);
          const retryAfterSeconds = Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : undefined;
          receiver = wholeReceiver(options, { status, contentType, retryAfterSeconds }, { settle, fail });
        }
      },
      onData: (chunk) => {
        if (!settled) receiver?.data(chunk);
      },
      onEnd: () => {
        if (!settled && receiver !== undefined) settle(receiver.end(), { stop: false });
      },
      onError: (error) => fail(describe(error)),
    };
    client.onGone = () => settle({ kind: "abandoned" }, { stop: true });
    if (client.gone) return settle({ kind: "abandoned" }, { stop: true });
    if (stream === undefined) waiting.start(options.answerSeconds, "no answer in");
    else waiting.start(options.firstTokenSeconds, "no token in");
    const { path, body, headers, caller } = options;
    const authorized =
      backend.authorization === undefined ? headers : { ...headers, authorization: backend.authorization };
    control = backend.upstream.send({ method: "POST", path, headers: authorized, body, caller }, sink);
    // The connection was refused before `send` returned.
    if (settled) control.abort();
  });
}

interface Receiver {
  data(chunk: Buffer): void;
  /** The backend sent all it had. */
  end(): Attempt;
  /** The answer breaks off here. */
  broken(reason: string): Attempt;
}

interface Hands {
  settle(result: Attempt, how: { stop: boolean }): void;
  fail(reason: string): void;
}

const failed = (reason: string): Attempt => ({ kind: "failed", outcome: "failed", reason });

function streamReceiver(
  { backend, client, answerHeaders, continuing, emptyIsAnswer, now }: AttemptOptions,
  stream: StreamState,
  control: () => Control | undefined,
  hands: Hands & { refresh(): void; hold(): void },
): Receiver {
  const cutter = eventCutter();
  const part = streamPart(stream, { emptyIsAnswer, continuing: continuing ? backend.file.name : undefined });
  let firstTokenAt: number | undefined;
  let paused = false;
  const broken = (reason: string): Attempt => {
    if (firstTokenAt !== undefined) return { kind: "cut", reason };
    return { kind: "failed", outcome: reason === "empty" ? "empty" : "failed", reason };
  };
  const deliver = (send: Buffer): void => {
    if (firstTokenAt === undefined) {
      firstTokenAt = now();
      if (!client.begun) client.beginStream(answerHeaders);
    }
    if (client.write(send) || paused) return;
    paused = true;
    control()?.pause();
    // A client that reads slowly is no fault of the backend: its limit rests.
    hands.hold();
    client.onDrain(() => {
      paused = false;
      control()?.resume();
      hands.refresh();
    });
  };
  let everPaused = false;
  return {
    data(chunk) {
      const ready: Buffer[] = [];
      let reason: string | undefined;
      for (const event of cutter.push(chunk)) {
        const result = part.take(event);
        if ("broken" in result) reason = result.broken;
        else if (result.send) ready.push(result.send);
        if (reason !== undefined || stream.done) break;
      }
      if (ready.length > 0) deliver(ready.length === 1 && ready[0] ? ready[0] : Buffer.concat(ready));
      everPaused ||= paused;
      if (reason !== undefined) return hands.fail(reason);
      if (stream.done) {
        client.end();
        return hands.settle({ kind: "streamed", firstTokenAt, paused: everPaused }, { stop: false });
      }
      if (firstTokenAt !== undefined && !paused) hands.refresh();
    },
    end() {
      // Some servers end without `[DONE]`; a reason to finish was given, so nothing is missing.
      if (stream.finish === undefined || firstTokenAt === undefined)
        return broken("the stream ended before the answer did");
      stream.done = true;
      client.end("data: [DONE]\n\n");
      return { kind: "streamed", firstTokenAt, paused: everPaused };
    },
    broken,
  };
}

function wholeReceiver(
  { answerBytesMax, stream }: AttemptOptions,
  head: { status: number; contentType: string; retryAfterSeconds: number | undefined },
  { fail }: Hands,
): Receiver {
  const parts: Buffer[] = [];
  let bytes = 0;
  return {
    data(chunk) {
      parts.push(chunk);
      bytes += chunk.length;
      if (bytes > answerBytesMax) fail(`more than ${answerBytesMax} bytes`);
    },
    end() {
      const [first] = parts;
      const body = parts.length === 1 && first ? first : Buffer.concat(parts);
      if (head.status === 200 && stream !== undefined) return failed("a whole answer where a stream was asked for");
      return judged(head, body);
    },
    broken: failed,
  };
}

/** What a whole answer amounts to. */
function judged(
  {
    status,
    contentType,
    retryAfterSeconds,
  }: { status: number; contentType: string; retryAfterSeconds: number | undefined },
  body: Buffer,
): Attempt {
  const plain = { status, contentType, body, text: "", finish: undefined, usage: undefined };
  if (status === 429 || status === 503)
    return { kind: "failed", outcome: "busy", reason: `status ${status}`, retryAfterSeconds, answer: plain };
  // 401, 403 and 404 are between gateway and backend: the client's key was checked, its model is known.
  if (status >= 500 || [401, 403, 404, 408].includes(status))
    return { kind: "failed", outcome: "failed", reason: `status ${status}`, answer: plain };
  if (status !== 200) return status >= 400 ? { kind: "refused", answer: plain } : failed(`status ${status}`);
  let value: unknown;
  try {
    value = JSON.parse(body.toString("utf8"));
  } catch {
    return failed("an answer that is no JSON");
  }
  const meaning = meaningOf(value);
  if (meaning === undefined) return failed("a document that is no answer");
  const suspicion = !meaning.says ? "empty" : garbled(meaning.text) === undefined ? undefined : "garbled";
  const { text, finish, usage } = meaning;
  return { kind: "whole", answer: { ...plain, text, finish, usage }, suspicion };
}

function describe(error: Error): string {
  const code: unknown = Reflect.get(error, "code");
  return typeof code === "string" ? `${code}: ${error.message}` : error.message;
}
