/**
 * Matrix products: Gemm for weights, MatMul for batches.
 * Knows: their shapes, float64 meaning and gradients. Does not know: what a weight is.
 */
import type { Attributes, Dimension, Tensor } from "../graph.ts";
import { arrived } from "./elementwise.ts";
import * as f from "./functions.ts";
import {
  broadcastShapes,
  broadcastStrides,
  broadcastValueShapes,
  forEachIndex,
  integerAttribute,
  type Operator,
  sizeOf,
} from "./operator.ts";

const gemm: Operator = {
  infer: ([a, b], attributes) => {
    const [m, k] = transA(attributes) ? [...a!.shape].reverse() : a!.shape;
    const [k2, n] = transB(attributes) ? [...b!.shape].reverse() : b!.shape;
    if (a!.shape.length !== 2 || b!.shape.length !== 2 || k !== k2) {
      throw new Error(`Gemm of [${a!.shape}] and [${b!.shape}] with ${JSON.stringify(attributes)}`);
    }
    return [{ dtype: a!.dtype, shape: [m!, n!] }];
  },
  evaluate: ([a, b], attributes) => {
    const [rowsA, columnsA] = a!.shape as [number, number];
    const [rowsB, columnsB] = b!.shape as [number, number];
    const [m, k] = transA(attributes) ? [columnsA, rowsA] : [rowsA, columnsA];
    const n = transB(attributes) ? rowsB : columnsB;
    const [aRow, aColumn] = transA(attributes) ? [1, columnsA] : [columnsA, 1];
    const [bRow, bColumn] = transB(attributes) ? [1, columnsB] : [columnsB, 1];
    const data = new Float64Array(m * n);
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        let sum = 0;
        for (let l = 0; l < k; l++) sum += a!.data[i * aRow + l * aColumn]! * b!.data[l * bRow + j * bColumn]!;
        data[i * n + j] = sum;
      }
    }
    return [{ dtype: a!.dtype, shape: [m, n], data }];
  },
  gradient: (site) => {
    const { node } = site;
    const [a, b] = node.inputs as readonly [Tensor, Tensor];
    const dy = arrived(site);
    const [ta, tb] = [transA(node.attributes), transB(node.attributes)];
    return [
      ta ? f.gemm(b, dy, { transA: tb, transB: true }) : f.gemm(dy, b, { transB: !tb }),
      tb ? f.gemm(dy, a, { transA: true, transB: ta }) : f.gemm(a, dy, { transA: !ta }),
    ];
  },
};

const matMul: Operator = {
  infer: ([a, b]) => {
    const [batchA, [m, k]] = matrixOf(a!.shape);
    const [batchB, [k2, n]] = matrixOf(b!.shape);
    if (k !== k2) throw new Error(`MatMul of [${a!.shape}] and [${b!.shape}]`);
    return [{ dtype: a!.dtype, shape: [...broadcastShapes(batchA, batchB), m, n] }];
  },
  evaluate: ([a, b]) => {
    const [batchA, [m, k]] = matrixOf(a!.shape);
    const [batchB, [, n]] = matrixOf(b!.shape);
    const batch = broadcastValueShapes(batchA.map(Number), batchB.map(Number));
    const [rows, inner, columns] = [Number(m), Number(k), Number(n)];
    const data = new Float64Array(sizeOf(batch) * rows * columns);
    const strides = [broadcastStrides(batchA.map(Number), batch), broadcastStrides(batchB.map(Number), batch)];
    forEachIndex(batch, strides, (flat, [batchIndexA, batchIndexB]) => {
      const aAt = batchIndexA! * rows * inner;
      const bAt = batchIndexB! * inner * columns;
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < columns; j++) {
          let sum = 0;
          for (let l = 0; l < inner; l++) sum += a!.data[aAt + i * inner + l]! * b!.data[bAt + l * columns + j]!;
          data[(flat * rows + i) * columns + j] = sum;
        }
      }
    });
    return [{ dtype: a!.dtype, shape: [...batch, rows, columns], data }];
  },
  gradient: (site) => {
    const [a, b] = site.node.inputs as readonly [Tensor, Tensor];
    const dy = arrived(site);
    return [
      f.sumToShape(f.matMul(dy, f.transposeMatrix(b)), a.shape),
      f.sumToShape(f.matMul(f.transposeMatrix(a), dy), b.shape),
    ];
  },
};

function matrixOf(shape: readonly Dimension[]): readonly [readonly Dimension[], readonly [Dimension, Dimension]] {
  if (shape.length < 2) throw new Error(`MatMul needs matrices, not [${shape}]`);
  return [shape.slice(0, -2), [shape.at(-2)!, shape.at(-1)!]];
}
const transA = (attributes: Attributes): boolean => integerAttribute(attributes, "transA", 0) === 1;
const transB = (attributes: Attributes): boolean => integerAttribute(attributes, "transB", 0) === 1;

export const matrix: Readonly<Record<string, Operator>> = { Gemm: gemm, MatMul: matMul };
