/**
 * Finds any of many strings in bytes in one pass, whatever the case of ASCII letters (Aho & Corasick 1975, https://doi.org/10.1145/360825.360855).
 * Knows: bytes, patterns, flags. Does not know: lines, rules, what a pattern means.
 */
export interface Pattern {
  readonly bytes: Uint8Array;
  readonly flags: number;
  /** Reported by `matchesIn`. */
  readonly id: number;
}

export interface Automaton {
  /** Row after row of `width` cells; a state is the offset of its row. The last cell of a row holds the state's flags. */
  readonly table: Int32Array;
  readonly width: number;
  /** Column of each byte. */
  readonly columnOf: Uint8Array;
  readonly root: number;
  /** States from here on have flags. */
  readonly firstFlagged: number;
  /** The ids of all patterns that occur in `bytes`, each once. */
  matchesIn(bytes: Uint8Array): Set<number>;
}

const fold = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

/** All patterns must be lower case and not empty. Time and memory: states × distinct bytes. */
export function buildAutomaton(patterns: readonly Pattern[]): Automaton {
  const { columnOf, columns } = alphabet(patterns);
  const trie = buildTrie(patterns, columnOf, columns);
  const order = numbering(trie.flags);
  const width = columns + 1;
  const table = new Int32Array(trie.flags.length * width);
  const outputs: number[][] = new Array(trie.flags.length);
  for (let state = 0; state < trie.flags.length; state++) {
    const row = order.rank[state]!;
    outputs[row] = trie.outputs[state]!;
    for (let column = 0; column < columns; column++) {
      table[row * width + column] = order.rank[trie.next[state * columns + column]!]! * width;
    }
    table[row * width + columns] = trie.flags[state]!;
  }
  const root = order.rank[0]! * width;
  const matchesIn = (bytes: Uint8Array): Set<number> => {
    const found = new Set<number>();
    let state = root;
    for (const byte of bytes) {
      state = table[state + columnOf[byte]!]!;
      for (const id of outputs[state / width]!) found.add(id);
    }
    return found;
  };
  return { table, width, columnOf, root, firstFlagged: order.firstFlagged * width, matchesIn };
}

/** Bytes that no pattern has share column 0. */
function alphabet(patterns: readonly Pattern[]): { columnOf: Uint8Array; columns: number } {
  const columnOf = new Uint8Array(256);
  let columns = 1;
  for (const { bytes } of patterns) {
    for (const byte of bytes) if (columnOf[byte] === 0) columnOf[byte] = columns++;
  }
  for (let byte = 0; byte < 256; byte++) columnOf[byte] = columnOf[fold(byte)]!;
  return { columnOf, columns };
}

interface Trie {
  readonly next: number[];
  readonly flags: number[];
  readonly outputs: number[][];
}

function buildTrie(patterns: readonly Pattern[], columnOf: Uint8Array, columns: number): Trie {
  const next: number[] = new Array(columns).fill(-1);
  const flags = [0];
  const outputs: number[][] = [[]];
  for (const pattern of patterns) {
    let state = 0;
    for (const byte of pattern.bytes) {
      const cell = state * columns + columnOf[byte]!;
      if (next[cell] === -1) {
        next[cell] = flags.length;
        flags.push(0);
        outputs.push([]);
        for (let column = 0; column < columns; column++) next.push(-1);
      }
      state = next[cell]!;
    }
    flags[state] = flags[state]! | pattern.flags;
    outputs[state]!.push(pattern.id);
  }
  link({ next, flags, outputs }, columns);
  return { next, flags, outputs };
}

/** Breadth first: a missing edge becomes the edge of the longest proper suffix, whose matches are inherited. */
function link({ next, flags, outputs }: Trie, columns: number): void {
  const suffix = new Int32Array(flags.length);
  const queue: number[] = [];
  for (let column = 0; column < columns; column++) {
    const child = next[column]!;
    if (child === -1) next[column] = 0;
    else queue.push(child);
  }
  for (let head = 0; head < queue.length; head++) {
    const state = queue[head]!;
    const back = suffix[state]!;
    flags[state] = flags[state]! | flags[back]!;
    if (outputs[back]!.length > 0) outputs[state] = [...outputs[state]!, ...outputs[back]!];
    for (let column = 0; column < columns; column++) {
      const child = next[state * columns + column]!;
      if (child === -1) next[state * columns + column] = next[back * columns + column]!;
      else {
        suffix[child] = next[back * columns + column]!;
        queue.push(child);
      }
    }
  }
}

/** States without flags first, so that one comparison tells the two kinds apart. */
function numbering(flags: readonly number[]): { rank: Int32Array; firstFlagged: number } {
  const rank = new Int32Array(flags.length);
  let plain = 0;
  for (let state = 0; state < flags.length; state++) if (flags[state] === 0) rank[state] = plain++;
  let flagged = plain;
  for (let state = 0; state < flags.length; state++) if (flags[state] !== 0) rank[state] = flagged++;
  return { rank, firstFlagged: plain };
}
