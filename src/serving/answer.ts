/**
 * Answers one request from a backend: all texts at once, or as they come as server-sent events.
 * Knows: prompts in order, stop sequences, usage, abandonment. Does not know: which of the two request kinds it answers (documents).
 */
import type { Backend, Generation } from "./backend.ts";
import { type Answer, type Format, type Usage, usage } from "./documents.ts";
import { OpenAiError } from "./openai-error.ts";
import { type Emission, textStream } from "./text-stream.ts";

/** A request with everything resolved that does not depend on HTTP. */
export interface Job {
  readonly format: Format;
  readonly answer: Answer;
  readonly prompts: readonly Generation[];
  readonly stops: readonly string[];
  readonly logprobs: boolean;
  readonly includeUsage: boolean;
}

/** The whole document. Throws the signal's reason when the client goes away first. */
export async function wholeAnswer(backend: Backend, job: Job, signal: AbortSignal): Promise<object> {
  const texts: Emission[] = [];
  let tokens = 0;
  for (const prompt of job.prompts) {
    const parts: Emission[] = [];
    tokens += await generate(backend, prompt, job.stops, signal, (emission) => parts.push(emission));
    const finish = parts.at(-1)?.finish;
    texts.push({
      text: parts.map((part) => part.text).join(""),
      pieces: parts.flatMap((part) => part.pieces),
      ...(finish && { finish }),
    });
  }
  return job.format.whole(job.answer, texts, used(job, tokens), job.logprobs);
}

/** Chunks of the answer, then usage if it was asked for; the caller ends the stream with `[DONE]`. */
export async function* answerChunks(backend: Backend, job: Job, signal: AbortSignal): AsyncGenerator<object> {
  let tokens = 0;
  for (const [index, prompt] of job.prompts.entries()) {
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
    const emission = text.push(piece);
    yield { emission, tokensSoFar };
    if (emission?.finish) return;
  }
  signal.throwIfAborted();
  throw new OpenAiError(500, "the model stopped without saying why");
}

function used(job: Job, tokens: number): Usage {
  return usage(
    job.prompts.reduce((sum, { prompt }) => sum + prompt.length, 0),
    tokens,
  );
}
