/**
 * Operators that treat each element alone: arithmetic, transcendental functions, comparisons, selection.
 * Knows: their broadcasting, float64 meaning and gradients. Does not know: any other operator.
 */
import type { DType, Tensor } from "../graph.ts";
import * as f from "./functions.ts";
import {
  broadcastShapes,
  broadcastStrides,
  broadcastValueShapes,
  forEachIndex,
  type GradientSite,
  type Operator,
  sizeOf,
  type Value,
} from "./operator.ts";

type Pair = readonly [Tensor, Tensor];

/** The gradient of a single-output node; a rule is called only where one arrived. */
export function arrived({ gradients }: GradientSite): Tensor {
  const [gradient] = gradients;
  if (!gradient) throw new Error("a gradient rule was called without a gradient");
  return gradient;
}

function unary(of: (x: number) => number, slope?: (x: Tensor, y: Tensor, dy: Tensor) => Tensor): Operator {
  return {
    infer: ([x]) => [{ dtype: x!.dtype, shape: x!.shape }],
    evaluate: ([x]) => [{ ...x!, data: x!.data.map(of) }],
    ...(slope && {
      gradient: (site) => [slope(site.node.inputs[0]!, site.node.outputs[0]!, arrived(site))],
    }),
  };
}

function binary(
  of: (a: number, b: number) => number,
  options: { result?: DType; slopes?: (pair: Pair, y: Tensor, dy: Tensor) => readonly [Tensor, Tensor] } = {},
): Operator {
  const { result, slopes } = options;
  return {
    infer: ([a, b]) => {
      if (a!.dtype !== b!.dtype) throw new Error(`operands of ${a!.dtype} and ${b!.dtype}`);
      return [{ dtype: result ?? a!.dtype, shape: broadcastShapes(a!.shape, b!.shape) }];
    },
    evaluate: ([a, b]) => {
      const shape = broadcastValueShapes(a!.shape, b!.shape);
      const data = new Float64Array(sizeOf(shape));
      const strides = [broadcastStrides(a!.shape, shape), broadcastStrides(b!.shape, shape)];
      forEachIndex(shape, strides, (flat, [i, j]) => {
        data[flat] = of(a!.data[i!]!, b!.data[j!]!);
      });
      // A quotient of integers is one too.
      const whole = a!.dtype === "int64" && !result;
      return [{ dtype: result ?? a!.dtype, shape, data: whole ? data.map(Math.trunc) : data }];
    },
    ...(slopes && {
      gradient: (site) => {
        const [a, b] = site.node.inputs;
        const [da, db] = slopes([a!, b!], site.node.outputs[0]!, arrived(site));
        return [f.sumToShape(da, a!.shape), f.sumToShape(db, b!.shape)];
      },
    }),
  };
}

const codes: Readonly<Record<number, DType>> = { 1: "float32", 7: "int64", 9: "bool" };
function castTarget(code: unknown): DType {
  const dtype = codes[Number(code)];
  if (!dtype) throw new Error(`Cast to element type ${code} is not used here`);
  return dtype;
}

const castOperator: Operator = {
  infer: ([x], { to }) => [{ dtype: castTarget(to), shape: x!.shape }],
  evaluate: ([x], { to }) => {
    const dtype = castTarget(to);
    const convert = dtype === "bool" ? (v: number) => Number(v !== 0) : dtype === "int64" ? Math.trunc : undefined;
    return [{ ...x!, dtype, data: convert ? x!.data.map(convert) : x!.data }];
  },
};

const whereOperator: Operator = {
  infer: ([condition, yes, no]) => [
    { dtype: yes!.dtype, shape: broadcastShapes(condition!.shape, broadcastShapes(yes!.shape, no!.shape)) },
  ],
  evaluate: (inputs) => {
    const [condition, yes, no] = inputs as readonly [Value, Value, Value];
    const shape = broadcastValueShapes(condition.shape, broadcastValueShapes(yes.shape, no.shape));
    const data = new Float64Array(sizeOf(shape));
    const strides = [condition, yes, no].map((value) => broadcastStrides(value.shape, shape));
    forEachIndex(shape, strides, (flat, [c, y, n]) => {
      data[flat] = condition.data[c!] !== 0 ? yes.data[y!]! : no.data[n!]!;
    });
    return [{ dtype: yes.dtype, shape, data }];
  },
  gradient: (site) => {
    const [condition, yes, no] = site.node.inputs;
    const dy = arrived(site);
    const zero = f.scalar(dy.graph, 0);
    return [
      undefined,
      f.sumToShape(f.where(condition!, dy, zero), yes!.shape),
      f.sumToShape(f.where(condition!, zero, dy), no!.shape),
    ];
  },
};

export const elementwise: Readonly<Record<string, Operator>> = {
  Add: binary((a, b) => a + b, { slopes: (_, __, dy) => [dy, dy] }),
  Sub: binary((a, b) => a - b, { slopes: (_, __, dy) => [dy, f.neg(dy)] }),
  Mul: binary((a, b) => a * b, { slopes: ([a, b], _, dy) => [f.mul(dy, b), f.mul(dy, a)] }),
  Div: binary((a, b) => a / b, {
    slopes: ([_, b], y, dy) => {
      const da = f.div(dy, b);
      return [da, f.neg(f.mul(da, y))];
    },
  }),
  Equal: binary((a, b) => Number(a === b), { result: "bool" }),
  Less: binary((a, b) => Number(a < b), { result: "bool" }),
  Greater: binary((a, b) => Number(a > b), { result: "bool" }),
  Neg: unary(
    (x) => -x,
    (_, __, dy) => f.neg(dy),
  ),
  Exp: unary(Math.exp, (_, y, dy) => f.mul(dy, y)),
  Log: unary(Math.log, (x, _, dy) => f.div(dy, x)),
  Sqrt: unary(Math.sqrt, (_, y, dy) => f.div(f.mul(dy, 0.5), y)),
  Reciprocal: unary(
    (x) => 1 / x,
    (_, y, dy) => f.neg(f.mul(dy, f.mul(y, y))),
  ),
  Sigmoid: unary(
    (x) => 1 / (1 + Math.exp(-x)),
    (_, y, dy) => f.mul(dy, f.mul(y, f.sub(1, y))),
  ),
  Sin: unary(Math.sin, (x, _, dy) => f.mul(dy, f.cos(x))),
  Cos: unary(Math.cos, (x, _, dy) => f.neg(f.mul(dy, f.sin(x)))),
  Identity: unary(
    (x) => x,
    (_, __, dy) => dy,
  ),
  Cast: castOperator,
  Where: whereOperator,
};
