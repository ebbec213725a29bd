/**
 * One shape for every validated row, training or inference, and the summary over many of them.
 * Knows: errors, families, accelerators. Does not know: how a prediction came about.
 */

/** A published row beside its prediction. `error` is |predicted − measured| / measured as a fraction; null with a reason. */
export interface ValidationRow {
  id: string;
  predicted: number | null;
  measured: number | null;
  quantity: string;
  error: number | null;
  basis: "interpolated" | "extrapolated";
  reason?: string;
  family: string;
  accelerator: string;
}

/** Order statistics of errors; `bias` is the mean of the signed relative error. Null when no row was predicted. */
export interface ErrorFigures {
  count: number;
  unpredicted: number;
  median: number | null;
  mean: number | null;
  p90: number | null;
  bias: number | null;
}

export interface ValidationSummary extends ErrorFigures {
  byFamily: Record<string, ErrorFigures>;
  byAccelerator: Record<string, ErrorFigures>;
}

/** The value below which a share `q` of the sorted `values` lies, linear between neighbours; null for none. */
export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}

export function errorFigures(rows: readonly ValidationRow[]): ErrorFigures {
  const known = rows.filter((row) => row.error !== null && row.measured !== null && row.predicted !== null);
  const errors = known.map(({ error }) => error ?? 0);
  const signed = known.map(({ predicted, measured }) => (predicted ?? 0) / (measured ?? 1) - 1);
  const mean = (values: readonly number[]): number | null =>
    values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    count: rows.length,
    unpredicted: rows.length - known.length,
    median: quantile(errors, 0.5),
    mean: mean(errors),
    p90: quantile(errors, 0.9),
    bias: mean(signed),
  };
}

/** Figures over all rows, and per family and accelerator in order of their names. */
export function summarise(rows: readonly ValidationRow[]): ValidationSummary {
  const by = (key: (row: ValidationRow) => string): Record<string, ErrorFigures> => {
    const names = [...new Set(rows.map(key))].sort();
    return Object.fromEntries(names.map((name) => [name, errorFigures(rows.filter((row) => key(row) === name))]));
  };
  return {
    ...errorFigures(rows),
    byFamily: by(({ family }) => family),
    byAccelerator: by(({ accelerator }) => accelerator),
  };
}
