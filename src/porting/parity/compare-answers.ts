/**
 * Compares two sides of which at least one is a server, by their greedy answers and the likeliest tokens of each position.
 * Knows: how a directory gives what a server gives. Does not know: reports.
 */
import type { Tokenizer } from "../../engine/tokenizer.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { likeliest } from "../measure-logits.ts";
import { encodePrompt, type Prompt } from "../read-prompts.ts";
import {
  type Answer,
  type AnswerMeasures,
  measureAnswers,
  pairsOf,
  sampledAt,
  type TokenRecord,
} from "./measure-answers.ts";
import { whole } from "./measure-reading.ts";
import type { LocalSide, OpenedSide, ServerSide } from "./open-side.ts";
import type { ScoredText, TextToScore } from "./score-text.ts";

/** A side that was asked for an answer to each prompt. */
export type AnsweringSide = LocalSide | ServerSide;

export interface AnsweredPrompt {
  readonly a: Answer;
  readonly b: Answer;
  readonly measures: AnswerMeasures;
  /** What scored the prompt and A's answer on both sides; null where a side offers no such thing or the two cut the text into other tokens. */
  readonly scoredBy: { readonly a: ScoredText["by"]; readonly b: ScoredText["by"] } | null;
  readonly otherTokens: boolean;
}

const topTokens = 5;

/** The side as one that answers; BadInput for a trace, which cannot be asked. */
export function answering(side: OpenedSide, chat: boolean): AnsweringSide {
  if (side.kind === "trace") {
    throw new BadInput(
      `${side.given}: a trace cannot be compared with a server; compare it with the model's directory`,
    );
  }
  if (side.kind !== "server" && chat) {
    throw new BadInput(`${side.given}: --chat is for two servers; a directory knows no chat template`);
  }
  return side;
}

/**
 * Both sides' answers. Where one is a directory and the server takes token ids, both read the same ids, so that a server's own first token
 * does not come into it.
 */
export async function answerBoth(
  a: AnsweringSide,
  b: AnsweringSide,
  prompt: Prompt,
  count: number,
): Promise<AnsweredPrompt> {
  const local = a.kind === "server" ? (b.kind === "server" ? undefined : b) : a;
  const ids = local && encodePrompt(prompt, local.tokenizer, local.config.vocab_size);
  // A server says how it names tokens in its first answer, so it is asked first.
  const servers = new Map<AnsweringSide, Answer>();
  for (const side of [a, b]) {
    if (side.kind === "server") servers.set(side, await side.server.answer(ids ?? prompt.text, count));
  }
  const answers: Answer[] = [];
  for (const side of [a, b]) {
    const held = servers.get(side);
    if (held) answers.push(held);
    else if (side.kind !== "server") answers.push(await localAnswer(side, ids ?? [], count, namesOf([a, b])));
  }
  const [first, second] = answers as [Answer, Answer];
  const text: TextToScore = { prompt: prompt.text, answer: first.text, ids: scoredIds(ids, first) };
  const [scoredA, scoredB] = [await scoreWith(a, text), await scoreWith(b, text)];
  const scored = scoredA && scoredB && pairsOf(scoredA.tokens, scoredB.tokens);
  const measures = measureAnswers(first, second, scored);
  const isNamedAlike = scoredA && scoredB && isById(scoredA) === isById(scoredB);
  return {
    ...{ a: first, b: second, measures },
    scoredBy: scored ? { a: scoredA.by, b: scoredB.by } : null,
    otherTokens: measures.otherTokens || (isNamedAlike === true && !scored),
  };
}

const isById = ({ tokens }: ScoredText): boolean =>
  tokens.every(({ token }) => token === "" || /^token_id:\d+$/.test(token));

/** Prompt and A's answer as ids, where both are known as such; so no side cuts the text anew. */
function scoredIds(
  prompt: readonly number[] | undefined,
  { ids, tokens, text }: Answer,
): readonly number[] | undefined {
  if (!prompt) return undefined;
  if (ids) return [...prompt, ...ids];
  const named = tokens.map(({ token }) => Number(/^token_id:(\d+)$/.exec(token)?.[1] ?? Number.NaN));
  return named.some(Number.isNaN) || (tokens.length === 0 && text !== "") ? undefined : [...prompt, ...named];
}

/** The text as a side reads it; a directory can only be asked by ids. */
async function scoreWith(side: AnsweringSide, text: TextToScore): Promise<ScoredText | undefined> {
  if (side.kind === "server") return side.server.score(text);
  const { asked, tokenizer } = side;
  if (!text.ids || text.ids.length > asked.contextTokens) return undefined;
  const tokens = await recordsOf(side, text.ids, (token) => tokenName(tokenizer, token, "ids"));
  return { by: side.kind === "onnx" ? "its ONNX graphs" : "the embedded engine", tokens };
}

/** How tokens are named: as the one server there is names them. */
function namesOf(sides: readonly AnsweringSide[]): "ids" | "texts" {
  return sides.some((side) => side.kind === "server" && side.server.byId()) ? "ids" : "texts";
}

/** What a directory says, in a server's terms: until its last token, which is not told. */
async function localAnswer(
  side: LocalSide,
  ids: readonly number[],
  count: number,
  names: "ids" | "texts",
): Promise<Answer> {
  const { asked, tokenizer } = side;
  const room = Math.max(0, Math.min(count, asked.contextTokens - ids.length));
  let answer = await asked.continueGreedily(ids, room);
  const end = tokenizer.eos === undefined ? -1 : answer.indexOf(tokenizer.eos);
  if (end >= 0) answer = answer.slice(0, end);
  const records = await recordsOf(side, [...ids, ...answer], (token) => tokenName(tokenizer, token, names));
  return {
    ...{ text: tokenizer.decode(answer), ids: answer },
    tokens: records.slice(ids.length),
    prompt: records.slice(0, ids.length),
  };
}

/** Each token of a text with its own probability and the likeliest ones'. */
async function recordsOf(
  { asked }: LocalSide,
  text: readonly number[],
  nameOf: (token: number) => string,
): Promise<TokenRecord[]> {
  const { tensors } = await asked.read(text, text.length);
  const logits = await whole(tensors.get("logits")!, text.length);
  return text.map((token, index): TokenRecord => {
    const name = nameOf(token);
    if (index === 0) return { token: name, logprob: Number.NaN, top: new Map() };
    const row = logits.subarray((index - 1) * asked.vocabulary, index * asked.vocabulary);
    const logprobs = logprobsOf(row, [...likeliest(row, topTokens), token]);
    const named = [...logprobs].map(([id, logprob]) => [nameOf(id), logprob] as const);
    return { token: name, logprob: logprobs.get(token) ?? Number.NaN, top: new Map(named) };
  });
}

function logprobsOf(row: Float32Array, tokens: readonly number[]): Map<number, number> {
  const top = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const log = top + Math.log(row.reduce((total, value) => total + Math.exp(value - top), 0));
  return new Map(tokens.map((token) => [token, row[token]! - log]));
}

/** As servers write it: `token_id:7`, the token's text, or `bytes:\xNN` for a byte that is only part of a character. */
function tokenName(tokenizer: Tokenizer, token: number, names: "ids" | "texts"): string {
  if (names === "ids") return `token_id:${token}`;
  const isByte = tokenizer.kind === "byte" && token >= 128 && token < 256;
  return isByte ? `bytes:\\x${token.toString(16)}` : tokenizer.decode([token]);
}

/** Whether a side answers the same when it is asked again: the same tokens, or the same text where it tells no tokens. */
export async function repeatsAnswer(side: AnsweringSide, prompt: Prompt, count: number): Promise<boolean> {
  if (side.kind === "server") {
    const [first, second] = [
      await side.server.answer(prompt.text, count),
      await side.server.answer(prompt.text, count),
    ];
    return measureAnswers(first, second).divergence?.nearTie ?? first.text === second.text;
  }
  const ids = encodePrompt(prompt, side.tokenizer, side.config.vocab_size);
  const room = Math.max(0, Math.min(count, side.asked.contextTokens - ids.length));
  const [first, second] = [await side.asked.continueGreedily(ids, room), await side.asked.continueGreedily(ids, room)];
  return first.join() === second.join();
}

/** Which sides chose a token that is not their own likeliest, and where first. */
export function samplingSides(answers: readonly AnsweredPrompt[]): { side: "A" | "B"; prompt: number; at: number }[] {
  return (["a", "b"] as const).flatMap((side) => {
    const found = answers.flatMap((one, prompt) => {
      const at = sampledAt(one[side]);
      return at === undefined ? [] : [{ side: side === "a" ? ("A" as const) : ("B" as const), prompt, at }];
    });
    return found.slice(0, 1);
  });
}
