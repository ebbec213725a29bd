/**
 * What answers behind the HTTP endpoint: something that turns tokens into more tokens, one piece at a time.
 * Knows: prompts, sampling settings and pieces. Does not know: HTTP, OpenAI's documents, which engine or machine answers.
 */

/** One request to continue a prompt. */
export interface Generation {
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  /** 0 takes the likeliest token at every position. */
  readonly temperature: number;
  /** Smallest set of tokens whose probability reaches this is sampled from; in (0, 1]. */
  readonly topP: number;
  readonly seed: number;
  /** Tells apart several answers to one prompt and seed (default 0). */
  readonly stream?: number;
  /** Only so many likeliest tokens; only tokens at least so likely as a share of the likeliest. */
  readonly topK?: number;
  readonly minP?: number;
  /** [token, added to its logit]. */
  readonly logitBias?: readonly (readonly [number, number])[];
  /** Taken off the logit of tokens generated already: once, and for each time. */
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  /** The first piece carries the readings of the prompt. */
  readonly scorePrompt?: boolean;
  /** How many alternatives each piece reports in `top`. */
  readonly topLogprobs: number;
}

/** A token as bytes (a token may be part of a character) with its natural-log probability. */
export interface TokenReading {
  readonly token: number;
  readonly bytes: Uint8Array;
  readonly logprob: number;
}

export interface ScoredToken extends TokenReading {
  /** The likeliest tokens at this position, best first; as many as were asked for. */
  readonly top: readonly TokenReading[];
}

/** One generated token. */
export interface Piece extends ScoredToken {
  /** Set on the last piece: `stop` when the model ended its text (`bytes` is empty then), `length` at `maxTokens`. */
  readonly finish?: "stop" | "length";
  /** On the first piece, where asked for: the prompt's tokens; the first has a logprob of NaN, because nothing comes before it. */
  readonly prompt?: readonly ScoredToken[];
}

export interface Backend {
  /** The name under which the model is offered. */
  readonly model: string;
  /** Largest number of tokens of a prompt and its continuation together. */
  readonly contextTokens: number;
  readonly vocabularySize: number;
  encode(text: string): readonly number[];
  /** Yields pieces until one carries `finish`; ends early, without an error, when `signal` aborts. */
  generate(request: Generation, signal: AbortSignal): AsyncIterable<Piece>;
}
