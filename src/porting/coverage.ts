/**
 * Whether a platform's toolkit has every operator of a set of graphs, and the number format of their weights.
 * Knows: whom to ask (the catalog) and how a refusal reads. Does not know: the coverage itself, graphs.
 */
import { uncoveredOperators } from "../catalog/onnx-operators.ts";
import { refusals } from "../catalog/platform-support.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { Platform, Precision } from "../spec/vocabulary.ts";

export interface CoverageQuestion {
  readonly operators: readonly string[];
  readonly operatorSet: number;
  readonly precision: Precision;
  readonly platform: Platform;
  /** What a pool's `emulate` adds: operators that it lacks and the only number formats that it has. */
  readonly unsupportedOps: readonly string[];
  readonly precisions?: readonly Precision[] | undefined;
}

/** Throws BadInput with one line for each operator or number format that the platform does not have. */
export function checkCoverage({ operators, operatorSet, platform, ...needs }: CoverageQuestion): void {
  const refused = refusals(platform, { operators, ...needs });
  const problems = refused.map(({ kind, message }) =>
    kind === "unsupported-operator"
      ? `port to ${platform}: ${message}; choose a toolkit or platform that has it`
      : `port to ${platform}: ${message}; choose another --to`,
  );
  if (platform === "ascend") {
    for (const problem of uncoveredOperators(operators, operatorSet)) {
      problems.push(`port to ascend: ${problem}; choose a toolkit that covers it`);
    }
  }
  if (problems.length > 0) throw new BadInput(...problems);
}
