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
}

/** A generator for one purpose: equal `seed` and `stream` give equal numbers on every platform. */
export function random(seed: number, stream: string): Random {
  // splitmix32 over the seed and an FNV-1a hash of the stream's name fills the 128 bits of state.
  let hash = 0x811c9dc5 ^ (seed >>> 0);
  hash = Math.imul(hash, 0x01000193) ^ Math.floor(seed / 0x100000000);
  for (let i = 0; i < stream.length; i++) hash = Math.imul(hash ^ stream.charCodeAt(i), 0x01000193);
  const next = (): number => {
    hash = (hash + 0x9e3779b9) | 0;
    let mixed = hash ^ (hash >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
  let a = next();
  let b = next();
  let c = next();
  let d = next() | 1;
  let spare: number | undefined;

  const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));
  const uint32 = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
  const uniform = (): number => ((uint32() >>> 5) * 67108864 + (uint32() >>> 6)) / 9007199254740992;
  return {
    uint32,
    uniform,
    below(bound) {
      if (!Number.isInteger(bound) || bound < 1 || bound > 0x100000000) throw new RangeError(`bound ${bound}`);
      return Math.floor(uniform() * bound);
    },
    normal() {
      if (spare !== undefined) {
        const kept = spare;
        spare = undefined;
        return kept;
      }
      const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
      const angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
  };
}
