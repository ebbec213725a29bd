/**
 * Fits the cost model's constants to published runs: robust Gauss–Newton on logarithms with a prior.
 * Knows: residuals, weights, priors. Does not know: where rows or constants are kept.
 */
import { type Constants, constantNames, constantPriors, constantsFrom } from "../cost/constants.ts";
import { type PreparedCase, predictCase } from "./training-case.ts";

/**
 * Residuals above this (log scale, about 8 %) count linearly rather than squared (Huber 1964), so that no odd row rules, yet
 * enough of the tail pulls: knees of 3, 4, 5, 8 and 10 % differ by 0.3 points in what is left out (docs/validation.md).
 */
const huberKnee = 0.08;
/** The fit starts with a wider knee, whose valley is smoother, and tightens it from there. */
const firstKnee = 0.12;
/** Standard deviation of a good row's logarithm about the model; sets how strongly the priors pull. */
const rowDeviation = 0.05;

export interface Fit {
  readonly constants: Constants;
  readonly logs: Float64Array;
  /** Σ over rows of the Huber loss in units of the row deviation, plus the priors'. */
  readonly loss: number;
}

const guesses = constantNames.map((name) => Math.log(constantPriors[name].guess));
const spreads = constantNames.map((name) => constantPriors[name].spread);

/** Constants whose logarithms are `logs`, in the order of `constantNames`. */
export function constantsAt(logs: Float64Array): Constants {
  const values: Record<string, number> = {};
  constantNames.forEach((name, i) => {
    values[name] = Math.exp(logs[i] ?? 0);
  });
  return constantsFrom(values);
}

/** log(predicted / measured) of every case. */
export function residuals(cases: readonly PreparedCase[], constants: Constants): Float64Array {
  return Float64Array.from(cases, (prepared) =>
    Math.log(predictCase(prepared, constants).predicted / prepared.run.measured),
  );
}

function lossOf(errors: Float64Array, weights: Float64Array, logs: Float64Array, huber: number): number {
  let loss = 0;
  errors.forEach((error, i) => {
    const size = Math.abs(error) / rowDeviation;
    const knee = huber / rowDeviation;
    loss += (weights[i] ?? 1) * (size <= knee ? size * size : knee * (2 * size - knee));
  });
  logs.forEach((value, j) => {
    loss += ((value - (guesses[j] ?? 0)) / (spreads[j] ?? 1)) ** 2;
  });
  return loss;
}

/** Columns: ∂ residual / ∂ log constant, by forward differences. */
export function jacobian(cases: readonly PreparedCase[], logs: Float64Array, errors: Float64Array): Float64Array[] {
  const step = 1e-4;
  return constantNames.map((_, j) => {
    const moved = Float64Array.from(logs);
    moved[j] = (moved[j] ?? 0) + step;
    const shifted = residuals(cases, constantsAt(moved));
    return shifted.map((value, i) => (value - (errors[i] ?? 0)) / step);
  });
}

/** The Gauss–Newton step from `logs`, with rows weighted by `weights` and damped by `damping`. */
function newtonStep(
  columns: readonly Float64Array[],
  errors: Float64Array,
  weights: Float64Array,
  logs: Float64Array,
  damping: number,
  huber: number,
): Float64Array {
  const size = columns.length;
  const matrix = Array.from({ length: size }, () => new Float64Array(size));
  const right = new Float64Array(size);
  const scaled = errors.map(
    (error, i) => ((weights[i] ?? 1) * Math.min(1, huber / Math.max(1e-12, Math.abs(error)))) / rowDeviation ** 2,
  );
  for (let a = 0; a < size; a++) {
    const columnA = columns[a] ?? errors;
    for (let b = a; b < size; b++) {
      const columnB = columns[b] ?? errors;
      let sum = 0;
      for (let i = 0; i < errors.length; i++) sum += (scaled[i] ?? 0) * (columnA[i] ?? 0) * (columnB[i] ?? 0);
      matrix[a]![b] = sum;
      matrix[b]![a] = sum;
    }
    let slope = 0;
    for (let i = 0; i < errors.length; i++) slope += (scaled[i] ?? 0) * (columnA[i] ?? 0) * (errors[i] ?? 0);
    const inverse = 1 / (spreads[a] ?? 1) ** 2;
    matrix[a]![a] = (matrix[a]![a] ?? 0) * (1 + damping) + inverse;
    right[a] = -(slope + ((logs[a] ?? 0) - (guesses[a] ?? 0)) * inverse);
  }
  return solve(matrix, right);
}

/** Solves a symmetric positive definite system by Cholesky's method, in place. */
function solve(matrix: Float64Array[], right: Float64Array): Float64Array {
  const size = right.length;
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i]![j]!;
      for (let k = 0; k < j; k++) sum -= matrix[i]![k]! * matrix[j]![k]!;
      matrix[i]![j] = i === j ? Math.sqrt(Math.max(1e-12, sum)) : sum / matrix[j]![j]!;
    }
  const x = Float64Array.from(right);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i]! -= matrix[i]![k]! * x[k]!;
    x[i]! /= matrix[i]![i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i]! -= matrix[k]![i]! * x[k]!;
    x[i]! /= matrix[i]![i]!;
  }
  return x;
}

/** Fits from the guesses, first with a wide knee and then with the narrow one, or from `start` with that one alone. */
export function fitConstants(cases: readonly PreparedCase[], weights: Float64Array, start?: Float64Array): Fit {
  if (start) return descend(cases, weights, start, huberKnee);
  const wide = descend(cases, weights, Float64Array.from(guesses), firstKnee);
  return descend(cases, weights, wide.logs, huberKnee);
}

/** Damped Gauss–Newton rounds from `start` until they gain almost nothing three times running, at most 60. */
function descend(cases: readonly PreparedCase[], weights: Float64Array, start: Float64Array, huber: number): Fit {
  let logs = start;
  let errors = residuals(cases, constantsAt(logs));
  let loss = lossOf(errors, weights, logs, huber);
  let damping = 0.01;
  let idle = 0;
  for (let round = 0; round < 60 && idle < 3 && damping <= 1e4; round++) {
    const step = newtonStep(jacobian(cases, logs, errors), errors, weights, logs, damping, huber);
    const next = logs.map((value, j) => value + Math.max(-0.5, Math.min(0.5, step[j] ?? 0)));
    const nextErrors = residuals(cases, constantsAt(next));
    const nextLoss = lossOf(nextErrors, weights, next, huber);
    if (nextLoss >= loss) {
      damping *= 6;
      continue;
    }
    idle = (loss - nextLoss) / loss < 2e-4 ? idle + 1 : 0;
    logs = next;
    errors = nextErrors;
    loss = nextLoss;
    damping = Math.max(1e-4, damping / 3);
  }
  return { constants: constantsAt(logs), logs, loss };
}

/**
 * The fit without some rows, by one Gauss–Newton step from the full fit: `kept[i]` is 0 for rows left out.
 * `columns` and `errors` belong to `full`.
 */
export function refitWithout(
  full: Fit,
  columns: readonly Float64Array[],
  errors: Float64Array,
  kept: Float64Array,
): Float64Array {
  const step = newtonStep(columns, errors, kept, full.logs, 0, huberKnee);
  return full.logs.map((value, j) => value + (step[j] ?? 0));
}
