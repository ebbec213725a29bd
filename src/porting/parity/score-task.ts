/**
 * Whether a side gives each prompt's right answer: by the likelihood of the choices, or by what it says.
 * Knows: prompts with answers. Does not know: what the results are compared with.
 */
import type { Tokenizer } from "../../engine/tokenizer.ts";
import { encodePrompt, type Prompt } from "../read-prompts.ts";
import type { AskedSide } from "./engine-side.ts";
import { whole } from "./measure-reading.ts";

/** True where the side is right about `prompt`, which has an answer. */
export async function isRight(
  side: { asked: AskedSide; tokenizer: Tokenizer },
  prompt: Prompt,
  count: number,
): Promise<boolean> {
  const { asked, tokenizer } = side;
  const ids = encodePrompt(prompt, tokenizer, asked.vocabulary);
  if (!prompt.choices) {
    const room = Math.max(0, Math.min(count, asked.contextTokens - ids.length));
    return saysRight(prompt, tokenizer.decode(await asked.continueGreedily(ids, room)));
  }
  const scores: number[] = [];
  for (const choice of prompt.choices) scores.push(await logLikelihood(asked, ids, tokenizer.encode(choice)));
  return scores.indexOf(Math.max(...scores)) === prompt.expected;
}

/** Whether an answer begins with what is right, up to spaces and case. */
export function saysRight({ expected, choices }: Prompt, answer: string): boolean {
  const right = typeof expected === "number" ? choices?.[expected] : expected;
  const plain = (text: string): string => text.trim().toLowerCase();
  return right !== undefined && plain(answer).startsWith(plain(right));
}

/** Mean over the choice's tokens of their log probability after `ids`; −Infinity where it does not fit the context. */
async function logLikelihood(asked: AskedSide, ids: readonly number[], choice: readonly number[]): Promise<number> {
  const text = [...ids, ...choice];
  if (choice.length === 0 || text.length > asked.contextTokens) return Number.NEGATIVE_INFINITY;
  const { tensors } = await asked.read(text, text.length);
  const logits = await whole(tensors.get("logits")!, text.length);
  let total = 0;
  choice.forEach((token, index) => {
    const at = (ids.length - 1 + index) * asked.vocabulary;
    const row = logits.subarray(at, at + asked.vocabulary);
    const top = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
    total += row[token]! - top - Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0));
  });
  return total / choice.length;
}
