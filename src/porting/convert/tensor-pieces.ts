/**
 * Makes the bytes of a converted tensor, piece by piece, from its source's files.
 * Knows: recipes, kernels, which part of its fixed memory holds what. Does not know: where the pieces go.
 */
import { join } from "node:path";
import { dtypeBytes } from "../../checkpoint/dtype.ts";
import { type InputFile, openInputFile, readSlack } from "./input-file.ts";
import { type Fp8Rows, loadKernels } from "./kernels.ts";
import { badTensor, type SourceTensor } from "./model-source.ts";
import { fromFloat16 } from "./plain-conversion.ts";
import type { OutputTensor, Weights } from "./recipes.ts";
import { readScale } from "./scales.ts";
import { bytesOf } from "./shard-layout.ts";
import type { SourcePlace } from "./thread-messages.ts";

export interface TensorPieces {
  /** A tensor's bytes in order; each piece is overwritten by the next. BadInput when the source ends early or cannot be expressed. */
  of(tensor: OutputTensor): Iterable<Uint8Array>;
  close(): void;
}

/** Two regions of the linear memory: what is read, and, up to twice as large, what is made of it. Then scales. */
const inputBytes = 8 << 20;
const madeAt = inputBytes + readSlack;
const scalesAt = madeAt + 2 * inputBytes;

const scalesBytes = 2 << 20;
const rowScalesAt = scalesAt + scalesBytes;
const rowsMax = 1 << 16;
const memoryPages = Math.ceil((rowScalesAt + 4 * rowsMax) / (1 << 16));
/** Rows `begin` to `end` of a matrix, which lie at `at` of the memory. */
interface RowChunk {
  readonly at: number;
  readonly rows: readonly [begin: number, end: number];
  readonly columns: number;
}

/** The scales of all rows of one matrix are held until its turn comes to write them. */
const matrixRowsMax = 1 << 24;

export function openTensorPieces({ path, given, direct }: SourcePlace): TensorPieces {
  const files = new Map<string, InputFile>();
  const memory = new WebAssembly.Memory({ initial: memoryPages, maximum: memoryPages });
  const kernels = loadKernels(memory);
  const rowScalesOf = new Map<string, Float32Array>();
  const view = (at: number, bytes: number): Uint8Array => new Uint8Array(memory.buffer, at, bytes);

  const fileOf = (file: string): InputFile => {
    const open = files.get(file) ?? openInputFile(join(path, file), { direct });
    files.set(file, open);
    return open;
  };
  /** Reads `bytes` from byte `offset` of a tensor into the input region; gives where they begin. */
  const read = (from: SourceTensor, offset: number, bytes: number): number => {
    const at = fileOf(from.file).read(view(0, inputBytes + readSlack), from.at + offset, bytes);
    if (at !== undefined) return at;
    throw badTensor(
      given,
      from,
      "is cut short; the file changed while it was read",
      "leave it alone and run this again",
    );
  };

  function* flat(from: SourceTensor, make: (at: number, bytes: number) => Uint8Array): Generator<Uint8Array> {
    for (let offset = 0; offset < from.bytes; offset += inputBytes) {
      const bytes = Math.min(inputBytes, from.bytes - offset);
      yield make(read(from, offset, bytes), bytes);
    }
  }

  /** Widens `count` source elements that begin at `at` of the input region to float32; gives where those are. */
  const widen = ({ dtype }: SourceTensor, at: number, count: number): number => {
    if (dtype === "F32") return at;
    if (dtype === "BF16") kernels.bfloat16ToF32(at, madeAt, count);
    else {
      const bits = new DataView(memory.buffer, at, 2 * count);
      const wide = new Float32Array(memory.buffer, madeAt, count);
      for (let index = 0; index < count; index++) wide[index] = fromFloat16(bits.getUint16(2 * index, true));
    }
    return madeAt;
  };

  const scalesOf = ({ scale }: Weights): Float32Array =>
    scale ? readScale(fileOf(scale.file).usual(), scale) : new Float32Array();

  /** Rows that share a row of scale blocks, one such run after the other, with those scales in place. */
  function* blockRows(
    { scale, block }: Weights,
    { rows: [begin, end], at, columns }: RowChunk,
    scales: Float32Array,
  ): Generator<Fp8Rows & { readonly row: number }> {
    if (!scale || !block) throw new RangeError("FP8 without a scale");
    const across = scale.shape[1] ?? 0;
    for (let row = begin; row < end; ) {
      const blockRow = Math.floor(row / block.rows);
      const next = Math.min(end, (blockRow + 1) * block.rows);
      new Float32Array(memory.buffer, scalesAt, across).set(
        scales.subarray(blockRow * across, (blockRow + 1) * across),
      );
      const from = at + (row - begin) * columns;
      yield { row, from, into: madeAt, rows: next - row, columns, blockColumns: block.columns, scales: scalesAt };
      row = next;
    }
  }

  /** Rows of a matrix in chunks that fit the input region. */
  function* rowChunks(weights: Weights): Generator<RowChunk> {
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
      yield { at: read(from, row * rowBytes, (end - row) * rowBytes), rows: [row, end], columns };
    }
  }

  function* toBfloat16(weights: Weights): Generator<Uint8Array> {
    const { from } = weights;
    if (from.dtype !== "F8_E4M3") {
      yield* flat(from, (at, bytes) => {
        const count = bytes / dtypeBytes[from.dtype];
        // What was widened is rounded in place of what was read.
        const wide = widen(from, at, count);
        const into = wide === madeAt ? 0 : madeAt;
        kernels.f32ToBfloat16(wide, into, count);
        return view(into, 2 * count);
      });
      return;
    }
    const scales = scalesOf(weights);
    for (const chunk of rowChunks(weights)) {
      for (const run of blockRows(weights, chunk, scales)) {
        kernels.fp8ToBfloat16(run);
        yield view(run.into, 2 * run.rows * run.columns);
      }
    }
  }

  function* toInt8(weights: Weights): Generator<Uint8Array> {
    const { from } = weights;
    const all = new Float32Array(Math.min(from.shape[0] ?? 0, matrixRowsMax)).fill(1);
    const scales = scalesOf(weights);
    const check = (row: number, done: number, rows: number): void => {
      if (done < rows) throw badTensor(given, from, `row ${row + done} has a value that is not finite`);
      all.set(new Float32Array(memory.buffer, rowScalesAt, rows), row);
    };
    for (const chunk of rowChunks(weights)) {
      const { at, rows, columns } = chunk;
      if (from.dtype === "F8_E4M3") {
        for (const run of blockRows(weights, chunk, scales)) {
          check(run.row, kernels.fp8ToInt8(run, rowScalesAt), run.rows);
          yield view(run.into, run.rows * columns);
        }
        continue;
      }
      const [begin, end] = rows;
      const wide = widen(from, at, (end - begin) * columns);
      const into = wide === madeAt ? 0 : madeAt;
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
          return flat(recipe.from, view);
        case "f32":
          return flat(recipe.from, (at, bytes) => view(widen(recipe.from, at, bytes / 2), 2 * bytes));
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
      for (const file of files.values()) file.close();
      files.clear();
    },
  };
}

function* zeros(bytes: number): Generator<Uint8Array> {
  const piece = new Uint8Array(Math.min(bytes, 1 << 20));
  for (let left = bytes; left > 0; left -= piece.length) yield piece.subarray(0, Math.min(left, piece.length));
}
