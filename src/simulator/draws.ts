/**
 * Draws of the distributions that the simulator needs, from a seeded source.
 * Knows: exponential, gamma and discrete distributions, blocks. Does not know: what is drawn for which purpose.
 *
 * Numbers are drawn in blocks: a tight loop over the generator costs a third of a call per number.
 */
import type { Random } from "../spec/random.ts";

const BLOCK_MAX = 1024;
const perUint32 = 2.3283064365386963e-10;

/** A stream of exponential draws with mean 1, in (0, 22.9], and of uniform draws in [0, 1), each of 32 bits. */
export class Draws {
  private readonly source: Random;
  private exponentials = new Float64Array(BLOCK_MAX);
  private uniforms = new Float64Array(BLOCK_MAX);
  private exponentialsLeft = 0;
  private uniformsLeft = 0;
  /** The first blocks of a replica are short, since many replicas need only a few numbers. */
  private block = 16;

  constructor(source: Random) {
    this.source = source;
  }

  reset(seed: number, stream: string): void {
    this.source.reseed(seed, stream);
    this.exponentialsLeft = this.uniformsLeft = 0;
    this.block = 16;
  }

  exponential(): number {
    if (this.exponentialsLeft === 0) {
      const size = this.nextBlock();
      const { exponentials } = this;
      this.source.fill(exponentials, size);
      // Half a step is added so that the logarithm is finite.
      for (let i = 0; i < size; i++) exponentials[i] = -Math.log((exponentials[i]! + 0.5) * perUint32);
      this.exponentialsLeft = size;
    }
    return this.exponentials[--this.exponentialsLeft]!;
  }

  uniform(): number {
    if (this.uniformsLeft === 0) {
      const size = this.nextBlock();
      const { uniforms } = this;
      this.source.fill(uniforms, size);
      for (let i = 0; i < size; i++) uniforms[i] = uniforms[i]! * perUint32;
      this.uniformsLeft = size;
    }
    return this.uniforms[--this.uniformsLeft]!;
  }

  private nextBlock(): number {
    const size = this.block;
    this.block = Math.min(BLOCK_MAX, size * 2);
    return size;
  }
}

/** Gamma with mean 1 and the given shape (> 0). Marsaglia & Tsang 2000, https://doi.org/10.1145/358407.358414. */
export function gammaOfMeanOne(source: Random, shape: number): number {
  // Below shape 1 their boost: G(a) = G(a + 1) · U^(1/a).
  if (shape < 1)
    return ((gammaOfMeanOne(source, shape + 1) * (shape + 1)) / shape) * (1 - source.uniform()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = source.normal();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - source.uniform()) < x * x * 0.5 + d - d * v + d * Math.log(v)) return (d * v) / shape;
  }
}

/** A table to draw an index in proportion to `weights` (not all 0) with one uniform draw (alias method, Vose 1991). */
export interface AliasTable {
  threshold: Float64Array;
  alias: Int32Array;
}

export function aliasTable(weights: readonly number[]): AliasTable {
  const n = weights.length;
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!(total > 0)) throw new RangeError("weights add up to 0");
  const scaled = weights.map((weight) => (weight * n) / total);
  const threshold = new Float64Array(n).fill(1);
  const alias = Int32Array.from({ length: n }, (_, i) => i);
  const small = scaled.flatMap((value, i) => (value < 1 ? [i] : []));
  const large = scaled.flatMap((value, i) => (value < 1 ? [] : [i]));
  while (small.length > 0 && large.length > 0) {
    const less = small.pop()!;
    const more = large.at(-1)!;
    threshold[less] = scaled[less]!;
    alias[less] = more;
    scaled[more] = scaled[more]! + scaled[less]! - 1;
    if (scaled[more]! < 1) small.push(large.pop()!);
  }
  return { threshold, alias };
}

export function drawIndex({ threshold, alias }: AliasTable, uniform: number): number {
  const scaled = uniform * threshold.length;
  const column = scaled | 0;
  return scaled - column < threshold[column]! ? column : alias[column]!;
}
