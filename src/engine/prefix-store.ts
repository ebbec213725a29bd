/**
 * Keeps the caches of whole prompt pieces, so that a prompt which begins like an earlier one is not read anew.
 * Knows: which pieces were used last, how many tokens are kept. Does not know: how a piece is read.
 *
 * A piece's values depend on the tokens up to its end alone, so what is kept is what would be computed, to the bit.
 */
export class PrefixStore {
  /** By the tokens up to the piece's end; the least recently used first. */
  readonly #pieces = new Map<string, readonly Float32Array[]>();
  readonly #most: number;

  constructor({ pieces }: { readonly pieces: number }) {
    this.#most = pieces;
  }

  find(tokens: readonly number[]): readonly Float32Array[] | undefined {
    if (this.#most === 0) return undefined;
    const key = tokens.join();
    const found = this.#pieces.get(key);
    if (!found) return undefined;
    this.#pieces.delete(key);
    this.#pieces.set(key, found);
    return found;
  }

  /** Copies `piece`, one [tokens · width] per layer. */
  keep(tokens: readonly number[], piece: readonly Float32Array[]): void {
    if (this.#most === 0) return;
    const key = tokens.join();
    if (!this.#pieces.has(key))
      this.#pieces.set(
        key,
        piece.map((values) => values.slice()),
      );
    const [oldest] = this.#pieces.keys();
    if (this.#pieces.size > this.#most && oldest !== undefined) this.#pieces.delete(oldest);
  }
}
