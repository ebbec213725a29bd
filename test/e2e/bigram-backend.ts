/**
 * The smallest real language model: the next byte by how often it followed the last one in a given text.
 * Knows: byte pairs and sampling. Does not know: engines. It lets the endpoint be tried, and tested, without ONNX Runtime.
 */

import type { Backend, Generation, Piece, TokenReading } from "../../src/serving/backend.ts";
import { random } from "../../src/spec/random.ts";

const endOfText = 256;

/** A model of `text`, which ends where the text ended; `contextTokens` as the endpoint is to enforce it. */
export function bigramBackend({
  model,
  text,
  contextTokens,
}: {
  model: string;
  text: string;
  contextTokens: number;
}): Backend {
  const counts = new Map<number, Map<number, number>>();
  const bytes = [...new TextEncoder().encode(text), endOfText];
  bytes.forEach((byte, index) => {
    const last = bytes[index - 1] ?? endOfText;
    const row = counts.get(last) ?? new Map<number, number>();
    row.set(byte, (row.get(byte) ?? 0) + 1);
    counts.set(last, row);
  });
  const reading = (token: number, logprob: number): TokenReading => ({
    token,
    bytes: token === endOfText ? new Uint8Array(0) : Uint8Array.of(token),
    logprob,
  });
  const likeliestFirst = (last: number): TokenReading[] => {
    const row = [...(counts.get(last) ?? new Map<number, number>([[endOfText, 1]]))];
    const total = row.reduce((sum, [, count]) => sum + count, 0);
    return row
      .sort(([a, x], [b, y]) => y - x || a - b)
      .map(([token, count]) => reading(token, Math.log(count / total)));
  };
  return {
    model,
    contextTokens,
    vocabularySize: 257,
    encode: (prompt) => [...new TextEncoder().encode(prompt)],
    async *generate(request, signal) {
      const draw = random(request.seed, "sampling");
      let last = request.prompt.at(-1) ?? endOfText;
      for (let count = 1; count <= request.maxTokens; count++) {
        // The event loop turns between tokens, as it does around a call of a real engine.
        await new Promise(setImmediate);
        if (signal.aborted) return;
        const choices = likeliestFirst(last);
        const chosen = pick(choices, request, draw.uniform());
        const finish = chosen.token === endOfText ? "stop" : count === request.maxTokens ? "length" : undefined;
        yield { ...chosen, top: choices.slice(0, request.topLogprobs), ...(finish && { finish }) } satisfies Piece;
        if (finish) return;
        last = chosen.token;
      }
    },
  };
}

function pick(choices: readonly TokenReading[], { temperature, topP }: Generation, uniform: number): TokenReading {
  const [best] = choices;
  if (best === undefined) throw new RangeError("no choices");
  if (temperature === 0) return best;
  const weights = choices.map(({ logprob }) => Math.exp(logprob / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let kept = 0;
  let mass = 0;
  while (kept < weights.length && mass < topP * total) mass += weights[kept++] ?? 0;
  let left = uniform * mass;
  for (const [index, choice] of choices.slice(0, kept).entries()) {
    left -= weights[index] ?? 0;
    if (left < 0) return choice;
  }
  return best;
}
