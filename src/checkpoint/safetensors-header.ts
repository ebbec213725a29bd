/**
 * The header of a safetensors file: what tensors there are and where their bytes lie.
 * Knows: the header's grammar, its limits and every way in which it may lie. Does not know: files.
 * Source: safetensors README and `safetensors/src/tensor.rs` (read 2026-11-24): u64 length, JSON, then bytes without holes.
 */
import { dtypeBytes, isDtype, type TensorInfo, tensorBytes } from "./dtype.ts";

/** The reference implementation's limit on the JSON part. */
export const headerBytesMax = 100_000_000;

/** Where a tensor lies; `begin` and `end` count from the first byte after the header. */
export interface TensorEntry extends TensorInfo {
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** Sorted by `begin`. */
  readonly tensors: readonly TensorEntry[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** What is wrong with a safetensors file, and at which tensor where one is to blame. */
export class MalformedSafetensors extends Error {
  override readonly name = "MalformedSafetensors";
  readonly tensor: string | undefined;

  constructor(why: string, tensor?: string) {
    super(tensor === undefined ? why : `tensor ${JSON.stringify(tensor.slice(0, 200))}: ${why}`);
    this.tensor = tensor;
  }
}

/**
 * Lays tensors out, larger elements first so that each lies on its own size, and writes length and JSON, padded to 8 bytes.
 * RangeError for two tensors of one name or a name that the format or JavaScript reserves.
 */
export function encodeHeader(
  tensors: readonly TensorInfo[],
  metadata: Readonly<Record<string, string>> = {},
): { bytes: Uint8Array; header: SafetensorsHeader } {
  const ordered = [...tensors].sort(
    (a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
  return encodeOrderedHeader(ordered, metadata);
}

/** As `encodeHeader`, with the tensors in the order given. */
export function encodeOrderedHeader(
  ordered: readonly TensorInfo[],
  metadata: Readonly<Record<string, string>> = {},
): { bytes: Uint8Array; header: SafetensorsHeader } {
  const entries: TensorEntry[] = [];
  const lines: string[] = [];
  if (Object.keys(metadata).length > 0) lines.push(`"__metadata__":${JSON.stringify(metadata)}`);
  const seen = new Set(["__metadata__", "__proto__"]);
  let begin = 0;
  for (const { name, dtype, shape } of ordered) {
    if (seen.has(name)) throw new RangeError(`tensor name ${name} is reserved or used twice`);
    seen.add(name);
    const end = begin + (tensorBytes(dtype, shape) ?? Number.NaN);
    if (!Number.isSafeInteger(end)) throw new RangeError(`tensor ${name} is too large`);
    entries.push({ name, dtype, shape, begin, end });
    lines.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`);
    begin = end;
  }
  const json = new TextEncoder().encode(`{${lines.join(",")}}`);
  const padded = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + padded).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(padded), true);
  bytes.set(json, 8);
  return { bytes, header: { tensors: entries, metadata: new Map(Object.entries(metadata)) } };
}

/** Length of the JSON part from the file's first 8 bytes, checked against the limit and the file's size. */
export function headerLength(firstBytes: Uint8Array, fileBytes: number): number {
  if (fileBytes < 8 || firstBytes.length < 8) throw new MalformedSafetensors(`only ${fileBytes} bytes, no header`);
  const length = new DataView(firstBytes.buffer, firstBytes.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(headerBytesMax)) {
    throw new MalformedSafetensors(`header length ${length} is more than the format's ${headerBytesMax}`);
  }
  if (Number(length) > fileBytes - 8) {
    throw new MalformedSafetensors(`header length ${length} is longer than the file of ${fileBytes} bytes`);
  }
  return Number(length);
}

/** Reads the JSON part; `dataBytes` is what follows it in the file. MalformedSafetensors names the tensor to blame. */
export function parseHeader(json: Uint8Array, dataBytes: number): SafetensorsHeader {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(json);
  } catch {
    throw new MalformedSafetensors("header is not UTF-8");
  }
  const scanner = new HeaderScanner(text);
  const tensors: TensorEntry[] = [];
  const seen = new Set<string>();
  let metadata = new Map<string, string>();
  scanner.object((name) => {
    if (seen.has(name)) throw new MalformedSafetensors("appears twice in the header", name);
    seen.add(name);
    if (name === "__proto__") throw new MalformedSafetensors("is a reserved name", name);
    if (name === "__metadata__") metadata = scanner.strings();
    else tensors.push(checkedEntry(name, scanner.entry(name)));
  });
  scanner.end();
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of tensors) {
    if (begin < covered) throw new MalformedSafetensors(`begins at ${begin}, inside the tensor before it`, name);
    if (begin > covered) throw new MalformedSafetensors(`begins at ${begin}, leaving a hole after ${covered}`, name);
    covered = end;
  }
  if (covered !== dataBytes) {
    const what = covered > dataBytes ? "cut short" : "too long";
    throw new MalformedSafetensors(
      `file is ${what}: tensors need ${covered} bytes after the header, there are ${dataBytes}`,
    );
  }
  return { tensors, metadata };
}

interface RawEntry {
  dtype: string | undefined;
  shape: number[] | undefined;
  offsets: number[] | undefined;
}

function checkedEntry(name: string, { dtype, shape, offsets }: RawEntry): TensorEntry {
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    throw new MalformedSafetensors("needs dtype, shape and data_offsets", name);
  }
  if (!isDtype(dtype)) throw new MalformedSafetensors(`unknown dtype ${JSON.stringify(dtype.slice(0, 40))}`, name);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2 || begin > end) {
    throw new MalformedSafetensors(`data_offsets [${offsets.slice(0, 4).join(", ")}] are no range`, name);
  }
  const bytes = tensorBytes(dtype, shape);
  if (bytes !== end - begin) {
    const need = bytes === undefined ? "more bytes than can be counted" : `${bytes} bytes`;
    throw new MalformedSafetensors(
      `${dtype} [${shape.join(", ")}] needs ${need}, data_offsets give ${end - begin}`,
      name,
    );
  }
  return { name, dtype, shape, begin, end };
}

/**
 * Reads exactly the header's grammar. Not JSON.parse, because that keeps the last of two equal keys, rounds large numbers
 * and builds whatever depth it is given.
 */
class HeaderScanner {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  object(member: (key: string) => void): void {
    this.#expect("{");
    if (this.#take("}")) return;
    do {
      const key = this.#string();
      this.#expect(":");
      member(key);
    } while (this.#take(","));
    this.#expect("}");
  }

  strings(): Map<string, string> {
    const strings = new Map<string, string>();
    this.object((key) => {
      if (strings.has(key))
        throw new MalformedSafetensors(`__metadata__ has ${JSON.stringify(key.slice(0, 200))} twice`);
      strings.set(key, this.#string());
    });
    return strings;
  }

  entry(name: string): RawEntry {
    const entry: RawEntry = { dtype: undefined, shape: undefined, offsets: undefined };
    const once = (value: unknown, key: string): void => {
      if (value !== undefined) throw new MalformedSafetensors(`has ${key} twice`, name);
    };
    this.object((key) => {
      if (key === "dtype") {
        once(entry.dtype, key);
        entry.dtype = this.#string();
      } else if (key === "shape") {
        once(entry.shape, key);
        entry.shape = this.#integers(name);
      } else if (key === "data_offsets") {
        once(entry.offsets, key);
        entry.offsets = this.#integers(name);
      } else throw new MalformedSafetensors(`unknown key ${JSON.stringify(key.slice(0, 40))}`, name);
    });
    return entry;
  }

  end(): void {
    this.#space();
    if (this.#at < this.#text.length) throw this.#wrong("the end");
  }

  #integers(name: string): number[] {
    const integers: number[] = [];
    this.#expect("[");
    if (this.#take("]")) return integers;
    do {
      this.#space();
      const digits = this.#match(/-?\d{1,40}/y);
      const value = Number(digits ?? Number.NaN);
      if (digits === undefined || /^-?0\d/.test(digits)) throw this.#wrong("an integer");
      if (value < 0 || !Number.isSafeInteger(value)) throw new MalformedSafetensors(`${digits} is out of range`, name);
      integers.push(value);
      if (integers.length > 64) throw new MalformedSafetensors("has more than 64 dimensions", name);
    } while (this.#take(","));
    this.#expect("]");
    return integers;
  }

  #string(): string {
    this.#space();
    const literal = this.#text.slice(this.#at, this.#stringEnd());
    try {
      const value: unknown = JSON.parse(literal);
      if (typeof value === "string") {
        this.#at += literal.length;
        return value;
      }
    } catch {
      // An illegal escape or a raw control character: told below with its place.
    }
    throw this.#wrong("a string");
  }

  /** Index after the closing quote. A loop, because a pattern would put a hostile name of megabytes on the stack. */
  #stringEnd(): number {
    if (this.#text[this.#at] !== '"') return this.#at;
    for (let at = this.#at + 1; at < this.#text.length; at++) {
      const character = this.#text[at];
      if (character === '"') return at + 1;
      if (character === "\\") at++;
    }
    return this.#text.length;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #space(): void {
    while (" \t\r\n".includes(this.#text[this.#at] ?? "x")) this.#at++;
  }

  #take(character: string): boolean {
    this.#space();
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #expect(character: string): void {
    if (!this.#take(character)) throw this.#wrong(JSON.stringify(character));
  }

  #wrong(expected: string): MalformedSafetensors {
    return new MalformedSafetensors(`header is not valid at character ${this.#at}: expected ${expected}`);
  }
}
