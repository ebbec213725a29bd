/**
 * Gamma and beta distributions: the two in which evidence about a pool is kept.
 * Knows: cumulative probabilities and quantiles. Does not know: faults, pools, runs.
 */

/** log Γ(x) for x > 0, to about 1e-12: recurrence up to 10, then Stirling's series (Abramowitz & Stegun 6.1.41). */
export function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  for (; at < 10; at++) shift -= Math.log(at);
  const inverse = 1 / (at * at);
  const series = (1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))) / at;
  return shift + (at - 0.5) * Math.log(at) - at + 0.9189385332046727 + series;
}

/** P(X ≤ x) for X gamma with `shape` > 0 and scale 1: series below the mean, continued fraction above (A&S 6.5.29, 6.5.31). */
export function gammaProbability(shape: number, x: number): number {
  if (x <= 0) return 0;
  if (x === Number.POSITIVE_INFINITY) return 1;
  const scale = Math.exp(shape * Math.log(x) - x - logGamma(shape));
  if (x < shape + 1) {
    let term = 1 / shape;
    let sum = term;
    for (let n = 1; n < 100_000 && term > sum * 1e-16; n++) {
      term *= x / (shape + n);
      sum += term;
    }
    return Math.min(1, sum * scale);
  }
  // Lentz's method for the continued fraction of the upper tail.
  let b = x + 1 - shape;
  let c = 1e300;
  let d = 1 / b;
  let fraction = d;
  for (let n = 1; n < 100_000; n++) {
    const a = -n * (n - shape);
    b += 2;
    d = 1 / (a * d + b || 1e-300);
    c = b + a / c || 1e-300;
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return Math.max(0, 1 - scale * fraction);
}

/** x with P(X ≤ x) = `probability` for X gamma with `shape` and scale 1; RangeError outside (0, 1). */
export function gammaQuantile(shape: number, probability: number): number {
  if (!(probability > 0 && probability < 1)) throw new RangeError(`probability ${probability}`);
  let high = shape + 1;
  while (gammaProbability(shape, high) < probability) high *= 2;
  // In logarithms, since small shapes have quantiles near 0.
  return Math.exp(
    bisect((x) => gammaProbability(shape, Math.exp(x)), probability, Math.log(high) - 800, Math.log(high)),
  );
}

/** P(X ≤ x) for X beta with `a`, `b` > 0: continued fraction (A&S 26.5.8), on the side where it converges fast. */
export function betaProbability(a: number, b: number, x: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - betaProbability(b, a, 1 - x);
  const scale = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1) || 1e-300);
  let fraction = d;
  for (let m = 1; m < 10_000; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d || 1e-300);
    c = 1 + even / c || 1e-300;
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d || 1e-300);
    c = 1 + odd / c || 1e-300;
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-15) break;
  }
  return scale * fraction;
}

/** x with P(X ≤ x) = `probability` for X beta; RangeError outside (0, 1). */
export function betaQuantile(a: number, b: number, probability: number): number {
  if (!(probability > 0 && probability < 1)) throw new RangeError(`probability ${probability}`);
  return bisect((x) => betaProbability(a, b, x), probability, 0, 1);
}

function bisect(rising: (x: number) => number, target: number, from: number, to: number): number {
  let low = from;
  let high = to;
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (rising(middle) < target) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
