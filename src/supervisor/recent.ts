/**
 * The last few values of something, with their order statistics.
 * Knows: a ring. Does not know: what the values are.
 */
export interface Recent<T> {
  add(value: T): void;
  /** Oldest first. */
  values(): readonly T[];
  readonly size: number;
}

export function recent<T>(capacity: number): Recent<T> {
  const kept: T[] = [];
  return {
    add(value) {
      kept.push(value);
      if (kept.length > capacity) kept.shift();
    },
    values: () => kept,
    get size() {
      return kept.length;
    },
  };
}

/** The value below which `share` of the values lie (nearest rank); undefined of none. */
export function quantile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))];
}

export function median(values: readonly number[]): number | undefined {
  return quantile(values, 0.5);
}
