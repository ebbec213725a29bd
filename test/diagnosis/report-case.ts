/** How a case after a public report is written down: the log, and the answer that a person would give, before anything was run. */
import type { Case } from "./cases-faults.ts";

type Cause = NonNullable<Case["cause"]>;
type Files = Case["files"];

/** `log`: one file's text, or several by name. */
export function fault(
  name: string,
  category: Cause["category"],
  action: Cause["action"],
  log: string | Files,
  more: Pick<Cause, "rank" | "code"> = {},
): Case {
  return { name, files: typeof log === "string" ? { "job.log": log } : log, cause: { category, action, ...more } };
}

export function trap(name: string, log: string | Files): Case {
  return { name, files: typeof log === "string" ? { "job.log": log } : log, cause: null };
}

/** FNV-1a of the name: its parity puts the case into the half that may be looked at, or the one that is only counted. */
export function half(name: string): "A" | "B" {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return ((hash >>> 8) & 1) === 0 ? "A" : "B";
}
