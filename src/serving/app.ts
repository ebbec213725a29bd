/**
 * The OpenAI-compatible endpoint as a function from Request to Response: models, completions, chat completions, health.
 * Knows: routes, limits, the line of waiting requests. Does not know: sockets (listen), which engine answers (backend).
 */
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { random } from "../spec/random.ts";
import { answerChunks, type Job, wholeAnswer } from "./answer.ts";
import type { Backend, Generation } from "./backend.ts";
import { chatPrompt, chatStops } from "./chat-template.ts";
import { chatFormat, completionFormat, type Format, type Logprobs } from "./documents.ts";
import { OpenAiError } from "./openai-error.ts";
import { createQueue } from "./queue.ts";
import { ChatRequest, CompletionRequest, parseRequest } from "./requests.ts";

export interface AppOptions {
  readonly backend: Backend;
  /** Unix time in seconds. */
  readonly now: () => number;
  /** Requests answered at once. */
  readonly places?: number;
  /** Requests that may wait for a place before new ones get 429. */
  readonly waitingMax?: number;
  readonly bodyBytesMax?: number;
}

const defaults = { places: 1, waitingMax: 256, bodyBytesMax: 4 * 2 ** 20, completionTokens: 16, chatTokens: 256 };

/** Names the client whose turn in the line a request takes; the gateway sets it from the key, and passes none on from outside. */
export const callerHeader = "x-dualgauge-caller";

const retryAfterSeconds = 1;
const choicesMax = 128;

export function createApp(options: AppOptions): Hono {
  const { backend, now } = options;
  const queue = createQueue({
    places: options.places ?? defaults.places,
    waitingMax: options.waitingMax ?? defaults.waitingMax,
  });
  // Ids and the seeds of requests that give none: distinct within one server, and no secret.
  const draw = random(0, "serving");
  const created = Math.floor(now());
  const modelCard = { id: backend.model, object: "model", created, owned_by: "dualgauge" };
  const app = new Hono();

  app.onError((error, context) => {
    // Nobody reads this answer: the client went away, which is why the work was given up.
    if (context.req.raw.signal.aborted) return context.body(null);
    const known = error instanceof OpenAiError ? error : new OpenAiError(500, "internal error");
    if (known !== error) process.stderr.write(`dualgauge serve: ${error.stack ?? error.message}\n`);
    return context.json(known.document(), known.status);
  });
  app.notFound((context) => {
    const unknown = new OpenAiError(404, `Unknown request URL: ${context.req.method} ${context.req.path}`, {
      code: "unknown_url",
    });
    return context.json(unknown.document(), 404);
  });
  app.use(
    bodyLimit({
      maxSize: options.bodyBytesMax ?? defaults.bodyBytesMax,
      onError: () => {
        throw new OpenAiError(413, "the request body is too large");
      },
    }),
  );
  app.get("/health", (context) =>
    context.json({ status: "ok", model: backend.model, running: queue.running, waiting: queue.waiting }),
  );
  app.get("/v1/models", (context) => context.json({ object: "list", data: [modelCard] }));
  app.get("/v1/models/:id{.+}", (context) => {
    requireModel(backend, context.req.param("id"));
    return context.json(modelCard);
  });
  app.post("/v1/completions", async (context) => {
    const request = parseRequest(CompletionRequest, await jsonBody(context));
    requireModel(backend, request.model);
    const prompts = promptsOf(request.prompt).map((prompt) =>
      typeof prompt === "string" ? backend.encode(prompt) : prompt,
    );
    const maxTokens = request.max_tokens ?? defaults.completionTokens;
    const seed = request.seed ?? draw.uint32();
    const top = request.logprobs ?? 0;
    const choices = prompts.flatMap((prompt) =>
      generations(backend, prompt, { ...request, maxTokens, top, seed, scorePrompt: request.echo === true }),
    );
    const tokens = request.return_tokens_as_token_ids === true ? "id" : "text";
    const logprobs = request.logprobs === undefined ? false : tokens;
    return reply(context, completionFormat, choices, request, { stops: stopsOf(request.stop), logprobs });
  });
  app.post("/v1/chat/completions", async (context) => {
    const request = parseRequest(ChatRequest, await jsonBody(context));
    requireModel(backend, request.model);
    if (request.top_logprobs !== undefined && request.logprobs !== true) {
      throw new OpenAiError(400, "top_logprobs needs logprobs: true", { param: "top_logprobs" });
    }
    const continues = request.continue_final_message === true;
    if (continues && request.messages.at(-1)?.role !== "assistant") {
      throw new OpenAiError(400, "continue_final_message needs an assistant message at the end", { param: "messages" });
    }
    if (continues && request.messages.length === 1)
      throw new OpenAiError(400, "there is nothing that is answered", { param: "messages" });
    const prompt = backend.encode(chatPrompt(request.messages, { continues }));
    const room = Math.max(1, backend.contextTokens - prompt.length);
    const maxTokens = request.max_completion_tokens ?? request.max_tokens ?? Math.min(defaults.chatTokens, room);
    const top = request.top_logprobs ?? 0;
    const seed = request.seed ?? draw.uint32();
    const choices = generations(backend, prompt, { ...request, maxTokens, top, seed, scorePrompt: false });
    const stops = [...stopsOf(request.stop), ...chatStops];
    return reply(context, chatFormat, choices, request, { stops, logprobs: request.logprobs === true && "text" });
  });
  return app;

  /** Waits for a place, then answers; the place is given back when the answer ends or the client goes away. */
  async function reply(
    context: Context,
    format: Format,
    choices: readonly Generation[],
    request: CompletionRequest | ChatRequest,
    { stops, logprobs }: { stops: readonly string[]; logprobs: Logprobs },
  ): Promise<Response> {
    if (choices.length > choicesMax) {
      throw new OpenAiError(400, `n × prompts is ${choices.length}; give at most ${choicesMax}`, { param: "n" });
    }
    const id = `${format.prefix}-${draw.uint32().toString(16).padStart(8, "0")}${draw.uint32().toString(16).padStart(8, "0")}`;
    const answer = { id, model: backend.model, created: Math.floor(now()) };
    const includeUsage = request.stream_options?.include_usage ?? false;
    const job: Job = { format, answer, choices, stops, logprobs, includeUsage };
    const abandoned = new AbortController();
    const signal = AbortSignal.any([context.req.raw.signal, abandoned.signal]);
    const leave = await queue.enter(signal, context.req.header(callerHeader) ?? request.user);
    if (!leave) {
      context.header("retry-after", `${retryAfterSeconds}`);
      throw new OpenAiError(429, "too many requests are waiting; try again later", { code: "overloaded" });
    }
    if (request.stream) return eventStream(answerChunks(backend, job, signal), abandoned, leave);
    try {
      return context.json(await wholeAnswer(backend, job, signal));
    } finally {
      leave();
    }
  }
}

/** Server-sent events, pulled by the client's pace; a failure after the first byte becomes one `error` event without `[DONE]`. */
function eventStream(chunks: AsyncGenerator<object>, abandoned: AbortController, leave: () => void): Response {
  const encoder = new TextEncoder();
  const send = (data: string): Uint8Array => encoder.encode(`data: ${data}\n\n`);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        controller.enqueue(send(done ? "[DONE]" : JSON.stringify(value)));
        if (!done) return;
      } catch (error) {
        if (!abandoned.signal.aborted) {
          const known = error instanceof OpenAiError ? error : new OpenAiError(500, "internal error");
          controller.enqueue(send(JSON.stringify(known.document())));
        }
      }
      leave();
      controller.close();
    },
    async cancel() {
      abandoned.abort(new Error("the client went away"));
      // The generator ends at its next await, and only then is the engine free for the next request.
      await chunks.return(undefined).finally(leave);
    },
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
  });
}

function requireModel(backend: Backend, model: string): void {
  if (model === backend.model) return;
  const message = `The model ${JSON.stringify(model)} does not exist; this endpoint serves ${JSON.stringify(backend.model)}`;
  throw new OpenAiError(404, message, { code: "model_not_found", param: "model" });
}

async function jsonBody(context: Context): Promise<unknown> {
  // A page in a browser may send text/plain anywhere without asking; JSON it may not.
  if (!/^application\/json\b/i.test(context.req.header("content-type") ?? "")) {
    throw new OpenAiError(415, "send content-type: application/json");
  }
  const text = await context.req.text();
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new OpenAiError(400, `the body is not JSON: ${error instanceof Error ? error.message : error}`);
  }
}

function promptsOf(prompt: CompletionRequest["prompt"]): readonly (string | readonly number[])[] {
  if (typeof prompt === "string") return [prompt];
  return prompt.every((part) => typeof part === "number") ? [prompt] : prompt;
}

const stopsOf = (stop: string | readonly string[] | undefined): readonly string[] =>
  stop === undefined ? [] : typeof stop === "string" ? [stop] : stop;

/** Keys that both kinds of request have. */
type Shared =
  | "n"
  | "temperature"
  | "top_p"
  | "top_k"
  | "min_p"
  | "logit_bias"
  | "presence_penalty"
  | "frequency_penalty";

/** `n` continuations of one prompt; OpenAiError 400 when the model cannot read it or cannot write so much. */
function generations(
  backend: Backend,
  prompt: readonly number[],
  settings: Pick<CompletionRequest, Shared> & {
    readonly seed: number;
    readonly maxTokens: number;
    readonly top: number;
    readonly scorePrompt: boolean;
  },
): Generation[] {
  const { contextTokens, vocabularySize } = backend;
  if (prompt.length === 0) throw new OpenAiError(400, "the prompt is empty", { param: "prompt" });
  if (prompt.some((token) => token >= vocabularySize)) {
    throw new OpenAiError(400, `the prompt has a token outside 0 to ${vocabularySize - 1}`, { param: "prompt" });
  }
  if (prompt.length + settings.maxTokens > contextTokens) {
    const sum = `${prompt.length} prompt tokens + ${settings.maxTokens} max_tokens`;
    throw new OpenAiError(400, `${sum} are more than the model's context of ${contextTokens} tokens; shorten one`, {
      code: "context_length_exceeded",
      param: "max_tokens",
    });
  }
  const logitBias = Object.entries(settings.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias] as const);
  if (logitBias.some(([token]) => token >= vocabularySize)) {
    throw new OpenAiError(400, `logit_bias has a token outside 0 to ${vocabularySize - 1}`, { param: "logit_bias" });
  }
  const { top_k: topK = 0, min_p: minP, presence_penalty, frequency_penalty } = settings;
  return Array.from({ length: settings.n ?? 1 }, (_, stream) => ({
    prompt,
    maxTokens: settings.maxTokens,
    temperature: settings.temperature ?? 1,
    topP: settings.top_p ?? 1,
    seed: settings.seed,
    topLogprobs: settings.top,
    stream,
    ...(topK > 0 && { topK }),
    ...(minP !== undefined && { minP }),
    ...(logitBias.length > 0 && { logitBias }),
    ...(presence_penalty !== undefined && { presencePenalty: presence_penalty }),
    ...(frequency_penalty !== undefined && { frequencyPenalty: frequency_penalty }),
    ...(settings.scorePrompt && { scorePrompt: true }),
  }));
}
