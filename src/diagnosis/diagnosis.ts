/**
 * The answer of a diagnosis, as it is printed, written to journals and read by others.
 * Knows: the document's shape. Does not know: how a cause is found.
 */
import * as z from "zod";
import { FaultAction, FaultCategory, Platform } from "../spec/vocabulary.ts";

export const Finding = z.strictObject({
  platform: z.enum([...Platform.options, "unknown"]),
  category: FaultCategory,
  /** The vendor's code where there is one (`Xid 79`, `EI0002`, `507035`), else the name of a rule. */
  code: z.string(),
  action: FaultAction,
  rank: z.int().nonnegative().nullable(),
  /** At least one; `line` is 1-based. */
  evidence: z.array(z.strictObject({ file: z.string(), line: z.int().positive(), text: z.string() })),
  /** One sentence. */
  why: z.string(),
});
export type Finding = z.infer<typeof Finding>;

/** `rootCause` is null where nothing ended the last attempt; `findings` are ranked, the cause first. */
export const Diagnosis = z.strictObject({ rootCause: Finding.nullable(), findings: z.array(Finding) });
export type Diagnosis = z.infer<typeof Diagnosis>;
