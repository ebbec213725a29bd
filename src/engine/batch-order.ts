/**
 * Which tokens each sequence of each step reads: a function of seed and step alone, whoever asks and whenever.
 * Knows: lengths and the seed. Does not know: tokens, workers.
 */
import { random } from "../spec/random.ts";

export interface BatchOrder {
  /** Position of the first token of sequence `index` of the run (from 0: step 1 reads 0 … globalBatch - 1). */
  position(index: number): number;
}

/**
 * Passes over the corpus: each pass cuts it into windows of `seqLength` tokens (plus the one to predict) at an offset of its
 * own and reads every window once, shuffled. `tokens` must exceed `seqLength`, else RangeError.
 */
export function batchOrder({
  tokens,
  seqLength,
  seed,
}: {
  tokens: number;
  seqLength: number;
  seed: number;
}): BatchOrder {
  const whole = Math.floor((tokens - 1) / seqLength);
  if (whole < 1) throw new RangeError(`${tokens} tokens for sequences of ${seqLength + 1}`);
  // One window fewer than would fit, where there are two, leaves room for the offset.
  const windows = Math.max(1, whole - 1);
  if (windows > 2 ** 32) throw new RangeError(`${windows} windows, at most 2^32`);
  const room = tokens - 1 - windows * seqLength;
  let pass = -1;
  let offset = 0;
  let shuffle = (index: number): number => index;
  return {
    position(index) {
      const wanted = Math.floor(index / windows);
      if (wanted !== pass) {
        pass = wanted;
        const draw = random(seed, `data/pass-${pass}`);
        offset = draw.below(room + 1);
        shuffle = permutation(windows, [draw.uint32(), draw.uint32(), draw.uint32(), draw.uint32()]);
      }
      return offset + shuffle(index - wanted * windows) * seqLength;
    },
  };
}

/**
 * A permutation of 0 … size-1 in no memory: a Feistel network on the next even number of bits, walked until it falls inside
 * (Black & Rogaway 2002, "Ciphers with arbitrary finite domains", https://doi.org/10.1007/3-540-45760-7_9).
 */
export function permutation(size: number, keys: readonly number[]): (index: number) => number {
  let half = 1;
  while (4 ** half < size) half++;
  const mask = 2 ** half - 1;
  const once = (value: number): number => {
    let left = Math.floor(value / 2 ** half);
    let right = value % 2 ** half;
    for (const key of keys) {
      let mixed = Math.imul(right ^ key, 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      [left, right] = [right, (left ^ (mixed >>> 16) ^ mixed) & mask];
    }
    return left * 2 ** half + right;
  };
  return (index) => {
    let value = once(index);
    while (value >= size) value = once(value);
    return value;
  };
}
