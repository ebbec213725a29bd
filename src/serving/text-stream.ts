/**
 * Turns pieces of bytes into text that is safe to send: whole characters, and nothing of a stop sequence.
 * Knows: UTF-8 split over tokens, stop sequences split over pieces. Does not know: where pieces come from or go to.
 */
import type { Piece } from "./backend.ts";

/** Text to send now, with the pieces it came from. */
export interface Emission {
  readonly text: string;
  readonly pieces: readonly Piece[];
  readonly finish?: "stop" | "length";
}

export interface TextStream {
  /** What may be sent after this piece; undefined while a character or a possible stop sequence is incomplete. */
  push(piece: Piece): Emission | undefined;
}

/** Text never contains one of `stops`; the first one found ends it with `finish: "stop"`. */
export function textStream(stops: readonly string[]): TextStream {
  const decoder = new TextDecoder("utf-8");
  let held = "";
  let pieces: { piece: Piece; start: number }[] = [];
  /** Takes `length` characters off, with the pieces that begin in them (at the end of the text: all pieces). */
  const release = (length: number, finish?: "stop" | "length"): Emission => {
    const text = held.slice(0, length);
    const whole = finish !== undefined && length === held.length;
    const gone = pieces.filter(({ start }) => whole || start < length);
    pieces = pieces
      .filter((entry) => !gone.includes(entry))
      .map(({ piece, start }) => ({ piece, start: start - length }));
    held = held.slice(length);
    return { text, pieces: gone.map(({ piece }) => piece), ...(finish && { finish }) };
  };
  return {
    push(piece) {
      pieces.push({ piece, start: held.length });
      held += decoder.decode(piece.bytes, { stream: piece.finish === undefined });
      const cut = earliest(held, stops);
      if (cut !== undefined) return release(cut, "stop");
      if (piece.finish !== undefined) return release(held.length, piece.finish);
      const ready = held.length - longestStopPrefixAtEnd(held, stops);
      return ready > 0 ? release(ready) : undefined;
    },
  };
}

function earliest(text: string, stops: readonly string[]): number | undefined {
  const places = stops.map((stop) => text.indexOf(stop)).filter((place) => place >= 0);
  return places.length === 0 ? undefined : Math.min(...places);
}

function longestStopPrefixAtEnd(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
