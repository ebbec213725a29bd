/**
 * Compares two models by their weights and by what they answer, prompt by prompt, in the memory of one prompt.
 * Knows: the order of the measurements and what the report holds. Does not know: the command line.
 */
import { openTokenizer } from "../engine/tokenizer.ts";
import { BadInput } from "../spec/bad-input.ts";
import { type CompareReport, type Measurement, reportOf, sum } from "./compare-report.ts";
import { compareWeights } from "./compare-weights.ts";
import { type Gauge, openGauge } from "./gauge.ts";
import { greedyDivergence } from "./measure-greedy.ts";
import { measureLogits } from "./measure-logits.ts";
import { type OpenedModel, openModel } from "./open-model.ts";
import { encodePrompt, type Prompt, readPrompts } from "./read-prompts.ts";

export interface CompareRequest {
  readonly a: string;
  readonly b: string;
  /** A text file with one prompt a line. */
  readonly prompts: string;
  /** Tokens of the greedy continuation of each prompt. */
  readonly answerTokens: number;
  readonly onProgress?: (line: string) => void;
}

/** Logits of one side for one prompt take at most this many bytes. */
const logitBytesMax = 256 * 2 ** 20;

/** BadInput when a side or the prompts cannot be read, or the two have no vocabulary in common. */
export async function compare(request: CompareRequest): Promise<CompareReport> {
  const prompts = readPrompts(request.prompts);
  const a = await openModel(request.a);
  try {
    const b = await openModel(request.b);
    try {
      return await compareOpened(a, b, prompts, request);
    } finally {
      b.close();
    }
  } finally {
    a.close();
  }
}

async function compareOpened(
  a: OpenedModel,
  b: OpenedModel,
  prompts: readonly Prompt[],
  { a: nameA, b: nameB, answerTokens, onProgress = () => undefined }: CompareRequest,
): Promise<CompareReport> {
  if (a.config.vocab_size !== b.config.vocab_size) {
    const sizes = `${a.config.vocab_size} and ${b.config.vocab_size} tokens`;
    throw new BadInput(
      `${nameA} and ${nameB}: vocabularies of ${sizes} cannot be compared; give two forms of one model`,
    );
  }
  const tokenizers = { a: openTokenizer(a.tokenizer, a.config), b: openTokenizer(b.tokenizer, b.config) };
  const encoded = prompts.map((prompt) => {
    const ids = encodePrompt(prompt, tokenizers.a, a.config.vocab_size);
    if (ids.join() !== encodePrompt(prompt, tokenizers.b, b.config.vocab_size).join()) {
      throw new BadInput(
        `${nameB}: its tokenizer reads ${prompt.where} otherwise than that of ${nameA}; give both one tokenizer`,
      );
    }
    return ids;
  });
  onProgress(`comparing ${a.parameters.length} weights`);
  const weights = compareWeights(a, b);
  const gauges = { a: await openGauge(a), b: await openGauge(b) };
  try {
    const measured: Measurement[] = [];
    for (const [index, ids] of encoded.entries()) {
      measured.push(await measurePrompt(gauges, ids, { answerTokens, contextTokens: contextOf(a, b) }));
      onProgress(`prompt ${index + 1} of ${encoded.length}`);
    }
    const again = (encoded[0] ?? []).slice(0, measured[0]?.prompt.promptTokens);
    const repeatable = { a: await repeats(gauges.a, again), b: await repeats(gauges.b, again) };
    return reportOf({ a, b, weights, measured, repeatable });
  } finally {
    await Promise.all([gauges.a.close(), gauges.b.close()]);
  }
}

async function measurePrompt(
  { a, b }: { a: Gauge; b: Gauge },
  ids: readonly number[],
  { answerTokens, contextTokens }: { answerTokens: number; contextTokens: number },
): Promise<Measurement> {
  const { vocabulary } = a;
  const context = Math.min(contextTokens, Math.floor(logitBytesMax / 4 / vocabulary));
  const count = Math.max(0, Math.min(answerTokens, context - 1));
  const prompt = ids.slice(0, context - count);
  const answer = await a.continueGreedily(prompt, count);
  const text = [...prompt, ...answer];
  const [logitsA, logitsB] = [await a.logits(text), await b.logits(text)];
  const logits = measureLogits(logitsA, logitsB, vocabulary);
  const divergence = greedyDivergence(
    { a: logitsA, b: logitsB, vocabulary },
    { promptTokens: prompt.length, answerTokens: answer.length },
  );
  return {
    logits,
    prompt: {
      promptTokens: prompt.length,
      truncated: prompt.length < ids.length,
      answerTokens: answer.length,
      meanKl: sum(logits.kl) / logits.positions,
      greedyDivergence: divergence ?? null,
    },
  };
}

function contextOf(a: OpenedModel, b: OpenedModel): number {
  return Math.min(a.config.max_position_embeddings, b.config.max_position_embeddings);
}

async function repeats(gauge: Gauge, ids: readonly number[]): Promise<boolean> {
  const [first, second] = [await gauge.logits(ids), await gauge.logits(ids)];
  return measureLogits(first, second, gauge.vocabulary).largestDifference.every((difference) => difference === 0);
}
