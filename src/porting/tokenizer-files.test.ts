/** The exported byte tokenizer, read by Hugging Face's own JavaScript library, encodes every text as its bytes. */
import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { expect, test } from "vitest";
import { byteSpecialTokens, byteTokenizerConfig, byteTokenizerJson } from "./tokenizer-files.ts";

const tokenizer = new Tokenizer(
  JSON.parse(JSON.stringify(byteTokenizerJson())),
  JSON.parse(JSON.stringify(byteTokenizerConfig(512))),
);

test("any text becomes its UTF-8 bytes and comes back", () =>
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 200 }), (text) => {
      const bytes = [...new TextEncoder().encode(text)];
      expect(tokenizer.encode(text).ids).toEqual(bytes);
      if (bytes.length > 0) expect(tokenizer.decode(bytes)).toBe(text);
    }),
    { seed: 4, numRuns: 300 },
  ));

test("every single byte has an id of its own, white space and line ends too", () => {
  const vocabulary = tokenizer.get_vocab();
  expect(new Set(vocabulary.values()).size).toBe(260);
  expect(tokenizer.encode(" \n\t\r  a\u0000\u007f").ids).toEqual([32, 10, 9, 13, 32, 32, 97, 0, 127]);
});

test("special tokens are found by name and left out of text", () => {
  const [bos] = byteSpecialTokens;
  expect(tokenizer.encode(`${bos.content}Hi`).ids).toEqual([256, 72, 105]);
  expect(tokenizer.decode([256, 72, 105, 257], { skip_special_tokens: true })).toBe("Hi");
});
