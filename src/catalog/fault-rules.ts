/**
 * The known signatures of faults in logs: what each looks like, whose area it is and what helps, as dated facts with their sources.
 * Knows: codes and texts of both vendors' stacks and of what runs on them. Does not know: files, lines, which of several signatures is the cause.
 */
import vendorRules from "./data/fault-rules.json" with { type: "json" };
import ownRules from "./data/fault-rules-own.json" with { type: "json" };
import type { FaultRule } from "./fault-rule.ts";

export type { FaultFamily, FaultLayer, FaultRule } from "./fault-rule.ts";

const stored: readonly object[] = [...vendorRules, ...ownRules];

/** Vendors' rules first; the count is tested, and every rule against the whole schema (test/diagnosis). */
export const faultRules: readonly FaultRule[] = stored.filter(isRule);

/**
 * Only what tells a rule from something else: the files are part of this program and tested against the schema, and
 * parsing a thousand rules with it at every start takes longer than reading a log.
 */
function isRule(rule: object): rule is FaultRule {
  return "id" in rule && "code" in rule && "layer" in rule && "severity" in rule && "category" in rule;
}
