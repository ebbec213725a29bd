/**
 * The prompts of a comparison, as token ids.
 * Knows: one prompt a line, a document's first token, limits. Does not know: what is asked with them.
 */
import { readFileSync, statSync } from "node:fs";
import type { Tokenizer } from "../engine/tokenizer.ts";
import { BadInput } from "../spec/bad-input.ts";

export interface Prompt {
  /** `file:line`. */
  readonly where: string;
  readonly text: string;
}

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
    .filter((prompt) => prompt.text.trim() !== "");
  if (prompts.length === 0) throw new BadInput(`${file}: holds no prompt; write one a line`);
  return prompts;
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
