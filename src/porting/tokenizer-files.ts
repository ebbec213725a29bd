/**
 * The byte tokenizer as Hugging Face's two tokenizer files, so that transformers and vLLM encode as training did.
 * Knows: the tokenizer.json format (a byte-level BPE without merges). Does not know: which model uses it.
 * Source of the byte table: openai/gpt-2 src/encoder.py bytes_to_unicode, which ByteLevel in huggingface/tokenizers repeats.
 */

/** Ids 0–255 are the bytes; these follow. They are DeepSeek's names where it has one. */
export const byteSpecialTokens = [
  { id: 256, role: "bos_token", content: "<｜begin▁of▁sentence｜>" },
  { id: 257, role: "eos_token", content: "<｜end▁of▁sentence｜>" },
  { id: 258, role: "pad_token", content: "<｜▁pad▁｜>" },
  { id: 259, role: "unk_token", content: "<｜▁unk▁｜>" },
] as const;

/** The printable character that stands for each byte in a byte-level vocabulary. */
export function byteCharacters(): readonly string[] {
  const isPrintable = (byte: number): boolean =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}

/**
 * `tokenizer.json`. Text that spells a special token is read as that token, as with every Hugging Face tokenizer; all other text becomes
 * its UTF-8 bytes. No special token is added around a text: whoever asks for an answer says whether a document begins.
 */
export function byteTokenizerJson(): object {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
  const bytes = byteCharacters().map((character, byte) => [character, byte] as const);
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: byteSpecialTokens.map(({ id, content }) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries([...bytes, ...byteSpecialTokens.map(({ id, content }) => [content, id] as const)]),
      merges: [],
    },
  };
}

/** `tokenizer_config.json` of the byte tokenizer. */
export function byteTokenizerConfig(contextTokens: number): object {
  return {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    model_max_length: contextTokens,
    ...Object.fromEntries(byteSpecialTokens.map(({ role, content }) => [role, content])),
    added_tokens_decoder: Object.fromEntries(
      byteSpecialTokens.map(({ id, content }) => [
        String(id),
        { content, lstrip: false, normalized: false, rstrip: false, single_word: false, special: true },
      ]),
    ),
  };
}
