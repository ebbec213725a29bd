/** The safetensors format: what was written is read, and every way in which a file may lie is refused by name. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { type Dtype, dtypeBytes, float32View, type Tensor } from "./dtype.ts";
import { decodeSafetensors, openSafetensors } from "./safetensors-file.ts";
import { MalformedSafetensors } from "./safetensors-header.ts";
import { safetensorsPieces } from "./safetensors-write.ts";

const folder = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function concatenate(pieces: Iterable<Uint8Array>): Uint8Array {
  return new Uint8Array(Buffer.concat([...pieces]));
}

function encode(tensors: readonly Tensor[], metadata?: Record<string, string>): Uint8Array {
  const bytesOf = new Map(tensors.map((tensor) => [tensor.name, tensor.bytes]));
  return concatenate(safetensorsPieces(tensors, ({ name }) => [bytesOf.get(name) ?? new Uint8Array()], metadata));
}

/** A file with a header of one's own. */
function forge(header: string, dataBytes: number, length = Buffer.byteLength(header)): Uint8Array {
  const file = Buffer.alloc(8 + Buffer.byteLength(header) + dataBytes);
  file.writeBigUInt64LE(BigInt(length));
  file.write(header, 8);
  return new Uint8Array(file);
}

const dtypes = fc.constantFrom<Dtype[]>(...(Object.keys(dtypeBytes) as Dtype[]));
const tensors = fc.uniqueArray(
  fc
    .record({
      name: fc.string({ unit: "binary", maxLength: 20 }).filter((name) => !/^__(proto|metadata)__$/.test(name)),
      dtype: dtypes,
      shape: fc.array(fc.nat(4), { maxLength: 3 }),
      seed: fc.nat(255),
    })
    .map(({ name, dtype, shape, seed }) => {
      const bytes = shape.reduce((product, size) => product * size, dtypeBytes[dtype]);
      return { name, dtype, shape, bytes: Uint8Array.from({ length: bytes }, (_, index) => (index * 31 + seed) & 255) };
    }),
  { selector: ({ name }) => name, maxLength: 8 },
);

describe("round trip", () => {
  test("any tensors, in memory and from a file", () =>
    fc.assert(
      fc.property(
        tensors,
        fc.dictionary(
          fc.string().filter((key) => key !== "__proto__"),
          fc.string(),
        ),
        (given, metadata) => {
          const file = encode(given, metadata);
          const path = join(folder, "round-trip.safetensors");
          writeFileSync(path, file);
          const opened = openSafetensors(path);
          const decoded = decodeSafetensors(file);
          expect(opened.metadata).toEqual(new Map(Object.entries(metadata)));
          expect([...opened.tensors.keys()].sort()).toEqual(given.map(({ name }) => name).sort());
          for (const tensor of given) {
            expect(opened.read(tensor.name)).toEqual(tensor);
            expect(decoded.get(tensor.name)).toEqual(tensor);
            const pieces = Array.from(opened.chunks(tensor.name, 5), (piece) => piece.slice());
            expect(concatenate(pieces)).toEqual(tensor.bytes);
          }
          opened.close();
        },
      ),
      { seed: 3, numRuns: 200 },
    ));

  test("tensors lie on their element size, so that views need no copy", () => {
    const file = encode([
      { name: "a", dtype: "I8", shape: [3], bytes: new Uint8Array(3) },
      { name: "b", dtype: "F32", shape: [2], bytes: new Uint8Array(new Float32Array([1.5, -2]).buffer) },
    ]);
    const tensor = decodeSafetensors(file).get("b")!;
    expect(tensor.bytes.buffer).toBe(file.buffer);
    expect([...float32View(tensor)]).toEqual([1.5, -2]);
  });

  test("a scalar and an empty tensor are legal", () => {
    const given: Tensor[] = [
      { name: "scalar", dtype: "BF16", shape: [], bytes: new Uint8Array([1, 2]) },
      { name: "empty", dtype: "F32", shape: [3, 0, 2 ** 50, 2 ** 50], bytes: new Uint8Array() },
    ];
    expect([...decodeSafetensors(encode(given)).values()].map(({ shape }) => shape.length).sort()).toEqual([0, 4]);
  });

  test("too few bytes, a reserved name and a name used twice are refused on writing", () => {
    const tensor: Tensor = { name: "a", dtype: "F32", shape: [2], bytes: new Uint8Array(4) };
    expect(() => encode([tensor])).toThrow("a: 4 bytes given, 8 needed");
    expect(() => encode([{ ...tensor, name: "__metadata__" }])).toThrow("reserved");
    expect(() => encode([tensor, tensor])).toThrow("used twice");
  });
});

const entry = (dtype: string, shape: string, offsets: string): string =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
const good = entry("F32", "[2]", "[0,8]");

describe("hostile files", () => {
  test.each<[string, Uint8Array, RegExp]>([
    ["nothing", new Uint8Array(), /only 0 bytes/],
    ["seven bytes", new Uint8Array(7), /only 7 bytes/],
    ["header longer than the file", forge("{}", 0, 3), /longer than the file/],
    ["header of 2^60 bytes", forge("{}", 0, 2 ** 60), /more than the format's/],
    ["header of 2^63 bytes", Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 128, 123, 125]), /more than the format's/],
    ["not JSON", forge("hello", 0), /expected "\{"/],
    ["not UTF-8", Uint8Array.from([2, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe]), /not UTF-8/],
    ["header cut short", forge('{"a":{"dtype"', 0), /expected ":"/],
    ["nested 100,000 deep", forge(`{"a":${"[".repeat(100_000)}`, 0), /expected "\{"/],
    ["nested 100,000 deep in a shape", forge(`{"a":{"shape":${"[".repeat(100_000)}`, 0), /expected an integer/],
    ["text after the header", forge(`{"a":${good}} x`, 8), /expected the end/],
    ["duplicate name", forge(`{"a":${good},"a":${good}}`, 8), /"a": appears twice/],
    ["duplicate name, spelt otherwise", forge(`{"a":${good},"\\u0061":${good}}`, 8), /"a": appears twice/],
    ["__proto__", forge(`{"__proto__":${good}}`, 8), /"__proto__": is a reserved name/],
    ["duplicate key", forge('{"a":{"dtype":"F32","dtype":"F16"}}', 8), /"a": has dtype twice/],
    ["unknown key", forge('{"a":{"dtyp":"F32"}}', 8), /unknown key "dtyp"/],
    ["missing key", forge('{"a":{"dtype":"F32","shape":[2]}}', 8), /needs dtype, shape and data_offsets/],
    ["unknown dtype", forge(`{"a":${entry("F33", "[2]", "[0,8]")}}`, 8), /unknown dtype "F33"/],
    ["dtype by prototype", forge(`{"a":${entry("constructor", "[2]", "[0,8]")}}`, 8), /unknown dtype/],
    ["negative offset", forge(`{"a":${entry("F32", "[2]", "[-8,0]")}}`, 8), /-8 is out of range/],
    ["negative size", forge(`{"a":${entry("F32", "[-2]", "[0,8]")}}`, 8), /-2 is out of range/],
    ["backward range", forge(`{"a":${entry("F32", "[2]", "[8,0]")}}`, 8), /are no range/],
    ["three offsets", forge(`{"a":${entry("F32", "[2]", "[0,8,9]")}}`, 8), /are no range/],
    ["fraction", forge(`{"a":${entry("F32", "[2.0]", "[0,8]")}}`, 8), /expected "\]"/],
    ["above 2^53", forge(`{"a":${entry("F32", "[9007199254740993]", "[0,8]")}}`, 8), /out of range/],
    [
      "overflowed product",
      forge(`{"a":${entry("F32", "[4294967296,4294967296]", "[0,0]")}}`, 0),
      /than can be counted/,
    ],
    ["shape against bytes", forge(`{"a":${entry("F32", "[3]", "[0,8]")}}`, 8), /needs 12 bytes, data_offsets give 8/],
    ["dtype against bytes", forge(`{"a":${entry("F64", "[2]", "[0,8]")}}`, 8), /needs 16 bytes, data_offsets give 8/],
    ["overlap", forge(`{"a":${good},"b":${entry("F32", "[2]", "[4,12]")}}`, 12), /"b": begins at 4, inside/],
    ["hole", forge(`{"a":${good},"b":${entry("F32", "[1]", "[12,16]")}}`, 16), /"b": begins at 12, leaving a hole/],
    ["data cut short", forge(`{"a":${good}}`, 7), /cut short: tensors need 8 bytes/],
    ["bytes too many", forge(`{"a":${good}}`, 9), /too long/],
    ["unended string of 4 MB", forge(`{"${"a".repeat(4 << 20)}`, 0), /expected a string/],
    ["100 dimensions", forge(`{"a":${entry("F32", `[${"1,".repeat(99)}1]`, "[0,4]")}}`, 4), /more than 64 dimensions/],
  ])("%s", (_, file, why) => {
    const path = join(folder, "hostile.safetensors");
    writeFileSync(path, file);
    for (const read of [() => decodeSafetensors(file), () => openSafetensors(path)]) {
      expect(read).toThrow(MalformedSafetensors);
      expect(read).toThrow(why);
    }
  });

  test("no mutation of a valid header crashes, hangs or changes what is read unnoticed by its own reading", () => {
    const file = encode([
      { name: "a.weight", dtype: "F32", shape: [2, 2], bytes: new Uint8Array(16).fill(1) },
      { name: "b.weight", dtype: "BF16", shape: [3], bytes: new Uint8Array(6).fill(2) },
    ]);
    const headerEnd = file.length - 22;
    fc.assert(
      fc.property(fc.nat(headerEnd - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const mutated = file.slice();
        mutated[at]! ^= flip;
        try {
          // What a mutated header still allows are names, dtypes of one width and splits of one size: never other bytes in all.
          const bytes = [...decodeSafetensors(mutated).values()].reduce((sum, tensor) => sum + tensor.bytes.length, 0);
          expect(bytes).toBe(22);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedSafetensors);
        }
      }),
      { seed: 5, numRuns: 2000 },
    );
  });
});
