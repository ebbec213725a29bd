/**
 * A prompt that is read piece by piece into a cache of its own, so that running sequences go on in between.
 * Knows: where pieces begin and how long they are, what is read. Does not know: sessions, who wants the prompt.
 *
 * Pieces begin at multiples of `pieceTokens` and are padded to a power of two, whoever else is read: a prompt's values depend on it alone.
 */
import { cacheRows, floats } from "./decode-batch.ts";
import type { HostTensor } from "./session.ts";

/** Tokens of a piece, at most. */
export const pieceTokens = 64;
const shortestPiece = 8;

export interface PieceShape {
  /** Tokens, padding included. */
  readonly length: number;
  /** Cache rows given, filled or not. */
  readonly past: number;
}

export class PromptReader {
  readonly prompt: readonly number[];
  /** Tokens read. */
  position = 0;
  /** One [tokens · width] per layer. */
  readonly values: readonly Float32Array[];
  readonly #width: number;

  constructor(prompt: readonly number[], { layers, width }: { layers: number; width: number }) {
    this.prompt = prompt;
    this.#width = width;
    this.values = Array.from({ length: layers }, () => new Float32Array(cacheRows(prompt.length) * width));
  }

  /** Tokens of the next piece, without padding. */
  get next(): readonly number[] {
    return this.prompt.slice(this.position, this.position + pieceTokens);
  }

  get shape(): PieceShape {
    let length = shortestPiece;
    while (length < this.next.length) length *= 2;
    return { length, past: cacheRows(this.position) };
  }

  get done(): boolean {
    return this.position === this.prompt.length;
  }

  /** The cache before the next piece, [past · width]. */
  cache(layer: number): Float32Array {
    return this.values[layer]!.subarray(0, this.shape.past * this.#width);
  }

  /** Takes what reading the next piece gave: row `row` of one [batch, length, width] per layer. */
  take(fresh: readonly HostTensor[], row: number): void {
    const { length } = this.shape;
    const count = this.next.length;
    this.values.forEach((values, layer) => {
      const from = row * length * this.#width;
      values.set(floats(fresh[layer]).subarray(from, from + count * this.#width), this.position * this.#width);
    });
    this.position += count;
  }

  /** Tokens up to the end of the piece that was read last, and its values; undefined when it is not whole. */
  get latest(): { readonly tokens: readonly number[]; readonly values: readonly Float32Array[] } | undefined {
    if (this.position === 0 || this.position % pieceTokens !== 0) return undefined;
    const from = (this.position - pieceTokens) * this.#width;
    const values = this.values.map((all) => all.subarray(from, this.position * this.#width));
    return { tokens: this.prompt.slice(0, this.position), values };
  }

  /** Takes the values of the next whole piece from where they were kept. */
  adopt(piece: readonly Float32Array[]): void {
    this.values.forEach((values, layer) => {
      values.set(piece[layer]!, this.position * this.#width);
    });
    this.position += pieceTokens;
  }
}
