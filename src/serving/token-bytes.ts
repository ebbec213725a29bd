/**
 * The bytes that each token of a vocabulary stands for, so that text can be put together piece by piece.
 * Knows: byte-level and SentencePiece-like vocabularies of a Hugging Face tokenizer.json. Does not know: how text is encoded.
 * Source of the byte table: openai/gpt-2 src/encoder.py bytes_to_unicode, which ByteLevel in huggingface/tokenizers repeats.
 */
import * as z from "zod";
import { BadInput } from "../spec/bad-input.ts";

const TokenizerFile = z.object({
  model: z.object({
    vocab: z.union([z.record(z.string(), z.int().nonnegative()), z.array(z.tuple([z.string(), z.number()]))]),
  }),
  added_tokens: z.array(z.object({ id: z.int().nonnegative(), content: z.string(), special: z.boolean() })).nullish(),
  decoder: z.unknown().optional(),
  pre_tokenizer: z.unknown().optional(),
});

const none = new Uint8Array(0);

/** Token id → bytes for the byte tokenizer, whose ids above 255 are special and give no text. */
export const byteTokenBytes = (token: number): Uint8Array => (token < 256 ? Uint8Array.of(token) : none);

/** Token id → bytes for a parsed `tokenizer.json`; special tokens and unknown ids give none. BadInput when it has no vocabulary. */
export function fileTokenBytes(json: unknown, shown: string): (token: number) => Uint8Array {
  const parsed = TokenizerFile.safeParse(json);
  if (!parsed.success) throw new BadInput(`${shown}: has no vocabulary; give a Hugging Face tokenizer.json`);
  const { model, added_tokens: added, decoder, pre_tokenizer: preTokenizer } = parsed.data;
  const isByteLevel = mentions(decoder, "ByteLevel") || mentions(preTokenizer, "ByteLevel");
  const toBytes = isByteLevel ? byteLevelBytes() : pieceBytes;
  const entries: readonly (readonly [string, number])[] = Array.isArray(model.vocab)
    ? model.vocab.map(([text], id) => [text, id])
    : Object.entries(model.vocab);
  const bytes = new Map(entries.map(([text, id]) => [id, toBytes(text)]));
  for (const { id, content, special } of added ?? []) bytes.set(id, special ? none : encoder.encode(content));
  return (token) => bytes.get(token) ?? none;
}

const encoder = new TextEncoder();

/** Whether a step of this type is part of a decoder or pre-tokenizer, alone or in a sequence. */
function mentions(part: unknown, type: string): boolean {
  if (Array.isArray(part)) return part.some((inner) => mentions(inner, type));
  if (typeof part !== "object" || part === null) return false;
  return Object.entries(part).some(([key, value]) => (key === "type" ? value === type : mentions(value, type)));
}

/** Each character of a byte-level token stands for one byte. */
function byteLevelBytes(): (text: string) => Uint8Array {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  const byteOf = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) byteOf.set(String.fromCodePoint(isPrintable(byte) ? byte : next++), byte);
  return (text) => {
    const bytes = [...text].map((character) => byteOf.get(character));
    return bytes.includes(undefined) ? encoder.encode(text) : Uint8Array.from(bytes, (byte) => byte ?? 0);
  };
}

/** SentencePiece: `▁` is a space, `<0x0A>` a byte that no other token has. */
function pieceBytes(text: string): Uint8Array {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(text)?.[1];
  return byte === undefined ? encoder.encode(text.replaceAll("▁", " ")) : Uint8Array.of(Number.parseInt(byte, 16));
}
