/**
 * Reads parts of a large file into memory, past the page cache where that is asked for: filling that cache with what is read once costs
 * more processor time than everything that a conversion computes.
 * Knows: alignment, which file systems refuse that. Does not know: what is read.
 */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { readFully } from "../../checkpoint/safetensors-file.ts";

/** Offsets, lengths and memory of a direct read are multiples of this; 4096 suits every disk sold today. */
const alignment = 4096;
/** Bytes that a read may take up before and behind what was asked for. */
export const readSlack = 2 * alignment;

export interface InputFile {
  /**
   * Reads `bytes` from byte `offset` of the file into `into`, whose memory begins on a multiple of 4096 and which has room for `readSlack`
   * more. Gives where in `into` they begin, or undefined when the file ends before. The file system's errors come through.
   */
  read(into: Uint8Array, offset: number, bytes: number): number | undefined;
  /** A descriptor for small reads, which go through the page cache. */
  usual(): number;
  close(): void;
}

/** `direct`: past the page cache, where the system and the file system have that. */
export function openInputFile(path: string, { direct }: { direct: boolean }): InputFile {
  let directFd = direct ? openDirect(path) : undefined;
  let usualFd = directFd === undefined ? openSync(path, "r") : undefined;
  const usual = (): number => {
    usualFd ??= openSync(path, "r");
    return usualFd;
  };
  const readUsually = (into: Uint8Array, offset: number, bytes: number): number | undefined =>
    readFully(usual(), into.subarray(0, bytes), offset) < bytes ? undefined : 0;
  return {
    usual,
    read(into, offset, bytes) {
      if (directFd === undefined) return readUsually(into, offset, bytes);
      const skew = offset % alignment;
      const whole = Math.ceil((skew + bytes) / alignment) * alignment;
      try {
        if (readSync(directFd, into, 0, whole, offset - skew) >= skew + bytes) return skew;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        closeSync(directFd);
        directFd = undefined;
      }
      // Refused, interrupted or at the file's end: the usual way tells which.
      return readUsually(into, offset, bytes);
    },
    close() {
      if (directFd !== undefined) closeSync(directFd);
      if (usualFd !== undefined) closeSync(usualFd);
    },
  };
}

/** undefined where the system or the file system has no direct reading. */
function openDirect(path: string): number | undefined {
  const { O_DIRECT, O_RDONLY } = constants;
  if (typeof O_DIRECT !== "number" || O_DIRECT === 0) return undefined;
  try {
    return openSync(path, O_RDONLY | O_DIRECT);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EINVAL" || error.code === "EOPNOTSUPP");
}
