/**
 * The result of a validation: rows with their errors, and what they add up to.
 * Knows: the contract of `plan validate`. Does not know: training, serving, files.
 */

export interface ValidationRow {
  readonly id: string;
  readonly predicted: number | null;
  readonly measured: number | null;
  readonly quantity: string | null;
  /** |predicted − measured| / measured. */
  readonly error: number | null;
  readonly basis: "interpolated" | "extrapolated" | null;
  readonly family: string;
  readonly accelerator: string;
  /** Range of the prediction over what the row leaves open. */
  readonly range?: readonly [number, number];
  readonly reason?: string;
}

export interface ErrorSummary {
  readonly count: number;
  readonly median: number | null;
  readonly mean: number | null;
  readonly p90: number | null;
  /** Mean signed relative error: above 0 the model predicts more than was measured. */
  readonly bias: number | null;
}

export interface ValidationSummary extends ErrorSummary {
  readonly unpredicted: number;
  readonly byFamily: Readonly<Record<string, ErrorSummary>>;
  readonly byAccelerator: Readonly<Record<string, ErrorSummary>>;
  readonly byBasis: Readonly<Record<string, ErrorSummary>>;
}

/** Summaries over all predicted rows and over groups of them; quantiles are the lower empirical ones. */
export function summarize(rows: readonly ValidationRow[]): ValidationSummary {
  const predicted = rows.filter((row) => row.error !== null);
  return {
    ...errorSummary(predicted),
    count: rows.length,
    unpredicted: rows.length - predicted.length,
    byFamily: grouped(predicted, (row) => row.family),
    byAccelerator: grouped(predicted, (row) => row.accelerator),
    byBasis: grouped(predicted, (row) => row.basis ?? "unknown"),
  };
}

function grouped(rows: readonly ValidationRow[], key: (row: ValidationRow) => string): Record<string, ErrorSummary> {
  const groups = new Map<string, ValidationRow[]>();
  for (const row of rows) {
    const known = groups.get(key(row));
    if (known) known.push(row);
    else groups.set(key(row), [row]);
  }
  return Object.fromEntries(
    [...groups].sort(([a], [b]) => a.localeCompare(b)).map(([name, list]) => [name, errorSummary(list)]),
  );
}

function errorSummary(rows: readonly ValidationRow[]): ErrorSummary {
  const errors = rows.map((row) => row.error ?? 0).sort((a, b) => a - b);
  const count = errors.length;
  if (count === 0) return { count, median: null, mean: null, p90: null, bias: null };
  const at = (share: number): number => errors[Math.min(count - 1, Math.floor(share * count))] ?? 0;
  const signed = rows.map((row) => ((row.predicted ?? 0) - (row.measured ?? 0)) / (row.measured ?? 1));
  return {
    count,
    median: at(0.5),
    mean: errors.reduce((sum, error) => sum + error, 0) / count,
    p90: at(0.9),
    bias: signed.reduce((sum, error) => sum + error, 0) / count,
  };
}
