/** Text is whole characters and never part of a stop sequence, however the bytes are cut into pieces. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Piece } from "./backend.ts";
import { type Emission, textStream } from "./text-stream.ts";

const piece = (bytes: readonly number[], finish?: "stop" | "length"): Piece => ({
  token: 0,
  bytes: Uint8Array.from(bytes),
  logprob: -1,
  top: [],
  ...(finish && { finish }),
});
const bytesOf = (text: string): number[] => [...new TextEncoder().encode(text)];

function run(pieces: readonly Piece[], stops: readonly string[]): Emission[] {
  const stream = textStream(stops);
  const emissions: Emission[] = [];
  for (const part of pieces) {
    const emission = stream.push(part);
    if (emission) emissions.push(emission);
    if (emission?.finish) break;
  }
  return emissions;
}
const textOf = (emissions: readonly Emission[]): string => emissions.map(({ text }) => text).join("");

describe("characters", () => {
  test("a character split over tokens is sent once it is whole", () => {
    const [first, second, third] = bytesOf("€");
    const emissions = run([piece([first!]), piece([second!]), piece([third!]), piece([], "stop")], []);
    expect(emissions.map(({ text, pieces }) => [text, pieces.length])).toEqual([
      ["€", 3],
      ["", 1],
    ]);
  });
  test("a character that never becomes whole ends as a replacement", () => {
    expect(textOf(run([piece([0x41]), piece([0xe2], "length")], []))).toBe("A\ufffd");
  });
});

describe("stop sequences", () => {
  test("a sequence split over pieces is never sent, nor what follows", () => {
    const emissions = run(
      [..."one\n\ntwo"].map((letter) => piece(bytesOf(letter))),
      ["\n\n"],
    );
    expect(textOf(emissions)).toBe("one");
    expect(emissions.at(-1)?.finish).toBe("stop");
    expect(emissions.flatMap(({ pieces }) => pieces)).toHaveLength(3);
  });
  test("what only looked like a stop is sent after all", () => {
    expect(
      textOf(
        run(
          [..."a\nb"].map((letter) => piece(bytesOf(letter))),
          ["\n\n"],
        ),
      ),
    ).toBe("a\nb");
  });
});

test("any text in any cuts comes out as if cut at the first stop at once", () => {
  const alphabet = fc.constantFrom("a", "b", "€", "😀", "\n");
  const word = fc.array(alphabet, { minLength: 1, maxLength: 3 }).map((letters) => letters.join(""));
  fc.assert(
    fc.property(
      fc.array(alphabet, { maxLength: 30 }),
      fc.array(word, { maxLength: 3 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 4 })),
      (letters, stops, cuts) => {
        const text = letters.join("");
        const bytes = bytesOf(text);
        const pieces: Piece[] = [];
        while (bytes.length > 0) pieces.push(piece(bytes.splice(0, cuts.next().value)));
        pieces.push(piece([], "length"));
        const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
        const expected = places.length > 0 ? text.slice(0, Math.min(...places)) : text;
        const emissions = run(pieces, stops);
        expect(textOf(emissions)).toBe(expected);
        expect(emissions.at(-1)?.finish).toBe(places.length > 0 ? "stop" : "length");
        // Every piece is reported at most once, and all of them when nothing was cut off.
        const reported = emissions.flatMap((emission) => emission.pieces);
        expect(new Set(reported).size).toBe(reported.length);
        if (places.length === 0) expect(reported).toEqual(pieces);
      },
    ),
    { seed: 1, numRuns: 500 },
  );
});
