/**
 * The shape of a known signature of a fault: what it looks like, where in the stack it stands, whose area it is.
 * Knows: the schema. Does not know: any signature (fault-rules).
 */
import * as z from "zod";
import { FaultAction, FaultCategory } from "../spec/vocabulary.ts";

/**
 * Where in the stack a signature stands. `hardware`, `link`, `host` and `program` can be the beginning of a failure;
 * the later ones are, the later the more, what other faults look like from afar; an `echo` never begins anything.
 */
export const FaultLayer = z.enum([
  ...["hardware", "link", "host", "program"],
  ...["transport", "runtime", "collective", "peer", "exit", "echo"],
] as const);
export type FaultLayer = z.infer<typeof FaultLayer>;

/** Texts that carry a number or name to look the rule up by. */
export const FaultFamily = z.enum([
  ...["xid", "sxid", "npu-event", "acl-return", "torch-npu", "cann-code", "exception", "exit-code"],
] as const);
export type FaultFamily = z.infer<typeof FaultFamily>;

export const FaultRule = z.strictObject({
  /** Unique. Several rules may share a `code`. */
  id: z.string().min(1),
  code: z.string().min(1),
  platform: z.enum(["nvidia", "ascend", "any"]),
  layer: FaultLayer,
  /** `fatal` ends an attempt; `degraded` is a cause only when a failure follows; `notice` never is one. */
  severity: z.enum(["fatal", "degraded", "notice"]),
  category: FaultCategory,
  action: FaultAction,
  /** What happened, as the end of "because …"; a clause without a full stop. */
  says: z.string().min(1),
  source: z.string().min(1),
  /** Looked up by a value in a text of this family. */
  family: FaultFamily.optional(),
  value: z.string().optional(),
  /** Fires when all strings of any one list stand on a line or close before it. */
  all: z.array(z.array(z.string().min(1)).min(1)).optional(),
  /** JavaScript regular expression, case-insensitive unless `caseSensitive`; a line without any of `anchors` (lower case) cannot match. */
  regex: z.string().optional(),
  anchors: z.array(z.string().min(1)).optional(),
  example: z.string().optional(),
  caseSensitive: z.literal(true).optional(),
  /** Counts at INFO and DEBUG too. */
  anyLevel: z.literal(true).optional(),
  /** Counts on indented lines too, as descriptions of pods have them. */
  indented: z.literal(true).optional(),
  /** Counts only on a line that says by itself that it is an error. */
  errorOnly: z.literal(true).optional(),
  /** This text says that the fault with that code is over. */
  recovers: z.string().optional(),
});
export type FaultRule = z.infer<typeof FaultRule>;
