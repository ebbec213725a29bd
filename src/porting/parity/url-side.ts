/**
 * An OpenAI-compatible server as a side of a comparison: greedy answers with what log probabilities it offers.
 * Knows: completions and chat completions as vLLM, SGLang, MindIE and OpenAI answer them. Does not know: what the answers are compared with.
 *
 * Servers differ in what they take. What is asked for is tried from most to least, and the first that is not refused stays.
 */
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";
import { ask, refusal, type UrlOptions } from "./ask-server.ts";
import type { Answer, TokenRecord } from "./measure-answers.ts";
import { type ScoredText, serverScorer, type TextToScore, unclamped } from "./score-text.ts";

export interface UrlSide {
  readonly url: string;
  readonly model: string;
  /** What the server says of its model, for the report. */
  readonly listing: unknown;
  /** Whether tokens are named by their ids. */
  byId(): boolean;
  answer(prompt: string | readonly number[], count: number): Promise<Answer>;
  /** Every token of a text as the server reads it, likeliest tokens beside it; undefined where it offers no such thing. */
  score(text: TextToScore): Promise<ScoredText | undefined>;
}

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
  let extras = options.chat ? 1 : 0;
  // A server may take a field and pass over it: what counts is how it named the tokens of its last answer.
  let byId = false;
  const score = serverScorer({ given, base, model: wanted, options });
  return {
    score,
    ...{ url: base, model: wanted, listing: parsed.data.data.find(({ id }) => id === wanted) },
    byId: () => byId,
    async answer(prompt, count) {
      for (;;) {
        const asked = bodyOf(prompt, count, { ...options, model: wanted, extras });
        const reply = await ask(given, `${base}/${options.chat ? "chat/completions" : "completions"}`, asked, options);
        const mayAskLess = reply.status === 400 || reply.status === 422 || (reply.status === 500 && extras === 0);
        if (mayAskLess && extras < leastExtras) {
          extras++;
          continue;
        }
        if (reply.status === 404 && !options.chat) {
          throw new BadInput(`${given}: offers no /v1/completions; compare two servers with --chat`);
        }
        if (reply.status !== 200) throw refusal(given, reply);
        const read = options.chat ? chatAnswer(reply.json) : completionAnswer(reply.json);
        if (!read) throw new BadInput(`${given}: its answer is no completion; give an OpenAI-compatible server`);
        byId = read.tokens.length > 0 && read.tokens.every(({ token }) => /^token_id:\d+$/.test(token));
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

/** What each round asks for: log probabilities by token id, log probabilities, nothing. */
const leastExtras = 2;

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
    ...(extras === 0 && { return_tokens_as_token_ids: true }),
  };
}

const Legacy = z.looseObject({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()).nullish(),
});
const Completion = z.looseObject({
  choices: z.array(z.looseObject({ text: z.string(), logprobs: Legacy.nullish() })).min(1),
});

function completionAnswer(json: unknown): Answer | undefined {
  const parsed = Completion.safeParse(json);
  const choice = parsed.success ? parsed.data.choices[0] : undefined;
  if (!parsed.success || !choice) return undefined;
  const { logprobs } = choice;
  if (!logprobs) return { text: choice.text, tokens: [], prompt: [] };
  const records = logprobs.tokens.map((token, index): TokenRecord => {
    const logprob = unclamped(logprobs.token_logprobs[index] ?? Number.NaN);
    const top = new Map(
      Object.entries(logprobs.top_logprobs?.[index] ?? {}).map(([one, value]) => [one, unclamped(value)]),
    );
    // Servers list the chosen token or leave it out when it is not among the likeliest.
    if (top.size > 0 && !Number.isNaN(logprob)) top.set(token, logprob);
    return { token, logprob, top };
  });
  return { text: choice.text, tokens: records, prompt: [] };
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
    const listed = new Map(top.map((one) => [one.token, unclamped(one.logprob)]));
    if (listed.size > 0) listed.set(token, unclamped(logprob));
    return { token, logprob: unclamped(logprob), top: listed };
  });
  return { text: choice.message.content ?? "", tokens, prompt: [] };
}
