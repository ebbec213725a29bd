/**
 * How far the logits of two models lie apart at each position of a text, in the field's measures.
 * Knows: numbers. Does not know: models, verdicts. Sums are float64.
 */

/** What was measured on one text; arrays hold one number for each position. */
export interface LogitMeasures {
  readonly positions: number;
  /** KL(a ‖ b) in nats. */
  readonly kl: Float64Array;
  /** ‖a − b‖ / ‖a‖ of the logits. */
  readonly relativeError: Float64Array;
  /** Between the logits of both sides. */
  readonly cosine: Float64Array;
  /** Infinity where a logit is not a number. */
  readonly largestDifference: Float64Array;
  readonly topOneAgreements: number;
}

/** Compares logits [positions, vocabulary] of both sides; RangeError when their sizes differ or are no multiple. */
export function measureLogits(a: Float32Array, b: Float32Array, vocabulary: number): LogitMeasures {
  const positions = a.length / vocabulary;
  if (a.length !== b.length || !Number.isInteger(positions)) throw new RangeError(`${a.length} and ${b.length} logits`);
  const [kl, relativeError] = [new Float64Array(positions), new Float64Array(positions)];
  const [cosine, largestDifference] = [new Float64Array(positions), new Float64Array(positions)];
  let topOneAgreements = 0;
  for (let position = 0; position < positions; position++) {
    const rowA = a.subarray(position * vocabulary, (position + 1) * vocabulary);
    const rowB = b.subarray(position * vocabulary, (position + 1) * vocabulary);
    let [dot, squaresA, squaresB, squaresOfDifference, largest] = [0, 0, 0, 0, 0];
    for (let token = 0; token < vocabulary; token++) {
      const [x, y] = [rowA[token]!, rowB[token]!];
      const difference = Math.abs(x - y);
      // Written so that a NaN on either side counts as the largest difference there is.
      if (!(difference <= largest)) largest = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      dot += x * y;
      squaresA += x * x;
      squaresB += y * y;
      squaresOfDifference += difference * difference;
    }
    largestDifference[position] = largest;
    relativeError[position] = largest === 0 ? 0 : Math.sqrt(squaresOfDifference / squaresA);
    cosine[position] = largest === 0 ? 1 : dot / Math.sqrt(squaresA * squaresB);
    kl[position] = klNats(rowA, rowB);
    if (topToken(rowA) === topToken(rowB)) topOneAgreements++;
  }
  return { positions, kl, relativeError, cosine, largestDifference, topOneAgreements };
}

/** Share of a's `count` likeliest tokens that are among b's. */
export function topShare(a: Float32Array, b: Float32Array, count: number): number {
  const inB = new Set(likeliest(b, count));
  const inA = likeliest(a, count);
  return inA.filter((token) => inB.has(token)).length / Math.max(1, inA.length);
}

/** The `count` likeliest tokens, best first, the lower id among equals. */
export function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let token = 0; token < logits.length; token++) {
    if (best.length === count && !(logits[token]! > logits[best.at(-1)!]!)) continue;
    const place = best.findIndex((other) => logits[token]! > logits[other]!);
    best.splice(place === -1 ? best.length : place, 0, token);
    if (best.length > count) best.pop();
  }
  return best;
}

/** The likeliest token; the lowest id of equal ones. */
export function topToken(logits: Float32Array): number {
  let top = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[top]!) top = token;
  return top;
}

/** Rank of a token from 1: one more than the number of likelier tokens. */
export function rankOf(logits: Float32Array, token: number): number {
  const own = logits[token] ?? Number.NEGATIVE_INFINITY;
  return logits.reduce((rank, logit) => (logit > own ? rank + 1 : rank), 1);
}

/** KL(a ‖ b) in nats of the distributions behind two rows of logits; never below 0. */
export function klNats(a: Float32Array, b: Float32Array): number {
  const logSumA = logSumExp(a);
  const logSumB = logSumExp(b);
  let sum = 0;
  for (let token = 0; token < a.length; token++) {
    const logA = a[token]! - logSumA;
    const weight = Math.exp(logA);
    if (weight > 0) sum += weight * (logA - (b[token]! - logSumB));
  }
  // Rounding may leave a sum of terms of both signs just below 0; a NaN stays one.
  return sum < 0 ? 0 : sum;
}

function logSumExp(logits: Float32Array): number {
  const top = logits[topToken(logits)]!;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}
