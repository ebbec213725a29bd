/**
 * What a stored tensor's difference looks like: rows in another order, blocks with another scale, values that are no numbers.
 * Knows: two tensors of one shape. Does not know: files, what the difference does to an answer.
 */
import { createHash } from "node:crypto";

export interface Looks {
  readonly reason: "rotary convention" | "scale" | "weights" | "expert" | "type";
  readonly text: string;
}

/** Relative spread of a ratio that rounding to bfloat16 on both sides explains. */
const ratioSpread = 2 ** -6;
const blockSizes = [128, 64, 32, 16, 8] as const;

/** `a` and `b` [rows, columns] are known to differ beyond rounding. */
export function diagnoseWeight(name: string, a: Float32Array, b: Float32Array, shape: readonly number[]): Looks {
  if (b.some((value) => !Number.isFinite(value)) || a.some((value) => !Number.isFinite(value))) {
    const side = a.every(Number.isFinite) ? "B" : "A";
    return { reason: "weights", text: `side ${side} has values that are no finite numbers` };
  }
  const columns = shape.length > 1 ? (shape.at(-1) ?? 1) : 1;
  const rows = a.length / Math.max(1, columns);
  if (shape.length > 1 && sameRows(a, b, columns)) {
    const rotary = /\b(q_proj|q_b_proj|k_proj|kv_a_proj_with_mqa)\b/.test(name);
    const text = "the same rows in another order";
    return rotary
      ? { reason: "rotary convention", text: `${text}: rotary pairs are interleaved on one side, halves on the other` }
      : { reason: "weights", text };
  }
  const box = differing(a, b, { rows, columns });
  const where = `rows ${box.top} to ${box.bottom}, columns ${box.left} to ${box.right}`;
  const ratio = commonRatio(a, b, columns, box);
  if (ratio !== undefined) {
    const whole = box.top === 0 && box.left === 0 && box.bottom === rows - 1 && box.right === columns - 1;
    return { reason: "scale", text: `${whole ? "every value" : where} is ${ratio.toPrecision(4)} times what it was` };
  }
  if (columns > 1 && everyBlockScaled(a, b, { rows, columns, block: 1, width: columns })) {
    return { reason: "scale", text: "each row is scaled by a factor of its own: the rows' scales are not theirs" };
  }
  const size = blockSizes.find((block) => everyBlockScaled(a, b, { rows, columns, block }));
  if (size !== undefined && columns > 1) {
    const text = `each block of ${size} × ${size} is scaled by a factor of its own: the blocks' scales are not theirs`;
    return { reason: "scale", text };
  }
  return { reason: "weights", text: `other values in ${where}` };
}

const digestOf = (row: Float32Array): string =>
  createHash("sha1")
    .update(new Uint8Array(row.buffer, row.byteOffset, row.byteLength))
    .digest("base64");

function sameRows(a: Float32Array, b: Float32Array, columns: number): boolean {
  const rowsOf = (values: Float32Array): string[] => {
    const rows: string[] = [];
    for (let at = 0; at < values.length; at += columns) rows.push(digestOf(values.subarray(at, at + columns)));
    return rows.sort();
  };
  const [inA, inB] = [rowsOf(a), rowsOf(b)];
  return inA.every((row, index) => row === inB[index]);
}

interface Box {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

function differing(a: Float32Array, b: Float32Array, { rows, columns }: { rows: number; columns: number }): Box {
  let [top, bottom, left, right] = [rows, -1, columns, -1];
  for (let at = 0; at < a.length; at++) {
    if (Math.abs(a[at]! - b[at]!) <= Math.abs(a[at]!) * ratioSpread) continue;
    const [row, column] = [Math.floor(at / columns), at % columns];
    top = Math.min(top, row);
    bottom = Math.max(bottom, row);
    left = Math.min(left, column);
    right = Math.max(right, column);
  }
  return bottom === -1 ? { top: 0, bottom: rows - 1, left: 0, right: columns - 1 } : { top, bottom, left, right };
}

/** The factor from a to b where one explains the whole box up to rounding, even to signed bytes, which is by the largest value. */
function commonRatio(a: Float32Array, b: Float32Array, columns: number, box: Box): number | undefined {
  let [dot, squares, largest] = [0, 0, 0];
  const each = (visit: (x: number, y: number) => void): void => {
    for (let row = box.top; row <= box.bottom; row++) {
      for (let at = row * columns + box.left; at <= row * columns + box.right; at++) visit(a[at]!, b[at]!);
    }
  };
  each((x, y) => {
    dot += x * y;
    squares += x * x;
    largest = Math.max(largest, Math.abs(x));
  });
  const ratio = squares === 0 ? 1 : dot / squares;
  const allowed = ratioSpread * largest * Math.abs(ratio);
  let isCommon = true;
  each((x, y) => {
    if (!(Math.abs(y - ratio * x) <= allowed)) isCommon = false;
  });
  return isCommon ? ratio : undefined;
}

function everyBlockScaled(
  a: Float32Array,
  b: Float32Array,
  { rows, columns, block, width = block }: { rows: number; columns: number; block: number; width?: number },
): boolean {
  for (let top = 0; top < rows; top += block) {
    for (let left = 0; left < columns; left += width) {
      const box = { top, left, bottom: Math.min(rows, top + block) - 1, right: Math.min(columns, left + width) - 1 };
      if (commonRatio(a, b, columns, box) === undefined) return false;
    }
  }
  return rows > block || columns > block;
}
