/**
 * The prompts of a comparison, as token ids.
 * Knows: one prompt a line, as text or (.jsonl) as an object with its right answer; a document's first token, limits. Does not know: what is asked with them.
 */
import { readFileSync, statSync } from "node:fs";
import * as z from "zod";
import type { Tokenizer } from "../engine/tokenizer.ts";
import { BadInput } from "../spec/bad-input.ts";

export interface Prompt {
  /** `file:line`. */
  readonly where: string;
  readonly text: string;
  /** The right answer: a text that the model's begins with, or which of `choices`. */
  readonly expected?: string | number;
  readonly choices?: readonly string[];
}

const Line = z
  .strictObject({
    prompt: z.string().min(1),
    answer: z.union([z.string().min(1), z.int().nonnegative()]).optional(),
    choices: z.array(z.string().min(1)).min(2).max(64).optional(),
  })
  .refine(({ answer, choices }) => (typeof answer === "number") === (choices !== undefined), {
    error: "with `choices`, `answer` is the index of the right one, from 0; without, it is a text",
  })
  .refine(({ answer, choices }) => choices === undefined || Number(answer) < choices.length, {
    error: "`answer` is beyond the last choice",
  });

const promptFileBytesMax = 64 * 2 ** 20;

/** BadInput when the file cannot be read or holds no prompt; blank lines are skipped. */
export function readPrompts(file: string): Prompt[] {
  let text: string;
  try {
    if (statSync(file).size > promptFileBytesMax)
      throw new BadInput(`${file}: larger than ${promptFileBytesMax} bytes; give fewer prompts`);
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) {
      throw new BadInput(`${file}: cannot be read (${String(error.code)}); give a text file with one prompt a line`);
    }
    throw error;
  }
  const prompts = text
    .split(/\r?\n/)
    .map((line, index) => ({ where: `${file}:${index + 1}`, text: line }))
    .filter((prompt) => prompt.text.trim() !== "")
    .map((prompt) => (file.endsWith(".jsonl") ? readLine(prompt) : prompt));
  if (prompts.length === 0) throw new BadInput(`${file}: holds no prompt; write one a line`);
  return prompts;
}

function readLine({ where, text }: Prompt): Prompt {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BadInput(`${where}: not JSON; write {"prompt": "…", "answer": "…"}, one a line`);
  }
  const parsed = Line.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const key = issue?.path.join(".");
    throw new BadInput(
      `${where}: ${key ? `${key}: ` : ""}${issue?.message}; write {"prompt": "…", "answer": "…"}, one a line`,
    );
  }
  const { prompt, answer, choices } = parsed.data;
  return { where, text: prompt, ...(answer !== undefined && { expected: answer }), ...(choices && { choices }) };
}

/** A prompt begins a document, as in training. BadInput for a token that the model does not have. */
export function encodePrompt({ where, text }: Prompt, tokenizer: Tokenizer, vocabularySize: number): number[] {
  const begin = tokenizer.bos !== undefined && tokenizer.bos < vocabularySize ? [tokenizer.bos] : [];
  const ids = [...begin, ...tokenizer.encode(text)];
  const beyond = ids.find((id) => id >= vocabularySize);
  if (beyond !== undefined) {
    throw new BadInput(
      `${where}: token ${beyond} is beyond the vocabulary of ${vocabularySize}; give the model's own tokenizer`,
    );
  }
  return ids;
}
