/**
 * Asks a server over HTTP and gives its JSON, whatever it answers.
 * Knows: keys, retries, limits, servers that stream unasked, and how each failure is told in one line. Does not know: what was asked.
 */
import { createParser } from "eventsource-parser";
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";

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

const answerBytesMax = 64 << 20;
const retries = 3;

export interface Reply {
  readonly status: number;
  readonly json: unknown;
  readonly text: string;
}

/** One request, repeated where the server is busy. BadInput where it cannot be reached or answers no JSON; its status is the caller's. */
export async function ask(
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
    if (/[[,:]\s*(NaN|-?Infinity)\b/.test(text)) {
      throw new BadInput(
        `${given}: answers with NaN or Infinity for a probability, which JSON does not have; its model's logits are no numbers, look there`,
      );
    }
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

/** What a reply that is no answer is told as. */
export function refusal(given: string, { status, json, text }: Reply): BadInput {
  if (status === 401 || status === 403) {
    return new BadInput(
      `${given}: refuses the key (${status}); name the variable that holds it with --a-key-env or --b-key-env`,
    );
  }
  const told = z.object({ error: z.object({ message: z.string() }) }).safeParse(json);
  const why = (told.success ? told.data.error.message : text).replace(/\s+/g, " ").slice(0, 200);
  return new BadInput(`${given}: answers ${status}${/^\s*</.test(why) ? "" : ` (${why})`}; mend that and ask again`);
}
