/**
 * A real HTTP server that answers like vLLM does, with text that follows from the request alone, and that breaks on command.
 * Knows: OpenAI's documents, continuation, ways to fail. Does not know: the gateway. It emulates an engine; no model answers.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Ways to be ill. `cut…` and later ones break answers in the middle. */
export const illnesses = [
  ...["error-500", "busy-429", "garbage", "half-json", "empty", "freeze", "slow"],
  ...["cut", "freeze-in-stream", "error-in-stream", "bad-utf8", "dead"],
] as const;
export type Illness = (typeof illnesses)[number];

export interface MockBackend {
  readonly url: string;
  readonly name: string;
  illness: Illness | undefined;
  /** What a broken model says instead. */
  says: ((expected: string) => string) | undefined;
  /** How often each illness struck a request. */
  readonly struck: Record<string, number>;
  readonly requests: { path: string; headers: IncomingMessage["headers"]; body: string }[];
  /** What it was asked when it was `empty`. */
  readonly saidNothingTo: Set<string>;
  /** Answers being given now, and those whose reader went away. */
  running: number;
  abandoned: number;
  /** Takes the port away with all connections, as a killed process does; and gives it back. */
  die(): Promise<void>;
  revive(): Promise<void>;
  close(): Promise<void>;
}

export interface MockOptions {
  readonly name?: string;
  readonly pieceMilliseconds?: number;
  readonly keep?: boolean;
}

/** The words that every sound mock answers `question` with: pieces of text, umlauts and Han included. */
export function answerTo(question: string, pieces = 12): string[] {
  const hash = createHash("sha256").update(question).digest();
  const words = [
    "sea",
    "whale",
    "über",
    "鲸",
    "ship",
    "deep",
    "\n",
    "“no”",
    "ropes",
    "sun",
    "\\",
    "salt",
    "é",
    "🐳",
    "tar",
    "ice",
  ];
  return Array.from({ length: pieces }, (_, n) => `${n} ${words[(hash[n % 32] ?? 0) % 16]} `);
}

export async function mockBackend({
  name = "mock",
  pieceMilliseconds = 0,
  keep = true,
}: MockOptions = {}): Promise<MockBackend> {
  let server: Server;
  let port = 0;
  const listen = async (): Promise<void> => {
    server = createServer((request, response) => void handle(request, response));
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    port = (server.address() as AddressInfo).port;
  };
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString("utf8");
    const path = request.url ?? "/";
    if (keep) mock.requests.push({ path, headers: request.headers, body });
    mock.running++;
    response.once("close", () => {
      mock.running--;
      if (!response.writableFinished) mock.abandoned++;
    });
    await answer(mock, path, JSON.parse(body), response, pieceMilliseconds);
  }

  const mock: MockBackend = {
    get url() {
      return `http://127.0.0.1:${port}`;
    },
    name,
    ...{
      illness: undefined,
      says: undefined,
      struck: {},
      requests: [],
      saidNothingTo: new Set<string>(),
      running: 0,
      abandoned: 0,
    },
    die: stop,
    revive: listen,
    close: async () => {
      if (server.listening) await stop();
    },
  };
  await listen();
  return mock;
}

interface Body {
  model: string;
  stream?: boolean;
  stream_options?: { include_usage?: boolean };
  messages?: { role: string; content: string }[];
  prompt?: string;
  input?: string | string[];
  max_tokens?: number;
  temperature?: number;
  tools?: unknown[];
  continue_final_message?: boolean;
  reasoning?: boolean;
}

/** What is asked and what of its answer is there already. A completion's prompt ends its question with `|`. */
function split(body: Body): { question: string; given: string } {
  const last = body.messages?.at(-1);
  if (body.messages !== undefined) {
    const continues = body.continue_final_message === true && last?.role === "assistant";
    const question = continues ? body.messages.at(-2) : last;
    return { question: question?.content ?? "", given: continues ? (last?.content ?? "") : "" };
  }
  const prompt = body.prompt ?? "";
  const end = prompt.indexOf("|") + 1;
  return { question: prompt.slice(0, end), given: prompt.slice(end) };
}

async function answer(
  mock: MockBackend,
  path: string,
  body: Body,
  response: ServerResponse,
  pieceMilliseconds: number,
): Promise<void> {
  const { illness } = mock;
  const struck = (): void => {
    if (illness !== undefined) mock.struck[illness] = (mock.struck[illness] ?? 0) + 1;
  };
  const whole = (status: number, document: unknown): void => {
    response
      .writeHead(status, { "content-type": "application/json" })
      .end(typeof document === "string" ? document : JSON.stringify(document));
  };
  const failures: Partial<Record<Illness, () => void>> = {
    freeze: () => undefined,
    "error-500": () => whole(500, { error: { message: "engine dead" } }),
    "busy-429": () => whole(429, { error: { message: "full" } }),
    garbage: () => whole(200, "<html>502 Bad Gateway</html>"),
  };
  const failure = illness && failures[illness];
  if (failure) {
    struck();
    return failure();
  }
  if (path === "/v1/embeddings") {
    const data = [body.input ?? ""]
      .flat()
      .map((input, index) => ({ object: "embedding", index, embedding: [input.length, 0.5] }));
    return whole(200, { object: "list", model: body.model, data, usage: { prompt_tokens: 3, total_tokens: 3 } });
  }
  const { question, given } = split(body);
  const pieces = illness === "empty" ? [] : answerTo(question).slice(0, body.max_tokens === undefined ? undefined : 12);
  const full = mock.says ? mock.says(pieces.join("")) : pieces.join("");
  if (illness === "empty") {
    struck();
    mock.saidNothingTo.add(question);
  }
  // An engine continues whatever it is given; one that was given something else than the beginning would show here.
  if (illness !== "empty" && !full.startsWith(given))
    return whole(400, { error: { message: `not a beginning: ${given}` } });
  const chat = path === "/v1/chat/completions";
  const id = `${chat ? "chatcmpl" : "cmpl"}-${mock.name}-${createHash("sha256").update(question).digest("hex").slice(0, 8)}`;
  const base = { id, object: chat ? "chat.completion" : "text_completion", created: 1_700_000_000, model: body.model };
  const rest = full.slice(given.length);
  const words = rest.match(/\d+ .*? (?=\d|$)/gsu) ?? (rest === "" ? [] : [rest]);
  const usage = {
    prompt_tokens: 7 + (given.match(/\d+ /g)?.length ?? 0),
    completion_tokens: words.length,
    total_tokens: 0,
  };
  usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
  const answering = { body, chat, base, words, usage, response, illness, struck, pieceMilliseconds };
  await (body.stream === true ? stream(mock, answering) : atOnce(answering, rest, whole));
}

async function atOnce(
  { body, chat, base, words, usage, response, illness, struck, pieceMilliseconds }: Answering,
  text: string,
  whole: (status: number, document: unknown) => void,
): Promise<void> {
  if (illness === "slow" || illness === "half-json") struck();
  await pause(pieceMilliseconds * words.length * (illness === "slow" ? 10 : 1));
  if (illness === "cut" || illness === "freeze-in-stream") {
    struck();
    response.writeHead(200, { "content-type": "application/json", "content-length": 500 });
    response.write('{"id":', () => illness === "cut" && response.destroy());
    return;
  }
  const call = { id: "call_1", type: "function", function: { name: "f", arguments: '{"x":1}' } };
  const message = {
    ...{ role: "assistant", content: text },
    ...(body.reasoning && { reasoning_content: "hm" }),
    ...(body.tools && { tool_calls: [call] }),
  };
  const choice = { index: 0, ...(chat ? { message } : { text }), logprobs: null, finish_reason: "stop" };
  const document = JSON.stringify({ ...base, choices: [choice], usage });
  whole(200, illness === "half-json" ? document.slice(0, document.length / 2) : document);
}

interface Answering {
  body: Body;
  chat: boolean;
  base: object;
  words: string[];
  usage: object;
  response: ServerResponse;
  illness: Illness | undefined;
  struck: () => void;
  pieceMilliseconds: number;
}

async function stream(
  mock: MockBackend,
  { body, chat, base, words, usage, response, illness, struck, pieceMilliseconds }: Answering,
): Promise<void> {
  const event = (choice: object | undefined, more: object = {}): string =>
    `data: ${JSON.stringify({ ...base, object: chat ? "chat.completion.chunk" : "text_completion", choices: choice ? [choice] : [], ...more })}\n\n`;
  const say = (text: string): string =>
    event(chat ? { index: 0, delta: { content: text }, finish_reason: null } : { index: 0, text, finish_reason: null });
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  if (chat) response.write(event({ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }));
  if (body.reasoning) response.write(event({ index: 0, delta: { reasoning_content: "hm" }, finish_reason: null }));
  const breaksAt = 1 + (words.length >> 1);
  for (const [n, word] of words.entries()) {
    if (illness === "slow" && n === 0) struck();
    if (pieceMilliseconds > 0) await pause(illness === "slow" ? pieceMilliseconds * 10 : pieceMilliseconds);
    if (response.destroyed) return;
    // The illness of the moment, so that one that comes strikes answers that have begun.
    const now = mock.illness ?? illness;
    if (
      n === breaksAt &&
      (now === "cut" ||
        now === "freeze-in-stream" ||
        now === "half-json" ||
        now === "error-in-stream" ||
        now === "bad-utf8")
    ) {
      mock.struck[now] = (mock.struck[now] ?? 0) + 1;
      if (now === "cut") return void response.write(say(word).slice(0, 30), () => response.destroy());
      if (now === "half-json") return void response.end(`${say(word).slice(0, 40)}\n\n`);
      if (now === "error-in-stream") return void response.end('data: {"error":{"message":"cuda error"}}\n\n');
      if (now === "bad-utf8")
        return void response.end(Buffer.from([0x64, 0x61, 0x74, 0x61, 0x3a, 0x20, 0xff, 0xfe, 0x0a, 0x0a]));
      return;
    }
    if (!response.write(say(word)))
      await new Promise<void>((resolve) => response.once("drain", resolve).once("close", resolve));
  }
  if (body.tools !== undefined) {
    const call = { index: 0, id: "call_1", type: "function", function: { name: "f", arguments: '{"x":1}' } };
    response.write(event({ index: 0, delta: { tool_calls: [call] }, finish_reason: null }));
  }
  const reason = body.tools === undefined ? "stop" : "tool_calls";
  response.write(
    event(chat ? { index: 0, delta: {}, finish_reason: reason } : { index: 0, text: "", finish_reason: reason }),
  );
  if (body.stream_options?.include_usage) response.write(event(undefined, { usage }));
  response.end("data: [DONE]\n\n");
}

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
