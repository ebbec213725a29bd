/**
 * Names and small files of a checkpoint directory, read without trust.
 * Knows: that a directory may be absent or vanish. Does not know: any layout.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from "node:fs";
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

/** Names in a folder that another folder names; [] when it cannot be read, for then it holds nothing that can be loaded. */
export function namesBelow(folder: string): string[] {
  try {
    return namesIn(folder);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return [];
  }
}

/** For reading, without ever waiting for whoever would write to a pipe of that name; a system error is thrown. */
export const openToRead = (path: string): number => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);

/** The beginning of a small text file without surrounding white space; undefined when there is none, or something else by its name. */
export function smallText(path: string, maxBytes = 4096): string | undefined {
  let file: number;
  try {
    file = openToRead(path);
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) return undefined;
    const buffer = Buffer.alloc(Math.min(maxBytes, stat.size));
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, buffer.length, 0)).trim();
  } catch (error) {
    if (systemErrorCode(error) === undefined) throw error;
    return undefined;
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
