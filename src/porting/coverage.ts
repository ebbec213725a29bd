/**
 * Whether a platform's toolkit has every operator of a set of graphs.
 * Knows: how a refusal reads. Does not know: the coverage itself (catalog), graphs.
 */
import { BadInput } from "../spec/bad-input.ts";
import type { Platform } from "../spec/vocabulary.ts";

export interface CoverageQuestion {
  readonly operators: readonly string[];
  readonly platform: Platform;
  /** Operators that the platform lacks besides those that the catalog says. */
  readonly also: readonly string[];
}

/** Throws BadInput naming the operators that are missing. */
export function checkCoverage({ operators, also }: CoverageQuestion): void {
  const missing = operators.filter((operator) => also.includes(operator));
  if (missing.length > 0) throw new BadInput(`missing ${missing.join(", ")}`);
}
