/**
 * Answers one request from a backend: all texts at once, or as they come as server-sent events.
 * Knows: prompts in order, stop sequences, usage, abandonment. Does not know: which of the two request kinds it answers (documents).
 */
import { setMaxListeners } from "node:events";
import type { Backend, Generation, Piece } from "./backend.ts";
import { type Answer, type Format, type Logprobs, type Usage, usage } from "./documents.ts";
import { OpenAiError } from "./openai-error.ts";
import { type Emission, textStream } from "./text-stream.ts";

/** A request with everything resolved that does not depend on HTTP. */
export interface Job {
  readonly format: Format;
  readonly answer: Answer;
  /** One for each choice; those of one prompt share its `prompt` array. */
  readonly choices: readonly Generation[];
  readonly stops: readonly string[];
  readonly logprobs: Logprobs;
  readonly includeUsage: boolean;
}

/** The whole document. Throws the signal's reason when the client goes away first. */
export async function wholeAnswer(backend: Backend, job: Job, signal: AbortSignal): Promise<object> {
  // When one fails the others need not go on.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  setMaxListeners(0, either); // one for each choice
  let tokens = 0;
  const one = async (choice: Generation): Promise<Emission> => {
    const parts: Emission[] = [];
    tokens += await generate(backend, choice, job.stops, either, (emission) => parts.push(emission));
    const finish = parts.at(-1)?.finish;
    return {
      text: parts.map((part) => part.text).join(""),
      pieces: parts.flatMap((part) => part.pieces),
      ...(finish && { finish }),
    };
  };
  try {
    const texts = await Promise.all(job.choices.map(one));
    return job.format.whole(job.answer, texts, used(job, tokens), job.logprobs);
  } catch (error) {
    failed.abort(error);
    throw error;
  }
}

/** Chunks of the answer, then usage if it was asked for; the caller ends the stream with `[DONE]`. */
export async function* answerChunks(backend: Backend, job: Job, signal: AbortSignal): AsyncGenerator<object> {
  let tokens = 0;
  for (const [index, prompt] of job.choices.entries()) {
    yield* job.format.opening(job.answer, index);
    let generated = 0;
    for await (const { emission, tokensSoFar } of emissions(backend, prompt, job.stops, signal)) {
      generated = tokensSoFar;
      if (emission) yield job.format.chunk(job.answer, index, emission, job.logprobs);
    }
    tokens += generated;
  }
  if (job.includeUsage) yield job.format.usageChunk(job.answer, used(job, tokens));
}

async function generate(
  backend: Backend,
  prompt: Generation,
  stops: readonly string[],
  signal: AbortSignal,
  take: (emission: Emission) => void,
): Promise<number> {
  let tokens = 0;
  for await (const { emission, tokensSoFar } of emissions(backend, prompt, stops, signal)) {
    tokens = tokensSoFar;
    if (emission) take(emission);
  }
  return tokens;
}

/** What may be sent, piece by piece; leaving the loop early ends the generation in the backend. */
async function* emissions(
  backend: Backend,
  prompt: Generation,
  stops: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<{ emission: Emission | undefined; tokensSoFar: number }> {
  const text = textStream(stops);
  let tokensSoFar = 0;
  for await (const piece of backend.generate(prompt, signal)) {
    tokensSoFar++;
    if (piece.prompt) yield { emission: echoed(piece.prompt), tokensSoFar: 0 };
    const emission = text.push(piece);
    yield { emission, tokensSoFar };
    if (emission?.finish) return;
  }
  signal.throwIfAborted();
  throw new OpenAiError(500, "the model stopped without saying why");
}

/** The prompt as the beginning of its answer, in which no stop sequence is looked for. */
function echoed(prompt: readonly Piece[]): Emission {
  return { text: Buffer.concat(prompt.map(({ bytes }) => bytes)).toString("utf8"), pieces: prompt };
}

function used(job: Job, tokens: number): Usage {
  return usage(
    [...new Set(job.choices.map(({ prompt }) => prompt))].reduce((sum, prompt) => sum + prompt.length, 0),
    tokens,
  );
}
