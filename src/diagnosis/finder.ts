/**
 * Finds every one of many strings in bytes in one pass, whatever the case of ASCII letters, looking at most bytes only by twos.
 * Knows: bytes, patterns, how rare four letters are. Does not know: lines, rules, what a pattern means.
 *
 * Each pattern is betrayed by two neighbouring four-byte pieces of it, of which one stands at an even distance from the start:
 * so only every second position is looked up, in a bit field that stays in the cache, and only hits are compared in full.
 * Pieces are chosen so that words of healthy logs seldom hold them (the idea of Wu & Manber 1994, TR-94-17, without their shifts).
 */
export interface Pattern {
  readonly bytes: Uint8Array;
  readonly flags: number;
  /** The same bytes as they must be written, where capitals matter. */
  readonly cased?: Uint8Array;
  /** What the caller knows it by; several patterns may share one. */
  readonly id: number;
}

/** `at` is where the pattern begins. */
export type Found = (pattern: Pattern, at: number) => void;

export interface Finder {
  /** Bytes `from`…`to` of `view`; it must hold `readAhead` more bytes, whatever they are. */
  find(view: DataView, from: number, to: number, found: Found): void;
}

export const readAhead = 4;
const piece = 4;
const fieldBits = 19;

const fold = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte));
const roughly = (word: number): number => word | 0x20202020;
const slotOf = (key: number): number => Math.imul(key, 0x9e3779b1) >>> (32 - fieldBits);

/** `common`: text as healthy logs hold it. RangeError for a pattern of fewer than three bytes or with a capital letter. */
export function buildFinder(patterns: readonly Pattern[], common: string): Finder {
  const buckets = bucketsOf(patterns, common);
  const field = new Uint32Array(2 ** (fieldBits - 5));
  for (const key of buckets.keys()) {
    const slot = slotOf(key);
    field[slot >>> 5] = (field[slot >>> 5] ?? 0) | (1 << (slot & 31));
  }
  const compare = (view: DataView, key: number, at: number, from: number, to: number, found: Found): void => {
    for (const { pattern, offset } of buckets.get(key) ?? []) {
      const start = at - offset;
      if (start < from || start + pattern.bytes.length > to) continue;
      if (pattern.cased === undefined ? stands(view, start, pattern.bytes) : standsSo(view, start, pattern.cased))
        found(pattern, start);
    }
  };
  return {
    find(view, from, to, found) {
      // A short pattern may end the bytes: its piece then holds one more.
      const end = to - 2;
      for (let at = from; at < end; at += 2) {
        const key = view.getInt32(at, true) | 0x20202020;
        const slot = Math.imul(key, 0x9e3779b1) >>> (32 - fieldBits);
        if (((field[slot >>> 5]! >>> (slot & 31)) & 1) !== 0) compare(view, key, at, from, to, found);
      }
    },
  };
}

function stands(view: DataView, start: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (fold[view.getUint8(start + i)] !== bytes[i]) return false;
  return true;
}

function standsSo(view: DataView, start: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (view.getUint8(start + i) !== bytes[i]) return false;
  return true;
}

interface Entry {
  readonly pattern: Pattern;
  /** Where in the pattern the piece begins; -1 when the piece begins one byte before it. */
  readonly offset: number;
}

function bucketsOf(patterns: readonly Pattern[], common: string): Map<number, Entry[]> {
  const commonness = new Map<number, number>();
  const count = (bytes: Uint8Array, by: number): void => {
    for (let i = 0; i + piece <= bytes.length; i++) {
      const key = keyAt(bytes, i);
      commonness.set(key, (commonness.get(key) ?? 0) + by);
    }
  };
  count(new TextEncoder().encode(common), 1000);
  for (const { bytes } of patterns) count(bytes, 1);
  const buckets = new Map<number, Entry[]>();
  const put = (key: number, entry: Entry): void => {
    const bucket = buckets.get(key);
    if (bucket === undefined) buckets.set(key, [entry]);
    else bucket.push(entry);
  };
  for (const pattern of patterns) {
    const { bytes } = pattern;
    if (bytes.length < 3 || bytes.some((byte) => fold[byte] !== byte)) {
      throw new RangeError(`pattern ${new TextDecoder().decode(bytes)}: must have 3 or more bytes and no capitals`);
    }
    if (bytes.length <= piece) {
      // A short one fills no two pieces: what stands beside it may be anything.
      if (bytes.length === piece) put(keyAt(bytes, 0), { pattern, offset: 0 });
      else for (const key of beside(bytes, 0)) put(key, { pattern, offset: 0 });
      for (const key of beside(bytes, 1)) put(key, { pattern, offset: -1 });
    } else {
      const offset = rarest(bytes, commonness);
      put(keyAt(bytes, offset), { pattern, offset });
      put(keyAt(bytes, offset + 1), { pattern, offset: offset + 1 });
    }
  }
  return buckets;
}

/** The keys of all pieces that hold the first three bytes from `place` on. */
function beside(bytes: Uint8Array, place: 0 | 1): number[] {
  const whole = new Uint8Array(piece);
  whole.set(bytes.subarray(0, piece - 1), place);
  const keys: number[] = [];
  // Bit 5 is set in all keys, so half of the bytes stand for all.
  for (let byte = 0; byte < 256; byte++) {
    if ((byte & 0x20) === 0) continue;
    whole[place === 0 ? piece - 1 : 0] = byte;
    keys.push(keyAt(whole, 0));
  }
  return keys;
}

function rarest(bytes: Uint8Array, commonness: ReadonlyMap<number, number>): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i + piece < bytes.length; i++) {
    const cost = (commonness.get(keyAt(bytes, i)) ?? 0) + (commonness.get(keyAt(bytes, i + 1)) ?? 0);
    if (cost < least) [best, least] = [i, cost];
  }
  return best;
}

const keyAt = (bytes: Uint8Array, at: number): number =>
  roughly(bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
