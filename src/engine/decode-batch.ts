/**
 * The compressed caches of the sequences that are decoded together, in rows of one buffer per layer.
 * Knows: rows, capacity, how rows move when one leaves. Does not know: sessions, sampling.
 */
import type { HostTensor } from "./session.ts";

/** Rows grow in steps of so many tokens, so that buffers are seldom copied and shapes seldom change. */
const growth = 64;

export class DecodeBatch {
  /** Sequences held; they are rows 0 to count − 1. */
  count = 0;
  readonly #layers: number;
  readonly #width: number;
  #capacity = 0;
  #rows = 0;
  #buffers: Float32Array[] = [];
  #tensors: HostTensor[] | undefined;

  constructor(shape: { readonly layers: number; readonly width: number }) {
    this.#layers = shape.layers;
    this.#width = shape.width;
  }

  /** Adds a row with the first `length` entries of `source` row `sourceRow` (one tensor [rows, longest, width] per layer); returns its index. */
  add(source: readonly HostTensor[], sourceRow: number, length: number): number {
    const row = this.count;
    this.#reserve(row + 1, length + 1);
    this.count = row + 1;
    this.#tensors = undefined;
    this.#buffers.forEach((buffer, layer) => {
      const { data, shape } = floats(source[layer]);
      const from = sourceRow * shape[1]! * this.#width;
      buffer.set(data.subarray(from, from + length * this.#width), row * this.#capacity * this.#width);
    });
    return row;
  }

  /** Writes the newest entry of each row (one tensor [count, 1, width] per layer) at its position. */
  append(fresh: readonly HostTensor[], positions: readonly number[]): void {
    this.#reserve(this.count, Math.max(...positions) + 2);
    this.#buffers.forEach((buffer, layer) => {
      const { data } = floats(fresh[layer]);
      positions.forEach((position, row) => {
        const entry = data.subarray(row * this.#width, (row + 1) * this.#width);
        buffer.set(entry, (row * this.#capacity + position) * this.#width);
      });
    });
  }

  /** Removes a row; the last row takes its place. */
  remove(row: number): void {
    const last = this.count - 1;
    const size = this.#capacity * this.#width;
    for (const buffer of this.#buffers) buffer.copyWithin(row * size, last * size, (last + 1) * size);
    this.count = last;
    this.#tensors = undefined;
  }

  clear(): void {
    this.count = 0;
    this.#tensors = undefined;
  }

  /** One tensor [count, capacity, width] per layer: the buffers themselves, the same objects until a shape changes. */
  tensors(): readonly HostTensor[] {
    const size = this.count * this.#capacity * this.#width;
    const shape = [this.count, this.#capacity, this.#width];
    this.#tensors ??= this.#buffers.map((buffer) => ({ shape, data: buffer.subarray(0, size) }));
    return this.#tensors;
  }

  #reserve(rows: number, length: number): void {
    if (rows <= this.#rows && length <= this.#capacity) return;
    const capacity = Math.max(this.#capacity, Math.ceil(length / growth) * growth);
    const room = rows <= this.#rows ? this.#rows : Math.max(rows, 2 * this.#rows);
    const before = this.#buffers;
    this.#buffers = Array.from({ length: this.#layers }, (_, layer) => {
      const buffer = new Float32Array(room * capacity * this.#width);
      for (let row = 0; row < this.count; row++) {
        const from = row * this.#capacity * this.#width;
        const old = before[layer]!.subarray(from, from + this.#capacity * this.#width);
        buffer.set(old, row * capacity * this.#width);
      }
      return buffer;
    });
    this.#capacity = capacity;
    this.#rows = room;
    this.#tensors = undefined;
  }
}

function floats(tensor: HostTensor | undefined): { data: Float32Array; shape: readonly number[] } {
  if (!(tensor?.data instanceof Float32Array)) throw new Error("a cache must be float32");
  return { data: tensor.data, shape: tensor.shape };
}
