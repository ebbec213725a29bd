/**
 * Compares two sides that show their logits and modules: directories, ONNX graphs and traces, one text in memory at a time.
 * Knows: which texts both read, and what is measured on each. Does not know: reports.
 */
import { BadInput } from "../../spec/bad-input.ts";
import type { ComparedPrompt, CompareReport } from "../compare-report.ts";
import { type GreedyDivergence, partingAt } from "../measure-greedy.ts";
import { type LogitMeasures, measureLogits, topShare } from "../measure-logits.ts";
import { encodePrompt, type Prompt } from "../read-prompts.ts";
import type { CacheMeasures } from "./locate.ts";
import { measureCache, measureReading, type TextMeasure, whole } from "./measure-reading.ts";
import type { NumberFormat } from "./number-format.ts";
import type { LocalSide, TraceSide } from "./open-side.ts";
import type { Reading, RowTensor } from "./reading.ts";

export type ReadingSide = LocalSide | TraceSide;

/** A text that both sides read. */
export interface Text {
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  readonly truncated: boolean;
}

/** What was measured on one text. */
export interface Measurement {
  readonly prompt: ComparedPrompt;
  readonly logits: LogitMeasures | undefined;
  /** Mean over the positions. */
  readonly topFiveShare: number;
  readonly modules: TextMeasure;
  readonly caches: readonly CacheMeasures[];
}

/** Logits of one side for one text take at most this many bytes. */
const logitBytesMax = 256 * 2 ** 20;

/** How many texts there are, and each when it is asked for. BadInput where the sides cannot read the same ones. */
export function textsOf(
  a: ReadingSide,
  b: ReadingSide,
  prompts: readonly Prompt[] | undefined,
  answerTokens: number,
): { count: number; text: (index: number) => Promise<Text> } {
  const traces = [a, b].filter((side) => side.kind === "trace");
  const locals = [a, b].filter((side) => side.kind !== "trace");
  const [first, second] = traces;
  if (first && second && first.trace.texts !== second.trace.texts) {
    throw new BadInput(
      `${second.given}: holds ${second.trace.texts} texts, ${first.given} ${first.trace.texts}; dump both with the same prompts`,
    );
  }
  for (const local of locals) checkPrompts(local, first, prompts, locals);
  if (first) {
    return {
      count: first.trace.texts,
      text: async (index) => {
        const { tokens, promptTokens } = first.trace.reading(index);
        if (locals.length > 0 && tokens.length === 0) {
          throw new BadInput(`${first.given}: holds no \`tokens\`, so that no directory can read the same; add them`);
        }
        return { tokens, promptTokens, truncated: first.trace.document?.prompts[index]?.truncated ?? false };
      },
    };
  }
  const leader = locals[0]!;
  return {
    count: prompts?.length ?? 0,
    text: (index) => answered(leader, prompts![index]!, locals, answerTokens),
  };
}

/** The same prompt must be the same tokens on every side. */
function checkPrompts(
  local: LocalSide,
  trace: TraceSide | undefined,
  prompts: readonly Prompt[] | undefined,
  locals: readonly LocalSide[],
): void {
  for (const [index, prompt] of (prompts ?? []).entries()) {
    const ids = encodePrompt(prompt, local.tokenizer, local.config.vocab_size).join();
    const leader = locals[0]!;
    if (leader !== local && ids !== encodePrompt(prompt, leader.tokenizer, leader.config.vocab_size).join()) {
      throw new BadInput(
        `${local.given}: its tokenizer reads ${prompt.where} otherwise than that of ${leader.given}; give both one tokenizer`,
      );
    }
    const reading = index < (trace?.trace.texts ?? 0) ? trace?.trace.reading(index) : undefined;
    if (!trace || (reading && `${ids},`.startsWith(`${reading.tokens.slice(0, reading.promptTokens).join()},`)))
      continue;
    throw new BadInput(
      `${trace.given}: text ${index + 1} is not what ${local.given} reads in ${prompt.where}; leave --prompts out or dump it again`,
    );
  }
}

async function answered(
  leader: LocalSide,
  prompt: Prompt,
  locals: readonly LocalSide[],
  answerTokens: number,
): Promise<Text> {
  const ids = encodePrompt(prompt, leader.tokenizer, leader.config.vocab_size);
  const context = Math.min(
    ...locals.map(({ asked }) => asked.contextTokens),
    Math.floor(logitBytesMax / 4 / leader.config.vocab_size),
  );
  const count = Math.max(0, Math.min(answerTokens, context - 1));
  const kept = ids.slice(0, context - count);
  const answer = await leader.asked.continueGreedily(kept, count);
  return { tokens: [...kept, ...answer], promptTokens: kept.length, truncated: kept.length < ids.length };
}

/** What a side makes of a text; a trace has made it already. */
export async function readingOf(side: ReadingSide, { tokens, promptTokens }: Text, index: number): Promise<Reading> {
  return side.kind === "trace" ? side.trace.reading(index) : side.asked.read(tokens, promptTokens);
}

/** Whether a side gives the same bits twice; a trace says so of the side that it was dumped from. */
export async function repeats(side: ReadingSide, text: Text): Promise<boolean> {
  if (side.kind === "trace") return side.trace.document?.repeatable ?? true;
  const logitsOf = async (): Promise<Float32Array> => {
    const { tensors } = await side.asked.read(text.tokens, text.promptTokens);
    return whole(tensors.get("logits")!, text.tokens.length);
  };
  const [first, second] = [await logitsOf(), await logitsOf()];
  return Buffer.compare(Buffer.from(first.buffer), Buffer.from(second.buffer)) === 0;
}

export async function measureText(
  sides: { a: ReadingSide; b: ReadingSide },
  text: Text,
  { index, format }: { index: number; format: NumberFormat },
): Promise<Measurement> {
  const [a, b] = [await readingOf(sides.a, text, index), await readingOf(sides.b, text, index)];
  const shape = sides.a.config ?? sides.b.config;
  const names = { a: sides.a.given, b: sides.b.given };
  const modules = await measureReading(a, b, { format, shape, names });
  const compared = await compareLogits(a, b, modules.rows, names);
  const caches: CacheMeasures[] = [];
  for (const [side, reading, opened] of [
    ["A", a, sides.a],
    ["B", b, sides.b],
  ] as const) {
    const foreign = opened.kind === "trace" && !opened.trace.document;
    caches.push({ side, format: foreign ? "bf16" : "fp32", measures: await measureCache(reading) });
  }
  const { logits, divergence, topFiveShare } = compared;
  return {
    ...{ logits, topFiveShare, modules, caches },
    prompt: {
      ...{ promptTokens: text.promptTokens, truncated: text.truncated },
      answerTokens: Math.max(0, text.tokens.length - text.promptTokens),
      meanKl: logits ? logits.kl.reduce((total, value) => total + value, 0) / logits.positions : Number.NaN,
      greedyDivergence: divergence ?? null,
    },
  };
}

async function compareLogits(
  a: Reading,
  b: Reading,
  rows: number,
  names: { a: string; b: string },
): Promise<{
  logits: LogitMeasures | undefined;
  divergence: GreedyDivergence | undefined;
  topFiveShare: number;
}> {
  const [logitsA, logitsB] = [a.tensors.get("logits"), b.tensors.get("logits")];
  if (!logitsA || !logitsB) return { logits: undefined, divergence: undefined, topFiveShare: Number.NaN };
  const vocabulary = logitsA.width;
  if (logitsB.width !== vocabulary) {
    throw new BadInput(
      `${names.b}: logits of ${logitsB.width} tokens, those of ${names.a} of ${vocabulary}; give two forms of one model`,
    );
  }
  const seen = Math.min(rows, logitsA.rows, logitsB.rows);
  const parts: LogitMeasures[] = [];
  let [divergence, share, at]: [GreedyDivergence | undefined, number, number] = [undefined, 0, 0];
  for await (const [pieceA, pieceB] of pieces(logitsA, logitsB, seen)) {
    parts.push(measureLogits(pieceA, pieceB, vocabulary));
    for (let from = 0; from < pieceA.length; from += vocabulary, at++) {
      const [rowA, rowB] = [pieceA.subarray(from, from + vocabulary), pieceB.subarray(from, from + vocabulary)];
      share += topShare(rowA, rowB, 5);
      // The last token's row says what comes after the answer, which nobody was asked for unless the answers part there.
      const inAnswer = at >= a.promptTokens - 1 && (at < a.tokens.length - 1 || a.tokens.length === 0);
      if (inAnswer && !divergence) divergence = partingAt(rowA, rowB, at - a.promptTokens + 1);
    }
  }
  return { logits: joinLogits(parts), divergence, topFiveShare: share / Math.max(1, seen) };
}

async function* pieces(
  a: RowTensor,
  b: RowTensor,
  rows: number,
): AsyncGenerator<readonly [Float32Array, Float32Array]> {
  const rowsAtOnce = Math.max(1, Math.floor(2 ** 20 / a.width));
  const other = stream(b, rowsAtOnce);
  let left = rows;
  try {
    for await (const piece of a.pieces(rowsAtOnce)) {
      const { value, done } = await other.next();
      if (done || left <= 0) return;
      const take = Math.min(left, piece.length / a.width);
      yield [piece.subarray(0, take * a.width), value.subarray(0, take * a.width)];
      left -= take;
    }
  } finally {
    await other.return(undefined);
  }
}

async function* stream(tensor: RowTensor, rowsAtOnce: number): AsyncGenerator<Float32Array> {
  yield* tensor.pieces(rowsAtOnce);
}

function joinLogits(parts: readonly LogitMeasures[]): LogitMeasures {
  const all = (pick: (part: LogitMeasures) => Float64Array): Float64Array =>
    Float64Array.from(parts.flatMap((part) => [...pick(part)]));
  return {
    positions: parts.reduce((total, part) => total + part.positions, 0),
    topOneAgreements: parts.reduce((total, part) => total + part.topOneAgreements, 0),
    ...{ kl: all((part) => part.kl), relativeError: all((part) => part.relativeError) },
    ...{ cosine: all((part) => part.cosine), largestDifference: all((part) => part.largestDifference) },
  };
}

export type LogitPlace = CompareReport["largestLogitDifference"];
