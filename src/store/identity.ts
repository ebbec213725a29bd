/**
 * Whether two run files are the same run: a hash of what they say, not of how they say it.
 * Knows: canonical JSON (RFC 8785's idea: sorted keys). Does not know: YAML, defaults (they are filled in before).
 */
import { createHash } from "node:crypto";
import type { RunFile } from "../spec/run-file.ts";

/** SHA-256 in hexadecimal of the parsed run file in canonical form; comments, order and spelled-out defaults do not matter. */
export function identity(file: RunFile): string {
  return createHash("sha256").update(canonical(file)).digest("hex");
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}
