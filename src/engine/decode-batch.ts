/**
 * The compressed caches of sequences that are decoded together: rows of one length in one buffer per layer.
 * Knows: rows, who holds which, how rows move when one leaves. Does not know: sessions, sampling, other lengths.
 */
import type { HostTensor } from "./session.ts";

/**
 * Cache rows that a sequence of `tokens` has: a power of two, so that its shapes depend on itself alone and not on the longest of its
 * batch, while few batches exist at a time.
 */
export function cacheRows(tokens: number): number {
  let rows = 64;
  while (rows < tokens) rows *= 2;
  return rows;
}

export class DecodeBatch<Member> {
  /** Who holds row 0, 1, … */
  readonly members: Member[] = [];
  /** Tokens that a row holds. */
  readonly capacity: number;
  readonly #width: number;
  readonly #multiple: number;
  #rows = 0;
  #buffers: Float32Array[];
  #tensors: HostTensor[] | undefined;

  /** `multiple`: the number of rows that `tensors` gives is rounded up to a multiple of it. */
  constructor(shape: { layers: number; width: number; capacity: number; multiple: number }) {
    this.capacity = shape.capacity;
    this.#width = shape.width;
    this.#multiple = shape.multiple;
    this.#buffers = Array.from({ length: shape.layers }, () => new Float32Array(0));
  }

  /** Members, and the rows that only fill up. */
  get rows(): number {
    return Math.ceil(this.members.length / this.#multiple) * this.#multiple;
  }

  /** Adds a row that begins with `values`, one [tokens · width] per layer. */
  add(member: Member, values: readonly Float32Array[]): void {
    const at = this.members.length * this.capacity * this.#width;
    this.members.push(member);
    this.#reserve();
    this.#tensors = undefined;
    this.#buffers.forEach((buffer, layer) => {
      buffer.set(values[layer]!, at);
    });
  }

  /** The first `length` entries of a row, one [length · width] per layer; views that the next change makes stale. */
  read(row: number, length: number): Float32Array[] {
    const at = row * this.capacity * this.#width;
    return this.#buffers.map((buffer) => buffer.subarray(at, at + length * this.#width));
  }

  /** Writes the newest entry of each row (one tensor [rows, 1, width] per layer) at its position. */
  append(fresh: readonly HostTensor[], positions: readonly number[]): void {
    this.#buffers.forEach((buffer, layer) => {
      const data = floats(fresh[layer]);
      positions.forEach((position, row) => {
        const entry = data.subarray(row * this.#width, (row + 1) * this.#width);
        buffer.set(entry, (row * this.capacity + position) * this.#width);
      });
    });
  }

  /** Removes a row; the last row takes its place. The values are wiped: what is not finite would spread, even weighted by 0. */
  remove(row: number): void {
    const last = this.members.length - 1;
    const size = this.capacity * this.#width;
    for (const buffer of this.#buffers) {
      if (row < last) buffer.copyWithin(row * size, last * size, (last + 1) * size);
      buffer.fill(0, last * size, (last + 1) * size);
    }
    const moved = this.members.pop()!;
    if (row < last) this.members[row] = moved;
    this.#tensors = undefined;
  }

  /** One tensor [rows, capacity, width] per layer: the buffers themselves, the same objects until a row comes or goes. */
  tensors(): readonly HostTensor[] {
    const shape = [this.rows, this.capacity, this.#width];
    const size = this.rows * this.capacity * this.#width;
    this.#tensors ??= this.#buffers.map((buffer) => ({ shape, data: buffer.subarray(0, size) }));
    return this.#tensors;
  }

  #reserve(): void {
    if (this.rows <= this.#rows) return;
    this.#rows = Math.max(this.rows, 2 * this.#rows);
    this.#buffers = this.#buffers.map((before) => {
      const buffer = new Float32Array(this.#rows * this.capacity * this.#width);
      buffer.set(before);
      return buffer;
    });
  }
}

/** The numbers of a float32 tensor. */
export function floats(tensor: HostTensor | undefined): Float32Array {
  if (!(tensor?.data instanceof Float32Array)) throw new Error("caches and logits must be float32");
  return tensor.data;
}
