/**
 * The requests that the endpoint accepts, as OpenAI documents them, and what is not supported said by name.
 * Knows: keys, defaults and limits of completions and chat completions. Does not know: models, tokens, HTTP.
 * Source: https://platform.openai.com/docs/api-reference (read 2026-11-24). Null means absent, as there.
 */
import * as z from "zod";
import { didYouMean } from "../spec/bad-input.ts";
import { OpenAiError } from "./openai-error.ts";

const orNull = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined);
/** A key that OpenAI has and the endpoint does not: accepted only at the value that changes nothing. */
const only = <T extends string | number | boolean>(value: T) =>
  orNull(z.literal(value, { error: `only ${JSON.stringify(value)} is supported` }));
const absent = orNull(z.never({ error: "is not supported by this endpoint; leave it out" }));

const sampling = {
  model: z.string().min(1).max(500),
  stream: orNull(z.boolean()),
  stream_options: orNull(
    z.strictObject({ include_usage: z.boolean().default(false), include_obfuscation: z.boolean().optional() }),
  ),
  temperature: orNull(z.number().min(0).max(2)),
  top_p: orNull(z.number().gt(0).max(1)),
  seed: orNull(
    z
      .int()
      .min(-(2 ** 53))
      .max(2 ** 53),
  ),
  stop: orNull(z.union([z.string().min(1).max(1000), z.array(z.string().min(1).max(1000)).max(4)])),
  /** Answers to each prompt. */
  n: orNull(z.int().min(1).max(16)),
  presence_penalty: orNull(z.number().min(-2).max(2)),
  frequency_penalty: orNull(z.number().min(-2).max(2)),
  logit_bias: orNull(z.record(z.string().regex(/^\d+$/), z.number().min(-100).max(100))),
  /** As vLLM has them; its top_k of -1 or 0 is none. */
  top_k: orNull(z.int().min(-1)),
  min_p: orNull(z.number().min(0).max(1)),
  user: orNull(z.string().max(1000)),
};
const tokens = z.array(z.int().nonnegative());

export const CompletionRequest = z.strictObject({
  ...sampling,
  /** One prompt or up to 64, as text or as tokens. */
  prompt: z.union([
    z.string(),
    tokens.min(1),
    z.array(z.string()).min(1).max(64),
    z.array(tokens.min(1)).min(1).max(64),
  ]),
  max_tokens: orNull(z.int().positive().max(1_000_000)),
  /** Alternatives reported per token. */
  logprobs: orNull(z.int().min(0).max(20)),
  /** The answer begins with its prompt; with logprobs, the prompt is scored. */
  echo: orNull(z.boolean()),
  /** As vLLM has it: tokens read `token_id:7` in logprobs. */
  return_tokens_as_token_ids: orNull(z.boolean()),
  best_of: only(1),
  suffix: absent,
});
export type CompletionRequest = z.infer<typeof CompletionRequest>;

const content = z.union([
  z.string(),
  z.array(z.strictObject({ type: z.literal("text", { error: "only text parts are supported" }), text: z.string() })),
]);

export const ChatMessage = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content,
  name: z.string().max(200).optional(),
});
export type ChatMessage = z.infer<typeof ChatMessage>;

export const ChatRequest = z.strictObject({
  ...sampling,
  messages: z.array(ChatMessage).min(1).max(10_000),
  max_tokens: orNull(z.int().positive().max(1_000_000)),
  max_completion_tokens: orNull(z.int().positive().max(1_000_000)),
  logprobs: orNull(z.boolean()),
  top_logprobs: orNull(z.int().min(0).max(20)),
  /** As vLLM has them: the last message, an assistant's, is the beginning of the answer. */
  continue_final_message: orNull(z.boolean()),
  add_generation_prompt: orNull(z.boolean()),
  response_format: orNull(z.strictObject({ type: z.literal("text", { error: "only text is supported" }) })),
  tools: orNull(z.array(z.unknown()).max(0, { error: "tools are not supported by this endpoint" })),
  tool_choice: only("none"),
  store: only(false),
  metadata: orNull(z.record(z.string(), z.string())),
});
export type ChatRequest = z.infer<typeof ChatRequest>;

/** `body` as the schema's type, or OpenAiError 400 that names the first key to blame and all problems. */
export function parseRequest<T extends z.ZodObject>(schema: T, body: unknown): z.output<T> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    if (issue.code === "unrecognized_keys") {
      const [key = ""] = issue.keys;
      return {
        param: key,
        text: `Unrecognized request argument supplied: ${key}${didYouMean(key, Object.keys(schema.shape))}`,
      };
    }
    const param = issue.path.join(".");
    const text = issue.code === "invalid_union" ? "has none of the documented types" : issue.message;
    return { param, text: param === "" ? text : `${param}: ${text}` };
  });
  const message = problems.map((problem) => problem.text).join("; ");
  const param = problems[0]?.param;
  throw new OpenAiError(400, message, param ? { param } : {});
}
