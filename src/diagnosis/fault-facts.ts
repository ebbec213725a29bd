/**
 * What each kind of fault is: whose area, how far it reaches, and what it alone suggests.
 * Knows: one row per kind. Does not know: budgets, spares, pools (supervisor/decide).
 */
import type { FaultAction, FaultCategory, FaultKind, FaultScope } from "../spec/vocabulary.ts";

export interface FaultFacts {
  readonly category: FaultCategory;
  readonly scope: FaultScope;
  readonly advice: FaultAction;
  /** Lower comes first when several symptoms appear together: a rank that was killed explains the link that broke. */
  readonly precedence: number;
}

export const faultFacts: Record<FaultKind, FaultFacts> = {
  "bad-input": { category: "workload", scope: "job", advice: "fix-job", precedence: 0 },
  "unsupported-operator": { category: "software-kit", scope: "pool", advice: "fail-over", precedence: 1 },
  "unsupported-precision": { category: "software-kit", scope: "pool", advice: "fail-over", precedence: 1 },
  "no-space": { category: "storage", scope: "job", advice: "free-space", precedence: 2 },
  "corrupt-checkpoint": { category: "storage", scope: "job", advice: "restart", precedence: 2 },
  nan: { category: "numerics", scope: "device", advice: "restart", precedence: 3 },
  "corrupt-gradient": { category: "interconnect", scope: "link", advice: "restart", precedence: 3 },
  "out-of-memory": { category: "memory", scope: "node", advice: "restart", precedence: 4 },
  "process-signal": { category: "instability", scope: "node", advice: "restart", precedence: 5 },
  "program-error": { category: "workload", scope: "job", advice: "restart", precedence: 6 },
  "process-exit": { category: "instability", scope: "node", advice: "restart", precedence: 6 },
  "agent-lost": { category: "instability", scope: "node", advice: "restart", precedence: 7 },
  "launch-failed": { category: "instability", scope: "pool", advice: "restart", precedence: 7 },
  hang: { category: "instability", scope: "node", advice: "restart", precedence: 8 },
  "link-silent": { category: "interconnect", scope: "link", advice: "restart", precedence: 9 },
  "link-down": { category: "interconnect", scope: "link", advice: "restart", precedence: 10 },
  "loss-spike": { category: "numerics", scope: "job", advice: "restart", precedence: 11 },
  straggler: { category: "instability", scope: "node", advice: "evict-node", precedence: 12 },
  "link-slow": { category: "interconnect", scope: "link", advice: "evict-node", precedence: 12 },
};
