/**
 * Has a server score a text that it did not write, token by token, so that two sides are held against each other on the same text.
 * Knows: vLLM's prompt_logprobs, SGLang's /generate, OpenAI's echo, and that MindIE offers none of them. Does not know: what scores are compared with.
 * Sources: vllm-project/vllm entrypoints/openai protocol.py (CompletionResponseChoice.prompt_logprobs, ChatCompletionResponse.prompt_logprobs,
 * clamp_prompt_logprobs) and logprobs.py; sgl-project/sglang native API (meta_info.input_token_logprobs, input_top_logprobs); MindIE 2.1
 * service development guide, v1/completions (`logprobs` 0 to 5; neither echo nor scores of a prompt). All read 2026-11-24.
 */
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";
import { ask, type Reply, refusal, type UrlOptions } from "./ask-server.ts";
import type { TokenRecord } from "./measure-answers.ts";

/** A prompt and an answer to it, as ids where both are known as such. */
export interface TextToScore {
  readonly prompt: string;
  readonly answer: string;
  readonly ids?: readonly number[] | undefined;
}

export interface ScoredText {
  /** What gave the scores. */
  readonly by: "prompt_logprobs" | "/generate" | "echo" | "the embedded engine" | "its ONNX graphs";
  /** The first has no probability; an empty name is a token among the likeliest that the server did not name. */
  readonly tokens: readonly TokenRecord[];
}

interface Server {
  readonly given: string;
  /** Ends in /v1. */
  readonly base: string;
  readonly model: string;
  readonly options: UrlOptions;
}

type Way = (server: Server, text: TextToScore) => Promise<ScoredText | undefined>;

/** Tries each way once and keeps the first that gives scores; after none did, nothing is asked any more. */
export function serverScorer(server: Server): (text: TextToScore) => Promise<ScoredText | undefined> {
  let ways: readonly Way[] = server.options.chat ? [chatPrompt] : [promptLogprobs, generate, echo];
  return async (text) => {
    for (const way of ways) {
      const scored = await way(server, text);
      if (!scored) continue;
      ways = [way];
      return scored;
    }
    ways = [];
    return undefined;
  };
}

/** Servers put this where a probability is 0, because JSON has no −∞. */
const clamped = -9999;

export const unclamped = (logprob: number): number => (logprob <= clamped ? Number.NEGATIVE_INFINITY : logprob);

const top = ({ topTokens = 5 }: UrlOptions): number => topTokens;

const common = ({ model }: Server): object => ({
  model,
  temperature: 0,
  top_p: 1,
  seed: 0,
  stream: false,
  max_tokens: 1,
});

/** Undefined where the server does not know what it was asked; BadInput where it fails or refuses the key. */
async function offered(server: Server, path: string, body: object): Promise<Reply | undefined> {
  const reply = await ask(server.given, path, body, server.options);
  if (reply.status === 200) return reply;
  if ([400, 404, 405, 422, 500, 501].includes(reply.status)) return undefined;
  throw refusal(server.given, reply);
}

/** By token id, as vLLM keys them in JSON. */
const PromptLogprobs = z.array(
  z
    .record(z.string().regex(/^\d{1,9}$/), z.looseObject({ logprob: z.number().nullable(), rank: z.int().nullish() }))
    .nullable(),
);
const VllmCompletion = z.looseObject({
  choices: z
    .array(z.looseObject({ prompt_logprobs: PromptLogprobs.nullish(), prompt_token_ids: z.array(z.int()).nullish() }))
    .min(1),
});
const VllmChat = z.looseObject({
  prompt_logprobs: PromptLogprobs.nullish(),
  prompt_token_ids: z.array(z.int()).nullish(),
});

async function promptLogprobs(server: Server, { prompt, answer, ids }: TextToScore): Promise<ScoredText | undefined> {
  const asked = {
    ...common(server),
    prompt: ids ?? prompt + answer,
    prompt_logprobs: top(server.options),
    return_token_ids: true,
  };
  // A server that refuses what it does not know may still know the other.
  const { return_token_ids: _, ...less } = asked;
  for (const body of [asked, less]) {
    const reply = await offered(server, `${server.base}/completions`, body);
    const parsed = VllmCompletion.safeParse(reply?.json);
    const choice = parsed.success ? parsed.data.choices[0] : undefined;
    if (choice?.prompt_logprobs) return fromVllm(server, choice.prompt_logprobs, ids ?? choice.prompt_token_ids);
  }
  return undefined;
}

/** The chat's template comes first, then the prompt in it, then the answer as the assistant's own unfinished words. */
async function chatPrompt(server: Server, { prompt, answer }: TextToScore): Promise<ScoredText | undefined> {
  const user = { role: "user", content: prompt };
  const messages = answer === "" ? [user] : [user, { role: "assistant", content: answer }];
  const unfinished = answer === "" ? {} : { add_generation_prompt: false, continue_final_message: true };
  const asked = {
    ...common(server),
    ...unfinished,
    messages,
    prompt_logprobs: top(server.options),
    return_token_ids: true,
  };
  const { return_token_ids: _, ...less } = asked;
  for (const body of [asked, less]) {
    const reply = await offered(server, `${server.base}/chat/completions`, body);
    const parsed = VllmChat.safeParse(reply?.json);
    if (parsed.success && parsed.data.prompt_logprobs) {
      return fromVllm(server, parsed.data.prompt_logprobs, parsed.data.prompt_token_ids);
    }
  }
  return undefined;
}

type VllmEntry = z.infer<typeof PromptLogprobs>[number];

function fromVllm(
  { given, options }: Server,
  entries: readonly VllmEntry[],
  ids: readonly number[] | null | undefined,
): ScoredText {
  if (ids && ids.length !== entries.length) {
    throw new BadInput(
      `${given}: scores ${entries.length} tokens of ${ids.length}; its prompt_logprobs are cut short, ask with a shorter text`,
    );
  }
  const tokens = entries.map((entry, index): TokenRecord => {
    const id = ids?.[index] ?? ownToken(entry, top(options));
    const listed = new Map(
      Object.entries(entry ?? {}).map(([key, { logprob }]) => [tokenId(Number(key)), unclamped(logprob ?? Number.NaN)]),
    );
    const token = id === undefined ? "" : tokenId(id);
    return { token, logprob: listed.get(token) ?? Number.NaN, top: listed };
  });
  return { by: "prompt_logprobs", tokens };
}

/** The text's own token where it is beside the likeliest and not among them: the one of the worst rank. The first token has no entry. */
function ownToken(entry: VllmEntry, likeliest: number): number | undefined {
  const listed = Object.entries(entry ?? {});
  if (listed.length <= likeliest) return undefined;
  const worst = listed.reduce((most, one) => ((one[1].rank ?? 0) > (most[1].rank ?? 0) ? one : most));
  return Number(worst[0]);
}

const tokenId = (id: number): string => `token_id:${id}`;

/** [log probability, token id, text or null]. */
const SglangToken = z.tuple([z.number().nullable(), z.int().nonnegative()], z.unknown());
const Sglang = z.looseObject({
  meta_info: z.looseObject({
    input_token_logprobs: z.array(SglangToken),
    input_top_logprobs: z.array(z.array(SglangToken).nullable()).nullish(),
  }),
});

async function generate(server: Server, { prompt, answer, ids }: TextToScore): Promise<ScoredText | undefined> {
  const asked = {
    ...(ids ? { input_ids: ids } : { text: prompt + answer }),
    sampling_params: { temperature: 0, max_new_tokens: 1 },
    ...{ return_logprob: true, logprob_start_len: 0, top_logprobs_num: top(server.options) },
  };
  const reply = await offered(server, `${server.base.replace(/\/v1$/, "")}/generate`, asked);
  const parsed = Sglang.safeParse(reply?.json);
  if (!parsed.success) return undefined;
  const { input_token_logprobs: own, input_top_logprobs: likeliest } = parsed.data.meta_info;
  const tokens = own.map(([logprob, id], index): TokenRecord => {
    const listed = new Map(
      (likeliest?.[index] ?? []).map(([value, other]) => [tokenId(other), unclamped(value ?? Number.NaN)]),
    );
    if (listed.size > 0 && logprob !== null) listed.set(tokenId(id), unclamped(logprob));
    return { token: tokenId(id), logprob: unclamped(logprob ?? Number.NaN), top: listed };
  });
  return { by: "/generate", tokens };
}

const Echo = z.looseObject({
  usage: z.looseObject({ prompt_tokens: z.int().nonnegative() }),
  choices: z
    .array(
      z.looseObject({
        logprobs: z.looseObject({
          tokens: z.array(z.string()),
          token_logprobs: z.array(z.number().nullable()),
          top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
        }),
      }),
    )
    .min(1),
});

async function echo(server: Server, { prompt, answer, ids }: TextToScore): Promise<ScoredText | undefined> {
  const asked = { ...common(server), prompt: ids ?? prompt + answer, echo: true, logprobs: top(server.options) };
  for (const body of [{ ...asked, return_tokens_as_token_ids: true }, asked]) {
    const reply = await offered(server, `${server.base}/completions`, body);
    const parsed = Echo.safeParse(reply?.json);
    const logprobs = parsed.success ? parsed.data.choices[0]?.logprobs : undefined;
    const count = parsed.success ? parsed.data.usage.prompt_tokens : 0;
    // Without the prompt in front, these are the answer's tokens alone.
    if (!logprobs || logprobs.tokens.length < count || count === 0) continue;
    const tokens = logprobs.tokens.slice(0, count).map((token, index): TokenRecord => {
      const logprob = unclamped(logprobs.token_logprobs[index] ?? Number.NaN);
      const listed = new Map(
        Object.entries(logprobs.top_logprobs[index] ?? {}).map(([one, value]) => [one, unclamped(value)]),
      );
      if (listed.size > 0 && !Number.isNaN(logprob)) listed.set(token, logprob);
      return { token, logprob, top: listed };
    });
    return { by: "echo", tokens };
  }
  return undefined;
}
