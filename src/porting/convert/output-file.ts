/**
 * Writes a large file from front to back past the system's page cache, so that terabytes evict nothing and cost no copy there.
 * Knows: alignment, which file systems refuse that, that a full disk cuts a write short. Does not know: what is written.
 * Where O_DIRECT is not to be had (other systems, some file systems) the same bytes are written the usual way.
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from "node:fs";

export interface OutputFile {
  /** Takes the bytes; the caller may overwrite them afterwards. The file system's errors come through. */
  write(piece: Uint8Array): void;
  /** Writes what is left and flushes everything to the disk. */
  flush(): void;
  close(): void;
}

/** Offsets, lengths and memory of a direct write are multiples of this; 4096 suits every disk sold today. */
const alignment = 4096;
const stagingBytes = 8 << 20;
/** Below this the page cache is faster. */
const directFrom = 16 << 20;

/** One for each thread, which writes one file at a time. A WebAssembly memory begins on a page; an ArrayBuffer need not. */
let staging: Uint8Array | undefined;

/** Creates or truncates `path`, which will get about `bytes`. */
export function openOutputFile(path: string, { bytes }: { bytes: number }): OutputFile {
  const direct = bytes >= directFrom ? openDirect(path) : undefined;
  return direct === undefined ? usualFile(openSync(path, "w", 0o644)) : directFile(path, direct);
}

/** undefined where the system or the file system has no direct writing. */
function openDirect(path: string): number | undefined {
  const { O_DIRECT, O_WRONLY, O_CREAT, O_TRUNC } = constants;
  if (typeof O_DIRECT !== "number" || O_DIRECT === 0) return undefined;
  try {
    return openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0o644);
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EINVAL" || error.code === "EOPNOTSUPP");
}

function usualFile(fd: number): OutputFile {
  return {
    write: (piece) => writeAll(fd, piece, null),
    flush: () => fsyncSync(fd),
    close: () => closeSync(fd),
  };
}

function directFile(path: string, directFd: number): OutputFile {
  staging ??= new Uint8Array(
    new WebAssembly.Memory({ initial: stagingBytes >> 16, maximum: stagingBytes >> 16 }).buffer,
  );
  const buffer = staging;
  let direct: number | undefined = directFd;
  let usual: number | undefined;
  let filled = 0;
  let at = 0;
  const usualFd = (): number => {
    usual ??= openSync(path, "r+");
    return usual;
  };
  /** Writes the staged bytes, as far as possible directly. */
  const drain = (): void => {
    let done = 0;
    const whole = filled - (filled % alignment);
    while (direct !== undefined && done < whole) {
      try {
        done += writeSync(direct, buffer, done, whole - done, at + done);
        // A disk that filled up takes a part, and what is left is no longer aligned: the usual way tells what is wrong.
        if (done % alignment !== 0) break;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        closeSync(direct);
        direct = undefined;
      }
    }
    if (done < filled) writeAll(usualFd(), buffer.subarray(done, filled), at + done);
    at += filled;
    filled = 0;
  };
  return {
    write(piece) {
      for (let taken = 0; taken < piece.length; ) {
        const count = Math.min(piece.length - taken, buffer.length - filled);
        buffer.set(piece.subarray(taken, taken + count), filled);
        filled += count;
        taken += count;
        if (filled === buffer.length) drain();
      }
    },
    flush() {
      drain();
      fsyncSync(usualFd());
    },
    close() {
      if (direct !== undefined) closeSync(direct);
      if (usual !== undefined) closeSync(usual);
    },
  };
}

function writeAll(fd: number, piece: Uint8Array, at: number | null): void {
  for (let done = 0; done < piece.length; ) {
    done += writeSync(fd, piece, done, piece.length - done, at === null ? null : at + done);
  }
}
