/**
 * Seeded random numbers: the only source of randomness in dualgauge.
 * Knows: seeds and stream names. Does not know: time, hosts. Each purpose draws from its own named stream, so that one
 * more draw in one place does not shift every other (xoshiro128**, Blackman & Vigna 2018, https://prng.di.unimi.it).
 */

export interface Random {
  /** Uniform 32-bit unsigned integer. */
  uint32(): number;
  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number;
  /** Uniform integer in [0, bound); `bound` from 1 to 2^32, else RangeError. */
  below(bound: number): number;
  /** Standard normal (Box–Muller, one of the pair kept). */
  normal(): number;
  /** Writes `count` draws of {@link uint32} to the front of `target`. */
  fill(target: Float64Array, count: number): void;
  /** Starts over as {@link random} of these would, without a new generator. */
  reseed(seed: number, stream: string): void;
}

/** A generator for one purpose: equal `seed` and `stream` give equal numbers on every platform. */
export function random(seed: number, stream: string): Random {
  return new Xoshiro(seed, stream);
}

class Xoshiro implements Random {
  private a = 0;
  private b = 0;
  private c = 0;
  private d = 0;
  private spare = Number.NaN;

  constructor(seed: number, stream: string) {
    this.reseed(seed, stream);
  }

  reseed(seed: number, stream: string): void {
    // splitmix32 over the seed and an FNV-1a hash of the stream's name fills the 128 bits of state.
    let hash = 0x811c9dc5 ^ (seed >>> 0);
    hash = Math.imul(hash, 0x01000193) ^ Math.floor(seed / 0x100000000);
    for (let i = 0; i < stream.length; i++) hash = Math.imul(hash ^ stream.charCodeAt(i), 0x01000193);
    this.a = splitmix(hash + 0x9e3779b9);
    this.b = splitmix(hash + 2 * 0x9e3779b9);
    this.c = splitmix(hash + 3 * 0x9e3779b9);
    this.d = splitmix(hash + 4 * 0x9e3779b9) | 1;
    this.spare = Number.NaN;
  }

  uint32(): number {
    const { b } = this;
    const c = this.c ^ this.a;
    const d = this.d ^ b;
    this.b = b ^ c;
    this.a ^= d;
    this.c = c ^ (b << 9);
    this.d = rotate(d, 11);
    return Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
  }

  fill(target: Float64Array, count: number): void {
    // The same as uint32 with the state in registers: three times as fast.
    let { a, b, c, d } = this;
    for (let i = 0; i < count; i++) {
      target[i] = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
      const shifted = b << 9;
      c ^= a;
      d ^= b;
      b ^= c;
      a ^= d;
      c ^= shifted;
      d = rotate(d, 11);
    }
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
  }

  uniform(): number {
    return ((this.uint32() >>> 5) * 67108864 + (this.uint32() >>> 6)) / 9007199254740992;
  }

  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 0x100000000) throw new RangeError(`bound ${bound}`);
    return Math.floor(this.uniform() * bound);
  }

  normal(): number {
    if (!Number.isNaN(this.spare)) {
      const kept = this.spare;
      this.spare = Number.NaN;
      return kept;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

/** One output of splitmix32 from its counter, as a signed 32-bit integer. */
function splitmix(counter: number): number {
  const hash = counter | 0;
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x21f0aaad);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x735a2d97);
  return mixed ^ (mixed >>> 15);
}
