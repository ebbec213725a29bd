/**
 * Names and small files of a checkpoint directory, read without trust.
 * Knows: that a directory may be absent or vanish. Does not know: any layout.
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { systemErrorCode } from "../../host/files.ts";

/** Names in a folder; [] when there is none. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    throw error;
  }
}

/** The beginning of a small text file without surrounding white space; undefined when there is none. */
export function smallText(path: string, maxBytes = 4096): string | undefined {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
  try {
    const buffer = Buffer.alloc(maxBytes);
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, maxBytes, 0)).trim();
  } finally {
    closeSync(file);
  }
}

/** The number at the end of a name, after `prefix`; undefined for other names. */
export function numbered(name: string, prefix: RegExp): number | undefined {
  const digits = new RegExp(`^(?:${prefix.source})(\\d{1,15})$`).exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Whether numbers are 0, 1, 2, … without a gap; the first that is missing. */
export function firstGap(numbers: Iterable<number>): number | undefined {
  const present = new Set(numbers);
  for (let expected = 0; expected < present.size; expected++) if (!present.has(expected)) return expected;
  return undefined;
}

/**
 * A name that the checkpoint before has and this one lacks, which is how a shard of the last rank shows that it is missing. Where
 * a pointer says that this one was committed, lacking many means that fewer ranks wrote it.
 */
export function lackedBy(
  names: readonly string[],
  before: readonly string[],
  isCommitted: boolean,
): string | undefined {
  const lacking = before.filter((name) => !names.includes(name));
  const isSmallerJob = isCommitted && before.length > 4 && lacking.length * 4 > before.length;
  return isSmallerJob ? undefined : lacking[0];
}
