/**
 * The words that every part of dualgauge shares: platforms, faults and what is done about them.
 * Knows: the terms of ARCHITECTURE.md. Does not know: where they are read from or written to.
 */
import * as z from "zod";

/** A vendor's chips plus toolkit: `nvidia` (CUDA, NCCL), `ascend` (CANN, HCCL), `cpu` (the embedded engine, not emulating either). */
export const Platform = z.enum(["nvidia", "ascend", "cpu"]);
export type Platform = z.infer<typeof Platform>;

/** Number formats that a device may or may not compute in. */
export const Precision = z.enum(["fp32", "bf16", "fp16", "fp8"]);
export type Precision = z.infer<typeof Precision>;

/** Whose area a fault lies in. */
export const FaultCategory = z.enum([
  "instability",
  "interconnect",
  "software-kit",
  "memory",
  "numerics",
  "storage",
  "workload",
  "preemption",
]);
export type FaultCategory = z.infer<typeof FaultCategory>;

/** How far a fault reaches. */
export const FaultScope = z.enum(["device", "link", "node", "pool", "job"]);
export type FaultScope = z.infer<typeof FaultScope>;

/** What is done about a fault, from the mildest to the strongest; `fix-job` and `free-space` ask a person. */
export const FaultAction = z.enum(["none", "retry", "restart", "evict-node", "fail-over", "fix-job", "free-space"]);
export type FaultAction = z.infer<typeof FaultAction>;

/** What was found to be wrong, as detectors and workers name it. */
export const FaultKind = z.enum([
  "process-signal",
  "process-exit",
  "launch-failed",
  "agent-lost",
  "hang",
  "nan",
  "loss-spike",
  "straggler",
  "link-slow",
  "link-down",
  "link-silent",
  "corrupt-gradient",
  "corrupt-checkpoint",
  "out-of-memory",
  "no-space",
  "unsupported-operator",
  "unsupported-precision",
  "bad-input",
  "program-error",
]);
export type FaultKind = z.infer<typeof FaultKind>;
