/** Fitted constants of the serving model, written by scripts/fit-inference.mjs. Knows: numbers. Does not know: their meaning. */
export const inferenceFit: { date: string; values: readonly number[] } = { date: "2026-11-24", values: [] };
