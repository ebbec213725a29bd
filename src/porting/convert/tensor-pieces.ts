/**
 * Makes the bytes of a converted tensor, piece by piece, from its source's files.
 * Knows: recipes, kernels, which part of its fixed memory holds what. Does not know: where the pieces go.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { dtypeBytes } from "../../checkpoint/dtype.ts";
import { readFully } from "../../checkpoint/safetensors-file.ts";
import { loadKernels } from "./kernels.ts";
import { badTensor, type SourceTensor } from "./model-source.ts";
import { fromFloat16 } from "./plain-conversion.ts";
import type { OutputTensor, Weights } from "./recipes.ts";
import { readScale } from "./scales.ts";
import { bytesOf } from "./shard-layout.ts";

export interface TensorPieces {
  /** A tensor's bytes in order; each piece is overwritten by the next. BadInput when the source ends early or cannot be expressed. */
  of(tensor: OutputTensor): Iterable<Uint8Array>;
  close(): void;
}

/** Two regions of the linear memory: what is read, and, up to twice as large, what is made of it. Then scales. */
const inputBytes = 8 << 20;
const madeAt = inputBytes;
const scalesAt = madeAt + 2 * inputBytes;
const scalesBytes = 2 << 20;
const rowScalesAt = scalesAt + scalesBytes;
const rowsMax = 1 << 16;
const memoryPages = (rowScalesAt + 4 * rowsMax) >> 16;
/** The scales of all rows of one matrix are held until its turn comes to write them. */
const matrixRowsMax = 1 << 24;

/** `path` is the source's folder, `given` what messages call it. */
export function openTensorPieces({ path, given }: { path: string; given: string }): TensorPieces {
  const files = new Map<string, number>();
  const memory = new WebAssembly.Memory({ initial: memoryPages, maximum: memoryPages });
  const kernels = loadKernels(memory);
  const rowScalesOf = new Map<string, Float32Array>();
  const view = (at: number, bytes: number): Uint8Array => new Uint8Array(memory.buffer, at, bytes);

  const fileOf = (file: string): number => {
    const open = files.get(file);
    if (open !== undefined) return open;
    const fd = openSync(join(path, file), "r");
    files.set(file, fd);
    return fd;
  };
  /** Fills the front of the input region from byte `offset` of a tensor. */
  const read = (from: SourceTensor, offset: number, bytes: number): Uint8Array => {
    const into = view(0, bytes);
    if (readFully(fileOf(from.file), into, from.at + offset) < bytes) {
      throw badTensor(
        given,
        from,
        "is cut short; the file changed while it was read",
        "leave it alone and run this again",
      );
    }
    return into;
  };

  function* flat(from: SourceTensor, make: (bytes: Uint8Array) => Uint8Array): Generator<Uint8Array> {
    for (let offset = 0; offset < from.bytes; offset += inputBytes) {
      yield make(read(from, offset, Math.min(inputBytes, from.bytes - offset)));
    }
  }

  /** Widens `count` source elements that lie in the input region to float32 in the other; gives where they are. */
  const widen = ({ dtype }: SourceTensor, count: number): number => {
    if (dtype === "F32") return 0;
    if (dtype === "BF16") kernels.bfloat16ToF32(0, madeAt, count);
    else {
      const bits = new Uint16Array(memory.buffer, 0, count);
      const wide = new Float32Array(memory.buffer, madeAt, count);
      for (let index = 0; index < count; index++) wide[index] = fromFloat16(bits[index] ?? 0);
    }
    return madeAt;
  };

  /** Calls `run` for rows that share a row of scale blocks, with those scales in place. */
  const forBlockRows = (
    { scale, block }: Weights,
    [begin, end]: readonly [number, number],
    scales: Float32Array,
    run: (first: number, rows: number, blockColumns: number) => void,
  ): void => {
    if (!scale || !block) throw new RangeError("FP8 without a scale");
    const across = scale.shape[1] ?? 0;
    for (let row = begin; row < end; ) {
      const blockRow = Math.floor(row / block.rows);
      const next = Math.min(end, (blockRow + 1) * block.rows);
      new Float32Array(memory.buffer, scalesAt, across).set(
        scales.subarray(blockRow * across, (blockRow + 1) * across),
      );
      run(row, next - row, block.columns);
      row = next;
    }
  };

  /** Rows of a matrix in chunks that fit the input region. */
  function* rowChunks(weights: Weights): Generator<{ rows: readonly [number, number]; columns: number }> {
    const { from, scale } = weights;
    const [rows = 0, columns = 0] = from.shape;
    const rowBytes = columns * dtypeBytes[from.dtype];
    if (rowBytes > inputBytes || 4 * (scale?.shape[1] ?? 0) > scalesBytes || rows > matrixRowsMax) {
      throw badTensor(given, from, `a matrix of [${from.shape}] is larger than this converts`, "give a smaller one");
    }
    if (rowBytes === 0) return;
    const step = Math.min(rowsMax, Math.floor(inputBytes / rowBytes));
    for (let row = 0; row < rows; row += step) {
      const end = Math.min(rows, row + step);
      read(from, row * rowBytes, (end - row) * rowBytes);
      yield { rows: [row, end], columns };
    }
  }

  function* toBfloat16(weights: Weights): Generator<Uint8Array> {
    const { from, scale } = weights;
    if (from.dtype !== "F8_E4M3") {
      yield* flat(from, (bytes) => {
        const count = bytes.length / dtypeBytes[from.dtype];
        // What was widened is rounded in place of what was read.
        const wide = widen(from, count);
        const into = wide === 0 ? madeAt : 0;
        kernels.f32ToBfloat16(wide, into, count);
        return view(into, 2 * count);
      });
      return;
    }
    const scales = scale ? readScale(fileOf(scale.file), scale) : new Float32Array();
    for (const { rows, columns } of rowChunks(weights)) {
      forBlockRows(weights, rows, scales, (row, count, blockColumns) => {
        const at = (row - rows[0]) * columns;
        kernels.fp8ToBfloat16({
          ...{ from: at, into: madeAt + 2 * at, rows: count, columns, blockColumns, scales: scalesAt },
        });
      });
      yield view(madeAt, 2 * (rows[1] - rows[0]) * columns);
    }
  }

  function* toInt8(weights: Weights): Generator<Uint8Array> {
    const { from, scale } = weights;
    const all = new Float32Array(Math.min(from.shape[0] ?? 0, matrixRowsMax)).fill(1);
    const scales = scale ? readScale(fileOf(scale.file), scale) : new Float32Array();
    const check = (row: number, done: number, rows: number): void => {
      if (done < rows) throw badTensor(given, from, `row ${row + done} has a value that is not finite`);
      all.set(new Float32Array(memory.buffer, rowScalesAt, rows), row);
    };
    for (const { rows, columns } of rowChunks(weights)) {
      const [begin, end] = rows;
      if (from.dtype === "F8_E4M3") {
        forBlockRows(weights, rows, scales, (row, count, blockColumns) => {
          const at = (row - begin) * columns;
          const part = { from: at, into: madeAt + at, rows: count, columns, blockColumns, scales: scalesAt };
          check(row, kernels.fp8ToInt8(part, rowScalesAt), count);
        });
        yield view(madeAt, (end - begin) * columns);
        continue;
      }
      const wide = widen(from, (end - begin) * columns);
      const into = wide === 0 ? madeAt : 0;
      check(begin, kernels.f32ToInt8({ from: wide, into, rows: end - begin, columns }, rowScalesAt), end - begin);
      yield view(into, (end - begin) * columns);
    }
    rowScalesOf.set(from.name, all);
  }

  function* rowScales(weights: Weights): Generator<Uint8Array> {
    const { name } = weights.from;
    // Usually the weight came right before; one that lies apart is read for its scales alone.
    if (!rowScalesOf.has(name)) for (const _piece of toInt8(weights));
    const scales = rowScalesOf.get(name) ?? new Float32Array();
    rowScalesOf.delete(name);
    yield new Uint8Array(scales.buffer);
  }

  return {
    of(tensor) {
      const { recipe } = tensor;
      switch (recipe.kind) {
        case "copy":
          return flat(recipe.from, (bytes) => bytes);
        case "f32":
          return flat(recipe.from, (bytes) => {
            const count = bytes.length / 2;
            return view(widen(recipe.from, count), 4 * count);
          });
        case "bf16":
          return toBfloat16(recipe);
        case "int8":
          return toInt8(recipe);
        case "int8-scale":
          return rowScales(recipe);
        case "zeros":
          return zeros(bytesOf(tensor));
        default:
          return recipe satisfies never;
      }
    },
    close() {
      for (const fd of files.values()) closeSync(fd);
      files.clear();
    },
  };
}

function* zeros(bytes: number): Generator<Uint8Array> {
  const piece = new Uint8Array(Math.min(bytes, 1 << 20));
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
}
