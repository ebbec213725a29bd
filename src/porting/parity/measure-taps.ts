/**
 * How far two tensors of one module lie apart, token by token, in the vendors' measures.
 * Knows: numbers, read a few rows at a time. Does not know: models, limits. Sums are float64.
 */
import type { RowTensor } from "./reading.ts";

export interface TapMeasure {
  readonly name: string;
  readonly width: number;
  /** Attention and feed-forward blocks behind it, whose rounding adds up; 1 for the embedding. */
  readonly blocks: number;
  /** Rows compared. */
  readonly rows: number;
  /** Over all elements together. */
  readonly cosine: number;
  readonly largestError: number;
  readonly meanError: number;
  /** ‖a − b‖ / ‖a‖ over all elements. */
  readonly relativeError: number;
  /** Share of elements within a thousandth of a's (msprobe's one-thousandth ratio). */
  readonly withinThousandth: number;
  /** Least-squares factor from a to b: 1 for equals. */
  readonly scale: number;
  /**
   * ‖a − b‖ of each row over its ‖a‖, or over the rows' root mean square where that is more, so that a row that cancels to almost
   * nothing is not blamed for its neighbours' rounding. Infinity where a value is not a number; negative where it does not count.
   */
  readonly rowErrors: Float64Array;
  /** Error of each row that rounding explains, where the module's inputs are known; else what the blocks behind it explain. */
  readonly rowLimits?: Float64Array;
  /** |‖b‖ / ‖a‖ − 1| of each row: a rotation keeps it small. */
  readonly normErrors: Float64Array;
  /** As `rowErrors[0]` once both first rows are sorted: 0 where one is a permutation of the other; NaN without rows. */
  readonly sortedError: number;
}

/** Elements of a piece: 1 MiB of float32 a side. */
const pieceElements = 2 ** 18;

interface Sums {
  dot: number;
  squaresA: number;
  squaresB: number;
  squaresOfDifference: number;
  absolute: number;
  largest: number;
  near: number;
}

/** Compares the first `rows` rows of both; RangeError where their widths differ or one has fewer. */
export async function measureTap(
  name: string,
  a: RowTensor,
  b: RowTensor,
  { rows, blocks }: { rows: number; blocks: number },
): Promise<TapMeasure> {
  const { width } = a;
  if (width !== b.width || rows > a.rows || rows > b.rows) {
    throw new RangeError(`${name}: [${a.rows}, ${a.width}] and [${b.rows}, ${b.width}]`);
  }
  const total = noSums();
  const [rowErrors, normErrors] = [new Float64Array(rows), new Float64Array(rows)];
  const rowNorms = new Float64Array(rows);
  let sortedError = Number.NaN;
  let row = 0;
  for await (const [pieceA, pieceB] of together(a, b, Math.max(1, Math.floor(pieceElements / Math.max(1, width))))) {
    for (let at = 0; at < pieceA.length && row < rows; at += width, row++) {
      const [rowA, rowB] = [pieceA.subarray(at, at + width), pieceB.subarray(at, at + width)];
      const sums = sumsOf(rowA, rowB);
      rowErrors[row] = sums.largest === 0 ? 0 : Math.sqrt(sums.squaresOfDifference);
      rowNorms[row] = Math.sqrt(sums.squaresA);
      normErrors[row] = Math.abs(Math.sqrt(sums.squaresB / sums.squaresA) - 1);
      if (row === 0) sortedError = errorOf(sumsOf(rowA.slice().sort(), rowB.slice().sort()));
      addTo(total, sums);
    }
    if (row >= rows) break;
  }
  const elements = rows * width;
  const typical = Math.sqrt(total.squaresA / Math.max(1, rows));
  rowErrors.forEach((error, index) => {
    const relative = error === 0 ? 0 : error / Math.max(typical, rowNorms[index]!);
    rowErrors[index] = Number.isNaN(relative) ? Number.POSITIVE_INFINITY : relative;
  });
  return {
    ...{ name, width, blocks, rows, rowErrors, normErrors, sortedError },
    scale: total.dot / total.squaresA,
    cosine: total.largest === 0 ? 1 : total.dot / Math.sqrt(total.squaresA * total.squaresB),
    largestError: total.largest,
    meanError: elements === 0 ? 0 : total.absolute / elements,
    relativeError: errorOf(total),
    withinThousandth: elements === 0 ? 1 : total.near / elements,
  };
}

/** One tap measured on several texts, as if they were one. */
export function joinTaps(parts: readonly TapMeasure[]): TapMeasure {
  const [head] = parts;
  if (!head) throw new RangeError("no parts");
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const weighed = (pick: (part: TapMeasure) => number): number =>
    rows === 0 ? pick(head) : parts.reduce((sum, part) => sum + pick(part) * part.rows, 0) / rows;
  return {
    ...{ name: head.name, width: head.width, blocks: head.blocks, rows, sortedError: head.sortedError },
    cosine: parts.reduce((least, { cosine }) => (cosine >= least ? least : cosine), 1),
    largestError: parts.reduce((most, part) => Math.max(most, part.largestError), 0),
    meanError: weighed((part) => part.meanError),
    scale: weighed((part) => part.scale),
    relativeError: parts.reduce((most, part) => (part.relativeError <= most ? most : part.relativeError), 0),
    withinThousandth: weighed((part) => part.withinThousandth),
    rowErrors: joined(parts.map((part) => part.rowErrors)),
    ...(parts.every(({ rowLimits }) => rowLimits) && {
      rowLimits: joined(parts.flatMap(({ rowLimits }) => rowLimits ?? [])),
    }),
    normErrors: joined(parts.map((part) => part.normErrors)),
  };
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const all = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function* together(
  a: RowTensor,
  b: RowTensor,
  rowsAtOnce: number,
): AsyncGenerator<readonly [Float32Array, Float32Array]> {
  const other = iterate(b.pieces(rowsAtOnce));
  try {
    for await (const piece of a.pieces(rowsAtOnce)) {
      const next = await other.next();
      if (next.done) return;
      yield [piece, next.value];
    }
  } finally {
    await other.return?.(undefined);
  }
}

async function* iterate<T>(values: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
  yield* values;
}

const noSums = (): Sums => ({
  ...{ dot: 0, squaresA: 0, squaresB: 0, squaresOfDifference: 0, absolute: 0, largest: 0, near: 0 },
});

function sumsOf(a: Float32Array, b: Float32Array): Sums {
  const sums = noSums();
  for (let at = 0; at < a.length; at++) {
    const [x, y] = [a[at]!, b[at]!];
    const difference = x === y ? 0 : Math.abs(x - y);
    // Written so that a NaN counts as the largest difference there is.
    if (!(difference <= sums.largest)) sums.largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    if (difference <= Math.abs(x) / 1000) sums.near++;
    sums.dot += x * y;
    sums.squaresA += x * x;
    sums.squaresB += y * y;
    sums.squaresOfDifference += difference * difference;
    sums.absolute += difference;
  }
  return sums;
}

function addTo(total: Sums, sums: Sums): void {
  total.dot += sums.dot;
  total.squaresA += sums.squaresA;
  total.squaresB += sums.squaresB;
  total.squaresOfDifference += sums.squaresOfDifference;
  total.absolute += sums.absolute;
  total.near += sums.near;
  total.largest = Math.max(total.largest, sums.largest);
}

function errorOf({ largest, squaresOfDifference, squaresA }: Sums): number {
  if (largest === 0) return 0;
  const error = Math.sqrt(squaresOfDifference / squaresA);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}
