/**
 * Compares two models by whatever each shows: weights, modules, logits, answers; prompt by prompt, in the memory of one.
 * Knows: the order of the measurements. Does not know: the command line, how a report is told.
 */
import { BadInput } from "../spec/bad-input.ts";
import { type CompareReport, configurationDifferences } from "./compare-report.ts";
import { compareWeights } from "./compare-weights.ts";
import {
  type AnsweredPrompt,
  type AnsweringSide,
  answerBoth,
  answering,
  repeatsAnswer,
} from "./parity/compare-answers.ts";
import { type Measurement, measureText, type ReadingSide, repeats, textsOf } from "./parity/compare-readings.ts";
import { coarser } from "./parity/number-format.ts";
import { type OpenedSide, openSide, type SideOptions } from "./parity/open-side.ts";
import { reportAnswers, reportReadings } from "./parity/report-comparison.ts";
import { isRight, saysRight } from "./parity/score-task.ts";
import { type Prompt, readPrompts } from "./read-prompts.ts";

export interface CompareRequest {
  /** A directory, `onnx:` and a directory, a trace, or a URL. */
  readonly a: string;
  readonly b: string;
  /** One prompt a line, as text or (.jsonl) with its right answer; may be absent where a side is a trace. */
  readonly prompts?: string | undefined;
  /** Tokens of the greedy continuation of each prompt. */
  readonly answerTokens: number;
  readonly sides?: { readonly a?: SideOptions; readonly b?: SideOptions };
  readonly chat?: boolean | undefined;
  readonly onProgress?: (line: string) => void;
}

/** BadInput when a side or the prompts cannot be read, or the two have nothing in common that could be compared. */
export async function compare(request: CompareRequest): Promise<CompareReport> {
  const prompts = request.prompts === undefined ? undefined : readPrompts(request.prompts);
  const a = await openSide(request.a, { ...request.sides?.a, chat: request.chat });
  try {
    const b = await openSide(request.b, { ...request.sides?.b, chat: request.chat });
    try {
      return await compareOpened(a, b, prompts, request);
    } finally {
      await b.close();
    }
  } finally {
    await a.close();
  }
}

async function compareOpened(
  a: OpenedSide,
  b: OpenedSide,
  prompts: readonly Prompt[] | undefined,
  request: CompareRequest,
): Promise<CompareReport> {
  if (prompts === undefined && a.kind !== "trace" && b.kind !== "trace") {
    throw new BadInput("--prompts: is missing; name a file with one prompt a line");
  }
  if (a.kind === "server" || b.kind === "server") {
    const sides = [answering(a, request.chat ?? false), answering(b, request.chat ?? false)] as const;
    return compareAnswers(sides[0], sides[1], prompts ?? [], request);
  }
  return compareReadings(a, b, prompts, request);
}

async function compareReadings(
  a: ReadingSide,
  b: ReadingSide,
  prompts: readonly Prompt[] | undefined,
  { answerTokens, onProgress = () => undefined }: CompareRequest,
): Promise<CompareReport> {
  checkVocabularies(a, b);
  const texts = textsOf(a, b, prompts, answerTokens);
  const first = await texts.text(0);
  // A side that disagrees with itself is found out before it is blamed.
  const repeatable = { a: await repeats(a, first), b: await repeats(b, first) };
  onProgress(`A ${repeatable.a ? "repeats" : "does not repeat"} itself, B ${repeatable.b ? "does" : "does not"}`);
  const models = [a, b].flatMap((side) => (side.kind === "model" && side.model ? [side.model] : []));
  const [modelA, modelB] = models;
  if (modelA && modelB) onProgress(`comparing ${modelA.parameters.length} weights`);
  const weights = modelA && modelB ? compareWeights(modelA, modelB) : null;
  const format = weights ? weights.roundedTo : coarser(a.about.format, b.about.format);
  const measured: Measurement[] = [];
  for (let index = 0; index < texts.count; index++) {
    const text = index === 0 ? first : await texts.text(index);
    measured.push(await measureText({ a, b }, text, { index, format }));
    onProgress(`text ${index + 1} of ${texts.count}`);
  }
  const task =
    a.kind === "trace" || b.kind === "trace" ? undefined : await rightAnswers(prompts ?? [], [a, b], answerTokens);
  return reportReadings({
    ...{ a: a.about, b: b.about, config: a.config ?? b.config, format, weights, measured, repeatable, task },
    configurationDifferences: configurationDifferences(a.config, b.config),
  });
}

function checkVocabularies(a: ReadingSide, b: ReadingSide): void {
  const [sizeA, sizeB] = [a.config?.vocab_size, b.config?.vocab_size];
  if (sizeA === undefined || sizeB === undefined || sizeA === sizeB) return;
  throw new BadInput(
    `${a.given} and ${b.given}: vocabularies of ${sizeA} and ${sizeB} tokens cannot be compared; give two forms of one model`,
  );
}

/** For each prompt that has a right answer, which sides give it. */
export type RightAnswers = readonly { readonly a: boolean; readonly b: boolean }[];

async function rightAnswers(
  prompts: readonly Prompt[],
  [a, b]: readonly [Exclude<ReadingSide, { kind: "trace" }>, Exclude<ReadingSide, { kind: "trace" }>],
  answerTokens: number,
): Promise<RightAnswers> {
  const results: { a: boolean; b: boolean }[] = [];
  for (const prompt of prompts.filter(({ expected }) => expected !== undefined)) {
    results.push({ a: await isRight(a, prompt, answerTokens), b: await isRight(b, prompt, answerTokens) });
  }
  return results;
}

async function compareAnswers(
  a: AnsweringSide,
  b: AnsweringSide,
  prompts: readonly Prompt[],
  { answerTokens, onProgress = () => undefined }: CompareRequest,
): Promise<CompareReport> {
  const count = Math.max(1, answerTokens);
  const repeatable = {
    a: await repeatsAnswer(a, prompts[0]!, count),
    b: await repeatsAnswer(b, prompts[0]!, count),
  };
  onProgress(`A ${repeatable.a ? "repeats" : "does not repeat"} itself, B ${repeatable.b ? "does" : "does not"}`);
  const answers: AnsweredPrompt[] = [];
  for (const [index, prompt] of prompts.entries()) {
    answers.push(await answerBoth(a, b, prompt, count));
    onProgress(`prompt ${index + 1} of ${prompts.length}`);
  }
  const right = prompts.flatMap((prompt, index) => {
    const answer = answers[index]!;
    if (prompt.expected === undefined) return [];
    return [{ a: saysRight(prompt, answer.a.text), b: saysRight(prompt, answer.b.text) }];
  });
  return reportAnswers({ a: a.about, b: b.about, answers, repeatable, task: right });
}
