/**
 * Opens a log, whatever it is packed or written in, and gives its bytes as UTF-8 or GB 18030 chunks.
 * Knows: files, gzip, UTF-16, what is no log. Does not know: lines. A file is read to the size that it had when opened, so one that grows ends.
 */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";

/** Why a log could not be read, or not to its end; one clause. */
export class Unreadable extends Error {
  override readonly name = "Unreadable";
}

/** Small enough to stay in a core's cache between reading and scanning. */
const chunkBytes = 1 << 18;
/** Files of /proc say that they are empty. */
const unsizedBytesMax = 64 * 2 ** 20;
const sniffedBytes = 8192;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  EACCES: "may not be read",
  EPERM: "may not be read",
  ELOOP: "is a link that leads back to itself",
  EISDIR: "is a folder",
  EIO: "cannot be read from its disk",
  ENOTDIR: "does not exist",
  EMFILE: "cannot be opened: too many open files",
  ENXIO: "has nobody at its other end",
  ENAMETOOLONG: "has too long a name",
  ESTALE: "went away while it was read",
};

export function unreadable(error: unknown): Unreadable {
  if (error instanceof Unreadable) return error;
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    const reason = reasons[error.code];
    if (reason !== undefined) return new Unreadable(reason);
    if (error.code.startsWith("Z_")) return new Unreadable("is damaged or cut-off gzip");
  }
  throw error;
}

/** Throws Unreadable before the first chunk or after any. */
export async function* readLog(path: string): AsyncGenerator<Uint8Array> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY);
  } catch (error) {
    throw unreadable(error);
  }
  try {
    const stats = await handle.stat();
    refuse(stats, path);
    yield* readText(bytesOf(handle, stats));
  } catch (error) {
    throw unreadable(error);
  } finally {
    await handle.close();
  }
}

function refuse(stats: Stats, path: string): void {
  if (stats.isDirectory()) throw new Unreadable("is a folder");
  if (stats.isBlockDevice() || (stats.isCharacterDevice() && path !== "/dev/null"))
    throw new Unreadable("is a device, not a log");
}

/** The buffer is used again for the next chunk. */
async function* bytesOf(handle: FileHandle, stats: Stats): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  let left = stats.isFile() ? (stats.size > 0 ? stats.size : unsizedBytesMax) : Number.POSITIVE_INFINITY;
  while (left > 0) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(chunkBytes, left), null);
    if (bytesRead === 0) return;
    left -= bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Unpacks and decodes by what the first bytes are. */
export async function* readText(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  if (first.done) return;
  const all = { [Symbol.asyncIterator]: () => resumed(first.value, iterator) };
  if (first.value[0] === 0x1f && first.value[1] === 0x8b) yield* decoded(gunzip(all));
  else yield* decoded(all);
}

async function* decoded(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let decoder: InstanceType<typeof TextDecoder> | undefined;
  let begun = false;
  for await (const chunk of chunks) {
    if (!begun) {
      begun = true;
      const wide = wideEncoding(chunk);
      if (wide !== undefined) decoder = new TextDecoder(wide);
      else if (isBinary(chunk)) throw new Unreadable("is binary, not a log; unpack it first if it is an archive");
    }
    yield decoder === undefined ? chunk : Buffer.from(decoder.decode(chunk, { stream: true }));
  }
}

async function* resumed(first: Uint8Array, rest: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  for (let next = await rest.next(); !next.done; next = await rest.next()) yield next.value;
}

async function* gunzip(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const unpacked = createGunzip({ chunkSize: 1 << 18 });
  // The source's buffer is used again while zlib still reads: each chunk is copied.
  const source = Readable.from(copies(chunks), { objectMode: false });
  source.on("error", (error) => unpacked.destroy(error));
  source.pipe(unpacked);
  for await (const chunk of unpacked) if (chunk instanceof Uint8Array) yield chunk;
}

async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) yield Buffer.from(chunk);
}

/** UTF-16 by its mark, or by a zero in every second byte. */
function wideEncoding(chunk: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  if (chunk[0] === 0xff && chunk[1] === 0xfe) return "utf-16le";
  if (chunk[0] === 0xfe && chunk[1] === 0xff) return "utf-16be";
  const head = chunk.subarray(0, 512);
  if (head.length < 16) return undefined;
  const zeros = [0, 0];
  for (let i = 0; i < head.length; i++) if (head[i] === 0) zeros[i % 2]!++;
  if (zeros[1]! > head.length * 0.35 && zeros[0]! < head.length * 0.05) return "utf-16le";
  return zeros[0]! > head.length * 0.35 && zeros[1]! < head.length * 0.05 ? "utf-16be" : undefined;
}

/** More than a few control characters among the first bytes. A hole of zeros, as a crash leaves, is no sign of it. */
function isBinary(chunk: Uint8Array): boolean {
  const head = chunk.subarray(0, sniffedBytes);
  let control = 0;
  let zeros = 0;
  for (const byte of head) {
    if (byte === 0) zeros++;
    else if (byte < 32 && !(byte >= 7 && byte <= 13) && byte !== 27) control++;
  }
  return control > head.length * 0.02 + 2 || zeros === head.length || (zeros > head.length * 0.1 && control > 0);
}
