/**
 * Reads arrays out of an .npz file, which is a ZIP of .npy files, without trusting a byte of it.
 * Knows: ZIP's central directory, stored and deflated members, the npy header. Never unpickles, never writes, never holds an array.
 * Source: PKWARE APPNOTE 6.3.10 §4.3 and numpy/lib/format.py (read 2026-11-24).
 */
import { closeSync, createReadStream, fstatSync, openSync } from "node:fs";
import { crc32, createInflateRaw } from "node:zlib";
import type { Dtype, TensorInfo } from "../../checkpoint/dtype.ts";
import { dtypeBytes } from "../../checkpoint/dtype.ts";
import { readFully } from "../../checkpoint/safetensors-file.ts";

/** What is wrong with the file, in one line. */
export class MalformedNpz extends Error {
  override readonly name = "MalformedNpz";
}

interface Member {
  readonly name: string;
  readonly method: 0 | 8;
  readonly crc: number;
  readonly packed: number;
  readonly bytes: number;
  /** Byte of the local header. */
  readonly header: number;
  /** Byte at which the data begins. */
  readonly data: number;
}

export interface NpzFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Pieces of an array's bytes, in the file's own number format. */
  bytes(name: string): AsyncIterable<Uint8Array>;
}

const membersMax = 200_000;
const directoryBytesMax = 64 << 20;
const npyHeaderMax = 1 << 16;
/** Deflate cannot expand more than this (zlib technical notes: 1032:1); what claims more is a bomb or a lie. */
const expansionMax = 1032;

const formats: Readonly<Record<string, Dtype>> = {
  ...{ "<f2": "F16", "<f4": "F32", "<f8": "F64", "<i4": "I32", "<i8": "I64", "<u4": "U32", "|u1": "U8", "|i1": "I8" },
};

/** Opens and checks a file; MalformedNpz for whatever is wrong, else the file system's error. */
export async function openNpz(path: string): Promise<NpzFile> {
  const members = readDirectory(path);
  const tensors = new Map<string, TensorInfo>();
  const held = new Map<string, { member: Member; skip: number }>();
  for (const member of members) {
    const name = member.name.endsWith(".npy") ? member.name.slice(0, -4) : undefined;
    if (name === undefined) throw new MalformedNpz(`${shown(member.name)} is no .npy array`);
    if (tensors.has(name)) throw new MalformedNpz(`array ${shown(name)} appears twice`);
    const { info, skip } = await readNpyHeader(path, member, name);
    tensors.set(name, info);
    held.set(name, { member, skip });
  }
  return {
    path,
    tensors,
    async *bytes(name) {
      const one = held.get(name);
      if (!one) throw new RangeError(`${path}: no array ${name}`);
      let toSkip = one.skip;
      for await (const piece of unpacked(path, one.member)) {
        const from = Math.min(toSkip, piece.length);
        toSkip -= from;
        if (from < piece.length) yield piece.subarray(from);
      }
    },
  };
}

const shown = (name: string): string => JSON.stringify(name.slice(0, 200));

function readDirectory(path: string): Member[] {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const read = (at: number, length: number): DataView => {
      if (at < 0 || length < 0 || at + length > size) throw new MalformedNpz("is cut short or points outside itself");
      const bytes = new Uint8Array(length);
      readFully(fd, bytes, at);
      return new DataView(bytes.buffer);
    };
    const { count, bytes, at } = endOf(read, size);
    if (count > membersMax) throw new MalformedNpz(`${count} arrays are more than ${membersMax}`);
    if (bytes > directoryBytesMax) throw new MalformedNpz(`its directory of ${bytes} bytes is too large`);
    const members = parseMembers(read(at, bytes), count, read);
    const ordered = [...members].sort((x, y) => x.header - y.header);
    ordered.forEach(({ name, data, packed }, index) => {
      const next = ordered[index + 1]?.header ?? at;
      if (data + packed > next) throw new MalformedNpz(`array ${shown(name)} reaches into what follows it`);
    });
    return members;
  } finally {
    closeSync(fd);
  }
}

type Read = (at: number, length: number) => DataView;

function endOf(read: Read, size: number): { count: number; bytes: number; at: number } {
  const tail = Math.min(size, 22 + 0xffff);
  if (size < 22) throw new MalformedNpz(`only ${size} bytes, no ZIP file`);
  const view = read(size - tail, tail);
  let end = tail - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new MalformedNpz("has no ZIP directory; it is cut short or no .npz file");
  const short = { count: view.getUint16(end + 10, true), bytes: view.getUint32(end + 12, true) };
  const at = view.getUint32(end + 16, true);
  if (short.count !== 0xffff && short.bytes !== 0xffffffff && at !== 0xffffffff) return { ...short, at };
  const locator = read(size - tail + end - 20, 20);
  if (locator.getUint32(0, true) !== 0x07064b50) throw new MalformedNpz("its ZIP64 directory is missing");
  const record = read(safe(locator.getBigUint64(8, true)), 56);
  if (record.getUint32(0, true) !== 0x06064b50) throw new MalformedNpz("its ZIP64 directory is missing");
  return {
    count: safe(record.getBigUint64(32, true)),
    bytes: safe(record.getBigUint64(40, true)),
    at: safe(record.getBigUint64(48, true)),
  };
}

function safe(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new MalformedNpz(`${value} is out of range`);
  return Number(value);
}

function parseMembers(view: DataView, count: number, read: Read): Member[] {
  const members: Member[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + 46 > view.byteLength || view.getUint32(at, true) !== 0x02014b50) {
      throw new MalformedNpz(`its directory ends after ${index} of ${count} arrays`);
    }
    const [nameLength, extraLength] = [view.getUint16(at + 28, true), view.getUint16(at + 30, true)];
    const next = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    if (next > view.byteLength) throw new MalformedNpz(`its directory ends inside array ${index + 1}`);
    const name = new TextDecoder().decode(new Uint8Array(view.buffer, at + 46, nameLength));
    const method = view.getUint16(at + 10, true);
    if (view.getUint16(at + 8, true) & 1) throw new MalformedNpz(`array ${shown(name)} is encrypted`);
    if (method !== 0 && method !== 8) throw new MalformedNpz(`array ${shown(name)} is packed by method ${method}`);
    const sizes = sizesOf(view, at, at + 46 + nameLength, extraLength);
    if (method === 0 ? sizes.packed !== sizes.bytes : sizes.bytes > sizes.packed * expansionMax + 64) {
      throw new MalformedNpz(`array ${shown(name)} claims ${sizes.bytes} bytes in ${sizes.packed}`);
    }
    const local = read(sizes.header, 30);
    if (local.getUint32(0, true) !== 0x04034b50)
      throw new MalformedNpz(`array ${shown(name)} is not where it should be`);
    const data = sizes.header + 30 + local.getUint16(26, true) + local.getUint16(28, true);
    members.push({ name, method, crc: view.getUint32(at + 16, true), ...sizes, data });
    at = next;
  }
  return members;
}

/** Sizes and place of a member, from the ZIP64 field where the short ones are full. */
function sizesOf(
  view: DataView,
  at: number,
  extra: number,
  extraLength: number,
): { packed: number; bytes: number; header: number } {
  const sizes = [view.getUint32(at + 24, true), view.getUint32(at + 20, true), view.getUint32(at + 42, true)];
  for (let field = extra; field + 4 <= extra + extraLength; ) {
    const [kind, length] = [view.getUint16(field, true), view.getUint16(field + 2, true)];
    let value = field + 4;
    if (kind === 1) {
      for (const [index, size] of sizes.entries()) {
        if (size !== 0xffffffff) continue;
        if (value + 8 > field + 4 + length || value + 8 > extra + extraLength)
          throw new MalformedNpz("a ZIP64 field is cut short");
        sizes[index] = safe(view.getBigUint64(value, true));
        value += 8;
      }
    }
    field += 4 + length;
  }
  const [bytes = 0, packed = 0, header = 0] = sizes;
  return { packed, bytes, header };
}

async function* unpacked(path: string, { name, method, crc, packed, bytes, data }: Member): AsyncGenerator<Uint8Array> {
  if (packed === 0) return;
  const source = createReadStream(path, { start: data, end: data + packed - 1 });
  const stream = method === 0 ? source : source.pipe(createInflateRaw());
  source.on("error", (error) => stream.destroy(error));
  let [given, sum] = [0, 0];
  try {
    for await (const piece of stream) {
      if (!(piece instanceof Uint8Array)) throw new TypeError("a byte stream gives bytes");
      given += piece.length;
      if (given > bytes) throw new MalformedNpz(`array ${shown(name)} holds more than the ${bytes} bytes it claims`);
      sum = crc32(piece, sum);
      yield piece;
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && String(error.code).startsWith("Z_")) {
      throw new MalformedNpz(`array ${shown(name)} does not unpack (${error.message})`);
    }
    throw error;
  } finally {
    source.destroy();
    stream.destroy();
  }
  if (given !== bytes) throw new MalformedNpz(`array ${shown(name)} holds ${given} bytes, not the ${bytes} it claims`);
  if (sum !== crc) throw new MalformedNpz(`array ${shown(name)} does not match its checksum`);
}

async function readNpyHeader(path: string, member: Member, name: string): Promise<{ info: TensorInfo; skip: number }> {
  const bytes = Buffer.from(await head(path, member));
  if (bytes.length < 10 || bytes.toString("latin1", 0, 6) !== "\x93NUMPY")
    throw new MalformedNpz(`${shown(name)} is no npy array`);
  const long = bytes[6] !== 1;
  const length = long ? (bytes.length < 12 ? 0 : bytes.readUInt32LE(8)) : bytes.readUInt16LE(8);
  const skip = (long ? 12 : 10) + length;
  if (skip > bytes.length) throw new MalformedNpz(`array ${shown(name)} has a header of ${length} bytes`);
  const text = bytes.toString("latin1", long ? 12 : 10, skip);
  const descr = /'descr': *'([^']{1,20})'/.exec(text)?.[1];
  const fortran = /'fortran_order': *(True|False)/.exec(text)?.[1];
  const dimensions = /'shape': *\(([0-9, L]{0,400})\)/.exec(text)?.[1];
  if (descr === undefined || fortran === undefined || dimensions === undefined) {
    throw new MalformedNpz(
      `array ${shown(name)} is of objects or has a header that is no npy header; save plain numbers`,
    );
  }
  const dtype = Object.hasOwn(formats, descr) ? formats[descr] : undefined;
  if (!dtype) throw new MalformedNpz(`array ${shown(name)} is ${descr}; save it as float32`);
  const shape = dimensions
    .split(",")
    .map((part) => part.trim().replace(/L$/, ""))
    .filter((part) => part !== "")
    .map(Number);
  if (fortran === "True" && shape.length > 1)
    throw new MalformedNpz(`array ${shown(name)} is in Fortran order; save it with np.ascontiguousarray`);
  const needed = shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
  if (needed !== member.bytes - skip) {
    throw new MalformedNpz(
      `array ${shown(name)}: ${dtype} [${shape}] needs ${needed} bytes, there are ${member.bytes - skip}`,
    );
  }
  return { info: { name, dtype, shape }, skip };
}

/** The first bytes of a member: enough for its header. */
async function head(path: string, member: Member): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let got = 0;
  for await (const piece of unpacked(path, member)) {
    parts.push(piece.slice());
    got += piece.length;
    if (got >= npyHeaderMax) break;
  }
  return Buffer.concat(parts);
}
