/**
 * The documents that the endpoint answers with, whole or in chunks, for both kinds of request.
 * Knows: OpenAI's response objects. Does not know: how text came about or how it is sent.
 */
import type { Piece, TokenReading } from "./backend.ts";
import type { Emission } from "./text-stream.ts";

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
}

export const usage = (promptTokens: number, completionTokens: number): Usage => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
});

/** What every document of one answer has in common. */
export interface Answer {
  readonly id: string;
  readonly model: string;
  /** Unix time in whole seconds. */
  readonly created: number;
}

/** How tokens are written beside their log probabilities, if at all. */
export type Logprobs = false | "text" | "id";

/** One kind of answer: how its choices and chunks are written. */
export interface Format {
  /** Prefix of ids. */
  readonly prefix: string;
  whole(answer: Answer, texts: readonly Emission[], used: Usage, logprobs: Logprobs): object;
  /** Chunks that come before any text of a choice. */
  opening(answer: Answer, index: number): readonly object[];
  chunk(answer: Answer, index: number, emission: Emission, logprobs: Logprobs): object;
  /** The last chunk, sent when usage was asked for. */
  usageChunk(answer: Answer, used: Usage): object;
}

const head = ({ id, model, created }: Answer, object: string): object => ({ id, object, created, model });

export const completionFormat: Format = {
  prefix: "cmpl",
  whole: (answer, texts, used, logprobs) => ({
    ...head(answer, "text_completion"),
    choices: texts.map((emission, index) => completionChoice(index, emission, logprobs)),
    usage: used,
  }),
  opening: () => [],
  chunk: (answer, index, emission, logprobs) => ({
    ...head(answer, "text_completion"),
    choices: [completionChoice(index, emission, logprobs)],
  }),
  usageChunk: (answer, used) => ({ ...head(answer, "text_completion"), choices: [], usage: used }),
};

export const chatFormat: Format = {
  prefix: "chatcmpl",
  whole: (answer, texts, used, logprobs) => ({
    ...head(answer, "chat.completion"),
    choices: texts.map((emission, index) => ({
      index,
      message: { role: "assistant", content: emission.text, refusal: null },
      logprobs: logprobs ? chatLogprobs(emission.pieces) : null,
      finish_reason: emission.finish ?? null,
    })),
    usage: used,
  }),
  opening: (answer, index) => [
    {
      ...head(answer, "chat.completion.chunk"),
      choices: [{ index, delta: { role: "assistant", content: "" }, logprobs: null, finish_reason: null }],
    },
  ],
  chunk: (answer, index, emission, logprobs) => ({
    ...head(answer, "chat.completion.chunk"),
    choices: [
      {
        index,
        delta: emission.text === "" ? {} : { content: emission.text },
        logprobs: logprobs ? chatLogprobs(emission.pieces) : null,
        finish_reason: emission.finish ?? null,
      },
    ],
  }),
  usageChunk: (answer, used) => ({ ...head(answer, "chat.completion.chunk"), choices: [], usage: used }),
};

function completionChoice(index: number, { text, pieces, finish }: Emission, logprobs: Logprobs): object {
  const readings = pieces.filter(isShown);
  const shown = (entry: TokenReading): string => (logprobs === "id" ? `token_id:${entry.token}` : tokenText(entry));
  let offset = 0;
  return {
    index,
    text,
    logprobs: logprobs
      ? {
          tokens: readings.map(shown),
          token_logprobs: readings.map(({ logprob }) => (Number.isNaN(logprob) ? null : logprob)),
          top_logprobs: readings.map(({ logprob, top }) =>
            Number.isNaN(logprob) ? null : Object.fromEntries(top.map((reading) => [shown(reading), reading.logprob])),
          ),
          text_offset: readings.map((piece) => {
            const at = offset;
            offset += tokenText(piece).length;
            return at;
          }),
        }
      : null,
    finish_reason: finish ?? null,
  };
}

/** The token that ends a text is none of it. */
const isShown = ({ bytes, finish }: Piece): boolean => bytes.length > 0 || finish !== "stop";

function chatLogprobs(pieces: readonly Piece[]): object {
  const reading = (entry: TokenReading) => ({
    token: tokenText(entry),
    logprob: entry.logprob,
    bytes: [...entry.bytes],
  });
  return {
    content: pieces.filter(isShown).map((piece) => ({ ...reading(piece), top_logprobs: piece.top.map(reading) })),
    refusal: null,
  };
}

/** A token's text, or `bytes:\xNN…` for a token that is only part of a character (OpenAI writes it so). */
function tokenText({ bytes }: TokenReading): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
  }
}
