/**
 * Whether a file that a framework wrote is all there, as far as its own format tells.
 * Knows: ends of zip archives (torch.save since PyTorch 1.6), safetensors headers. Does not know: what is in them.
 */
import { closeSync, fstatSync, readSync } from "node:fs";
import { openSafetensors } from "../../checkpoint/safetensors-file.ts";
import { MalformedSafetensors } from "../../checkpoint/safetensors-header.ts";
import { systemErrorCode } from "../../host/files.ts";
import { openToRead } from "./entries.ts";

/** Why a `torch.save` file cannot be whole; undefined when nothing shows that. An old, unzipped one is only known not to be empty. */
export function whyNotWholeTorch(path: string): string | undefined {
  return withFile(path, (file, size) => {
    if (size === 0) return "is empty";
    const start = Buffer.alloc(4);
    readSync(file, start, 0, 4, 0);
    if (start.toString("latin1") !== "PK\u0003\u0004") return start[0] === 0 ? "begins with zeros" : undefined;
    // The end of the central directory is the last thing written: 22 bytes, as torch.save adds no comment.
    const end = Buffer.alloc(22);
    const count = readSync(file, end, 0, 22, Math.max(0, size - 22));
    return count === 22 && end.toString("latin1", 0, 4) === "PK\u0005\u0006" ? undefined : "is cut short";
  });
}

/** Why a safetensors file is not whole: its header states its size. */
export function whyNotWholeSafetensors(path: string): string | undefined {
  const why = withFile(path, () => undefined);
  if (why !== undefined) return why;
  try {
    openSafetensors(path).close();
    return undefined;
  } catch (error) {
    if (error instanceof MalformedSafetensors) return error.message;
    return unreadable(error);
  }
}

/** Why a file cannot hold `bytes` bytes. */
export function whyNotAsLong(path: string, bytes: number): string | undefined {
  return withFile(path, (_, size) => (size < bytes ? `has ${size} bytes of ${bytes}` : undefined));
}

function withFile(path: string, look: (file: number, size: number) => string | undefined): string | undefined {
  let file: number;
  try {
    file = openToRead(path);
  } catch (error) {
    return unreadable(error);
  }
  try {
    const stat = fstatSync(file);
    return stat.isFile() ? look(file, stat.size) : "is no regular file";
  } catch (error) {
    return unreadable(error);
  } finally {
    closeSync(file);
  }
}

/** The reason in words; what is no error of the file system is thrown on. */
export function unreadable(error: unknown): string {
  const code = systemErrorCode(error);
  if (code === undefined) throw error;
  return code === "ENOENT" || code === "ENOTDIR" ? "is missing" : `cannot be read (${code})`;
}
