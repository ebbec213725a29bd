/**
 * Writes quantities for people: base units in, three significant figures and a unit out.
 * Knows: units and their steps. Does not know: what a quantity is of.
 */

/** `0 s`, `0.043 s`, `1.2 s`, `48 s`, `2 min 05 s`, `3 h 20 min`. */
export function seconds(value: number): string {
  if (value < 0.0005) return "0 s";
  if (value < 0.0995) return `${value.toFixed(3)} s`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  if (whole < 100) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 100) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** Counts and rates with a decimal prefix: `950`, `1.23 k`, `45.6 M`. */
export function decimal(value: number): string {
  const steps: readonly (readonly [number, string])[] = [
    [1e12, " T"],
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " k"],
  ];
  const [scale, prefix] = steps.find(([size]) => Math.abs(value) >= size * 0.9995) ?? [1, ""];
  const scaled = value / scale;
  const digits =
    scale === 1 && Number.isInteger(value) ? 0 : Math.abs(scaled) < 9.995 ? 2 : Math.abs(scaled) < 99.95 ? 1 : 0;
  return `${scaled.toFixed(digits)}${prefix}`;
}

export const bytes = (value: number): string => `${decimal(value)}${value < 999.5 ? " " : ""}B`;

/** `0 steps`, `1 step`. */
export function count(value: number, one: string, many = `${one}s`): string {
  return `${value} ${value === 1 ? one : many}`;
}

/** A loss in nats per token. */
export const nats = (value: number | null): string => (value === null ? "unknown" : value.toFixed(3));

/** A ratio such as ETTR; `–` while there is nothing to divide. */
export const ratio = (value: number | null): string => (value === null ? "–" : value.toFixed(2));
