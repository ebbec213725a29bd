/**
 * An OpenAI-compatible server as a side of a comparison: greedy answers with what log probabilities it offers.
 * Knows: completions and chat completions as vLLM, SGLang, MindIE and OpenAI answer them. Does not know: what the answers are compared with.
 *
 * Servers differ in what they take. What is asked for is tried from most to least, and the first that is not refused stays.
 */
import { createParser } from "eventsource-parser";
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";
import type { Answer, TokenRecord } from "./measure-answers.ts";

export interface UrlOptions {
  readonly model?: string | undefined;
  /** Sent as a bearer token; the value, which its caller read from the environment. */
  readonly key?: string | undefined;
  /** Ask through chat completions, with the prompt as the user's message. */
  readonly chat?: boolean | undefined;
  /** Alternatives asked for per token. */
  readonly topTokens?: number;
  readonly timeoutSeconds?: number;
}

export interface UrlSide {
  readonly url: string;
  readonly model: string;
  /** What the server says of its model, for the report. */
  readonly listing: unknown;
  /** Whether tokens are named by their ids. */
  byId(): boolean;
  /** Whether prompts were scored too. */
  answer(prompt: string | readonly number[], count: number): Promise<Answer>;
}

const answerBytesMax = 64 << 20;
const retries = 3;

export const isUrl = (given: string): boolean => /^https?:\/\//i.test(given);

/** Asks the server for its models; BadInput, one line, when it cannot be reached, refuses, or does not answer as OpenAI does. */
export async function openUrlSide(given: string, options: UrlOptions = {}): Promise<UrlSide> {
  const base = baseOf(given);
  const listing = await ask(given, `${base}/models`, undefined, options);
  if (listing.status !== 200) throw refusal(given, listing);
  const parsed = z.object({ data: z.array(z.looseObject({ id: z.string() })).min(1) }).safeParse(listing.json);
  if (!parsed.success)
    throw new BadInput(`${given}: /v1/models lists no model; give the address of an OpenAI-compatible server`);
  const ids = parsed.data.data.map(({ id }) => id);
  const wanted = options.model ?? (ids.length === 1 ? ids[0] : undefined);
  if (wanted === undefined || !ids.includes(wanted)) {
    const known = ids.slice(0, 8).join(", ");
    throw new BadInput(
      `${given}: ${wanted === undefined ? "has several models" : `has no model ${wanted}`}; choose one of ${known}`,
    );
  }
  let extras = options.chat ? 3 : 0;
  return {
    ...{ url: base, model: wanted, listing: parsed.data.data.find(({ id }) => id === wanted) },
    byId: () => extras < 2 && !options.chat,
    async answer(prompt, count) {
      for (;;) {
        const asked = bodyOf(prompt, count, { ...options, model: wanted, extras });
        const reply = await ask(given, `${base}/${options.chat ? "chat/completions" : "completions"}`, asked, options);
        const mayAskLess = reply.status === 400 || reply.status === 422 || (reply.status === 500 && extras < 2);
        if (mayAskLess && extras < leastExtras) {
          extras++;
          continue;
        }
        if (reply.status === 404 && !options.chat) {
          throw new BadInput(`${given}: offers no /v1/completions; compare two servers with --chat`);
        }
        if (reply.status !== 200) throw refusal(given, reply);
        const read = options.chat ? chatAnswer(reply.json) : completionAnswer(reply.json, extras);
        if (!read) throw new BadInput(`${given}: its answer is no completion; give an OpenAI-compatible server`);
        return read;
      }
    },
  };
}

function baseOf(given: string): string {
  let url: URL;
  try {
    url = new URL(given);
  } catch {
    throw new BadInput(`${given}: is no URL; write it like http://host:8000/v1`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new BadInput(
      `${url.host}: holds a password; put it into an environment variable and name that with --a-key-env or --b-key-env`,
    );
  }
  const path = url.pathname.replace(/\/+$/, "");
  return `${url.origin}${path.endsWith("/v1") ? path : `${path}/v1`}`;
}

/** What each round asks for: prompt scores and ids, ids, prompt scores, log probabilities, nothing. */
const leastExtras = 4;

function bodyOf(
  prompt: string | readonly number[],
  count: number,
  { model, chat, topTokens = 5, extras }: UrlOptions & { extras: number },
): object {
  const common = { model, max_tokens: count, temperature: 0, top_p: 1, seed: 0, stream: false };
  if (chat) {
    const logprobs = extras < leastExtras ? { logprobs: true, top_logprobs: topTokens } : {};
    return { ...common, messages: [{ role: "user", content: prompt }], ...logprobs };
  }
  return {
    ...{ ...common, prompt },
    ...(extras < leastExtras && { logprobs: topTokens }),
    ...((extras === 0 || extras === 2) && { echo: true }),
    ...(extras < 2 && { return_tokens_as_token_ids: true }),
  };
}

interface Reply {
  readonly status: number;
  readonly json: unknown;
  readonly text: string;
}

async function ask(
  given: string,
  url: string,
  body: object | undefined,
  options: UrlOptions,
  attempt = 0,
): Promise<Reply> {
  const { key, timeoutSeconds = 600 } = options;
  let text: string;
  let response: Response;
  try {
    response = await fetch(url, {
      method: body ? "POST" : "GET",
      headers: {
        accept: "application/json",
        ...(body && { "content-type": "application/json" }),
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      ...(body && { body: JSON.stringify(body) }),
      // A redirect could carry the key to somebody else.
      redirect: "error",
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    });
    text = await readBody(response, given);
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw new BadInput(`${given}: cannot be reached or broke off (${reasonOf(error)}); check that it is up`);
  }
  const busy = response.status === 429 || response.status === 502 || response.status === 503;
  if (busy && attempt < retries) {
    await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    return ask(given, url, body, options, attempt + 1);
  }
  const type = response.headers.get("content-type") ?? "";
  if (type.includes("text/event-stream")) return { status: response.status, json: fromEvents(text, given), text };
  try {
    return { status: response.status, json: JSON.parse(text), text };
  } catch {
    if (response.status !== 200) return { status: response.status, json: undefined, text };
    const what = /^\s*</.test(text) ? "HTML" : "something that is no JSON, or is cut short";
    throw new BadInput(`${given}: answers ${what}; give the address of the server's API, like http://host:8000/v1`);
  }
}

async function readBody(response: Response, given: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    if (!(part instanceof Uint8Array)) throw new TypeError("a body gives bytes");
    bytes += part.length;
    if (bytes > answerBytesMax)
      throw new BadInput(`${given}: an answer is larger than ${answerBytesMax} bytes; ask for fewer --tokens`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (cause instanceof Error && "code" in cause) return String(cause.code);
  return cause instanceof Error ? (cause.message.split("\n")[0] ?? cause.name) : String(cause);
}

const Chunk = z.looseObject({ choices: z.array(z.looseObject({ text: z.string().optional() })).default([]) });

/** Some servers stream whatever was asked: the chunks' texts are joined, and a stream without its end is refused. */
function fromEvents(text: string, given: string): unknown {
  const texts: string[] = [];
  let ended = false;
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === "[DONE]") {
        ended = true;
        return;
      }
      try {
        texts.push(Chunk.parse(JSON.parse(data)).choices[0]?.text ?? "");
      } catch {
        throw new BadInput(`${given}: streams something that is no completion; give an OpenAI-compatible server`);
      }
    },
  });
  parser.feed(text);
  if (!ended) throw new BadInput(`${given}: its stream broke off before its end; ask again`);
  return { choices: [{ text: texts.join(""), logprobs: null }] };
}

function refusal(given: string, { status, json, text }: Reply): BadInput {
  if (status === 401 || status === 403) {
    return new BadInput(
      `${given}: refuses the key (${status}); name the variable that holds it with --a-key-env or --b-key-env`,
    );
  }
  const told = z.object({ error: z.object({ message: z.string() }) }).safeParse(json);
  const why = (told.success ? told.data.error.message : text).replace(/\s+/g, " ").slice(0, 200);
  return new BadInput(`${given}: answers ${status}${/^\s*</.test(why) ? "" : ` (${why})`}; mend that and ask again`);
}

const Legacy = z.looseObject({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullish(),
});
const Completion = z.looseObject({
  usage: z.looseObject({ prompt_tokens: z.number().optional() }).nullish(),
  choices: z.array(z.looseObject({ text: z.string(), logprobs: Legacy.nullish() })).min(1),
});

function completionAnswer(json: unknown, extras: number): Answer | undefined {
  const parsed = Completion.safeParse(json);
  const choice = parsed.success ? parsed.data.choices[0] : undefined;
  if (!parsed.success || !choice) return undefined;
  const { logprobs } = choice;
  if (!logprobs) return { text: choice.text, tokens: [], prompt: [] };
  const records = logprobs.tokens.map((token, index): TokenRecord => {
    const logprob = logprobs.token_logprobs[index] ?? Number.NaN;
    const top = new Map(Object.entries(logprobs.top_logprobs?.[index] ?? {}));
    // Servers list the chosen token or leave it out when it is not among the likeliest.
    if (top.size > 0 && !Number.isNaN(logprob)) top.set(token, logprob);
    return { token, logprob, top };
  });
  const echoed = extras === 0 || extras === 2 ? (parsed.data.usage?.prompt_tokens ?? 0) : 0;
  const prompt = records.slice(0, echoed);
  return { text: choice.text, tokens: records.slice(echoed), prompt };
}

const ChatLogprob = z.looseObject({
  token: z.string(),
  logprob: z.number(),
  top_logprobs: z.array(z.looseObject({ token: z.string(), logprob: z.number() })).default([]),
});
const Chat = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        message: z.looseObject({ content: z.string().nullable() }),
        logprobs: z.looseObject({ content: z.array(ChatLogprob).nullish() }).nullish(),
      }),
    )
    .min(1),
});

function chatAnswer(json: unknown): Answer | undefined {
  const parsed = Chat.safeParse(json);
  const choice = parsed.success ? parsed.data.choices[0] : undefined;
  if (!choice) return undefined;
  const tokens = (choice.logprobs?.content ?? []).map(({ token, logprob, top_logprobs: top }): TokenRecord => {
    const listed = new Map(top.map((one) => [one.token, one.logprob]));
    if (listed.size > 0) listed.set(token, logprob);
    return { token, logprob, top: listed };
  });
  return { text: choice.message.content ?? "", tokens, prompt: [] };
}
