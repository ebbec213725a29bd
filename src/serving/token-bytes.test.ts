/** Pieces put together are the text, whichever kind of vocabulary cut it. */
import { describe, expect, test } from "vitest";
import { BadInput } from "../spec/bad-input.ts";
import { byteTokenBytes, fileTokenBytes } from "./token-bytes.ts";

const textOf = (tokens: readonly number[], bytesOf: (token: number) => Uint8Array): string =>
  Buffer.concat(tokens.map(bytesOf)).toString("utf8");

test("bytes are themselves and special tokens are nothing", () => {
  expect(textOf([...Buffer.from("Wal—fisch"), 257], byteTokenBytes)).toBe("Wal—fisch");
});

describe("tokenizer.json", () => {
  test("byte-level: every character of a token is a byte", () => {
    const bytesOf = fileTokenBytes(
      {
        // "Ġ" is the space, "Ã" and "©" are the two bytes of é.
        model: { type: "BPE", vocab: { Ġwhale: 0, Ã: 1, "©": 2, Ċ: 3 } },
        added_tokens: [
          { id: 4, content: "<eos>", special: true },
          { id: 5, content: "<b>", special: false },
        ],
        decoder: { type: "Sequence", decoders: [{ type: "ByteLevel" }] },
      },
      "t",
    );
    expect(textOf([0, 1, 2, 3, 4, 5, 99], bytesOf)).toBe(" whaleé\n<b>");
  });
  test("SentencePiece: spaces and byte fallback", () => {
    const bytesOf = fileTokenBytes(
      {
        model: {
          vocab: [
            ["▁the", -1],
            ["<0xC3>", -2],
            ["<0xA9>", -3],
          ],
        },
      },
      "t",
    );
    expect(textOf([0, 1, 2], bytesOf)).toBe(" theé");
  });
  test("what has no vocabulary is refused", () => {
    expect(() => fileTokenBytes({ model: {} }, "t.json")).toThrow(BadInput);
    expect(() => fileTokenBytes(null, "t.json")).toThrow(/t\.json: has no vocabulary/);
  });
});
