/**
 * Text to token ids and back: by byte, or by a Hugging Face `tokenizer.json`.
 * Knows: both kinds and their special tokens. Does not know: corpora, models beyond the size of their vocabulary.
 */
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import type { Tokenizer as HubTokenizer } from "@huggingface/tokenizers";
import { BadInput } from "../spec/bad-input.ts";

/** Ids 0–255 are the bytes of UTF-8 text; the special tokens follow. */
export const byteTokens = { bos: 256, eos: 257, pad: 258, unk: 259 } as const;
export const byteVocabularySize = 260;

export interface Tokenizer {
  readonly kind: "byte" | "file";
  /** The largest id plus 1. */
  readonly vocabularySize: number;
  /** Put before and after a document; absent where the tokenizer has none. */
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** Without special tokens. */
  encode(text: string): number[];
  /** Special tokens give no text; bytes that are no UTF-8 give U+FFFD. */
  decode(ids: readonly number[]): string;
}

const encoder = new TextEncoder();

export const byteTokenizer: Tokenizer = {
  kind: "byte",
  vocabularySize: byteVocabularySize,
  bos: byteTokens.bos,
  eos: byteTokens.eos,
  encode: (text) => [...encoder.encode(text)],
  decode: (ids) => new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < 256))),
};

const fileBytesMax = 256 * 2 ** 20;

/** `reference` is `byte` or the path of a `tokenizer.json`; BadInput where that cannot be read or is none. */
export function openTokenizer(
  reference: string,
  special: { bos_token_id?: number | undefined; eos_token_id?: number | undefined } = {},
): Tokenizer {
  if (reference === "byte") return byteTokenizer;
  const hub = readHubTokenizer(reference);
  let largest = -1;
  for (const id of hub.get_vocab(true).values()) largest = Math.max(largest, id);
  if (largest < 0) throw new BadInput(`${reference}: the tokenizer has no tokens; give a Hugging Face tokenizer.json`);
  const named = (names: readonly string[]): number | undefined =>
    names.map((name) => hub.token_to_id(name)).find((id) => id !== undefined);
  return {
    kind: "file",
    vocabularySize: largest + 1,
    bos: special.bos_token_id ?? named(["<｜begin▁of▁sentence｜>", "<s>", "<|begin_of_text|>", "<bos>", "[BOS]"]),
    eos:
      special.eos_token_id ??
      named(["<｜end▁of▁sentence｜>", "</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "[EOS]"]),
    encode: (text) => hub.encode(text, { add_special_tokens: false }).ids,
    decode: (ids) => (ids.length === 0 ? "" : hub.decode([...ids], { skip_special_tokens: true })),
  };
}

function readHubTokenizer(path: string): HubTokenizer {
  const refuse = (what: string): BadInput =>
    new BadInput(`data.text.tokenizer: ${path}: ${what}; give \`byte\` or the path of a Hugging Face tokenizer.json`);
  let text: string;
  try {
    if (statSync(path).size > fileBytesMax) throw refuse(`larger than ${fileBytesMax} bytes`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof BadInput) throw error;
    throw refuse(`cannot be read (${messageOf(error)})`);
  }
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json !== "object" || json === null || !("model" in json)) throw new Error("it has no model");
    // Loaded where it is needed: most workers tokenise by byte, and a restarted one has no time for it.
    const hub: typeof import("@huggingface/tokenizers") = createRequire(import.meta.url)("@huggingface/tokenizers");
    return new hub.Tokenizer(json, {});
  } catch (error) {
    throw refuse(`is no tokenizer (${messageOf(error)})`);
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
