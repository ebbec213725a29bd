/** Traces: what was dumped compares as its model does, foreign ones compare by their modules, and hostile ones are one line. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleConfig, publishExampleModel } from "../../../test/example-model.ts";
import { encodeHeader } from "../../checkpoint/safetensors-header.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { compare } from "../compare.ts";
import { dump } from "../dump.ts";
import { port } from "../port.ts";
import { openTrace } from "./trace-file.ts";

let root: string;
let checkpoint: string;
let rounded: string;
let prompts: string;
let traceA: string;
let traceB: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  checkpoint = publishExampleModel(join(root, "checkpoints"));
  rounded = join(root, "rounded");
  await port({ source: checkpoint, destination: rounded, format: "bf16", platform: "ascend" });
  prompts = join(root, "prompts.txt");
  writeFileSync(prompts, "Call me Ishmael.\nSome years ago\n");
  [traceA, traceB] = [join(root, "a.safetensors"), join(root, "b.safetensors")];
  await dump({ source: checkpoint, prompts, answerTokens: 6, file: traceA });
  await dump({ source: rounded, prompts, answerTokens: 6, file: traceB });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const run = (a: string, b: string, more: object = {}) => compare({ a, b, answerTokens: 6, ...more });

test("a trace is the same as its model, and two machines' traces say what their models would", async () => {
  const own = await run(traceA, checkpoint, { prompts });
  expect(own).toMatchObject({ verdict: "same", weights: null, a: { kind: "trace", contentOf: "trace file" } });
  const [blind, seen] = [
    await run(traceA, traceB),
    await compare({ a: checkpoint, b: rounded, prompts, answerTokens: 6 }),
  ];
  expect(blind.verdict).toBe("within tolerance");
  expect(seen.verdict).toBe("within tolerance");
  // Each machine wrote its own answers: where those part, the traces have nothing more in common.
  expect(blind.positions).toBeLessThanOrEqual(seen.positions);
  expect(Math.abs(blind.meanKl / seen.meanKl - 1)).toBeLessThan(0.2);
  expect(blind.modules?.map(({ module }) => module)).toEqual(seen.modules?.map(({ module }) => module));
  expect(readdirSync(root).filter((name) => name.includes(".partial") || name.endsWith(".data"))).toEqual([]);
});

test("a trace of another model, of other prompts, of fewer texts, and a file that is there", async () => {
  const other = join(root, "other.safetensors");
  await dump({ source: publishExampleModel(join(root, "other"), { seed: 5 }), prompts, answerTokens: 6, file: other });
  const report = await run(traceA, other);
  expect(report).toMatchObject({ verdict: "different", firstDivergence: "model.embed_tokens" });
  const fewer = join(root, "fewer.txt");
  writeFileSync(fewer, "Another one\n");
  await refused(run(traceA, checkpoint, { prompts: fewer }), /text 1 is not what .* reads in .*fewer\.txt:1/);
  const one = join(root, "one.safetensors");
  await dump({ source: checkpoint, prompts: fewer, answerTokens: 6, file: one });
  await refused(run(traceA, one), /holds 1 texts, .* 2; dump both with the same prompts/);
  await refused(dump({ source: checkpoint, prompts, answerTokens: 6, file: one }), /is there already/);
  await refused(
    dump({ source: traceA, prompts, answerTokens: 6, file: join(root, "x.safetensors") }),
    /cannot be dumped/,
  );
  expect(existsSync(join(root, "x.safetensors"))).toBe(false);
});

test("a layer that is missing, and one of another width", async () => {
  const write = (name: string, shapes: Record<string, [number, number]>): string => {
    const file = join(root, name);
    const infos = Object.entries(shapes).map(([tensor, shape]) => ({ name: tensor, dtype: "F32" as const, shape }));
    const { bytes, header } = encodeHeader(infos);
    writeFileSync(file, Buffer.concat([bytes, Buffer.alloc(header.tensors.at(-1)?.end ?? 0, 1)]));
    return file;
  };
  const whole = write("whole.safetensors", { "model.layers.0": [3, 4], "model.layers.1": [3, 4] });
  await refused(run(whole, write("missing.safetensors", { "model.layers.0": [3, 4] })), /has nothing of layer 1/);
  const wide = write("wide.safetensors", { "model.layers.0": [3, 4], "model.layers.1": [3, 5] });
  await refused(run(whole, wide), /model\.layers\.1 has 5 columns/);
  expect((await run(whole, whole)).verdict).toBe("same");
});

interface ZipEntry {
  readonly name: string;
  readonly data: Buffer;
  readonly deflate?: boolean;
}

/** A ZIP with what the directory says open to lies. */
function zip(entries: readonly ZipEntry[], lie: (directory: Buffer) => void = () => undefined): Buffer {
  const [locals, directories]: [Buffer[], Buffer[]] = [[], []];
  let at = 0;
  for (const { name, data, deflate } of entries) {
    const packed = deflate ? deflateRawSync(data) : data;
    const local = Buffer.alloc(30 + name.length);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    local.write(name, 30);
    const directory = Buffer.alloc(46 + name.length);
    directory.writeUInt32LE(0x02014b50, 0);
    directory.writeUInt16LE(deflate ? 8 : 0, 10);
    directory.writeUInt32LE(crc32(data), 16);
    directory.writeUInt32LE(packed.length, 20);
    directory.writeUInt32LE(data.length, 24);
    directory.writeUInt16LE(name.length, 28);
    directory.writeUInt32LE(at, 42);
    directory.write(name, 46);
    lie(directory);
    locals.push(local, packed);
    directories.push(directory);
    at += local.length + packed.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(
    directories.reduce((sum, one) => sum + one.length, 0),
    12,
  );
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...locals, ...directories, end]);
}

function npy(shape: readonly number[], values: readonly number[], { descr = "<f4", order = "False" } = {}): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const header = Buffer.from(`${text.padEnd(117)}\n`);
  const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  return Buffer.concat([head, header, Buffer.from(Float32Array.from(values).buffer)]);
}

const file = (name: string, content: Buffer): string => {
  const path = join(root, name);
  writeFileSync(path, content);
  return path;
};

test("numpy's own files are read as numpy wrote them", async () => {
  const path = join(root, "numpy.npz");
  const script = `
import numpy as np, sys
x = (np.arange(24, dtype=np.float32) / 7).reshape(1, 6, 4)
np.savez_compressed(sys.argv[1], **{"model.layers.0": x, "model.layers.1": x.astype(np.float16), "tokens": np.arange(6)})`;
  try {
    execFileSync("/usr/bin/python3", ["-c", "import numpy"], { stdio: "ignore" });
  } catch {
    console.log("skipped: no numpy on this machine");
    return;
  }
  execFileSync("/usr/bin/python3", ["-c", script, path]);
  const trace = await openTrace(path);
  const { tokens, tensors } = trace.reading(0);
  expect(tokens).toEqual([0, 1, 2, 3, 4, 5]);
  for (const [name, precision] of [
    ["model.layers.0", 6],
    ["model.layers.1", 2],
  ] as const) {
    const pieces: number[] = [];
    for await (const piece of tensors.get(name)!.pieces(4)) pieces.push(...piece);
    expect(tensors.get(name)).toMatchObject({ rows: 6, width: 4 });
    pieces.forEach((value, index) => {
      expect(value).toBeCloseTo(index / 7, precision);
    });
  }
});

test("an npz is compared like any trace, and one value that differs is found", async () => {
  const values = Array.from({ length: 12 }, (_, index) => index + 1);
  const entries = (last: number): ZipEntry[] => [
    { name: "model.layers.0.npy", data: npy([3, 4], values), deflate: true },
    { name: "model.layers.1.npy", data: npy([3, 4], [...values.slice(0, -1), last]) },
  ];
  const [a, b] = [file("a.npz", zip(entries(12))), file("b.npz", zip(entries(20)))];
  expect((await run(a, a)).verdict).toBe("same");
  const report = await run(a, b);
  expect(report).toMatchObject({ verdict: "different", firstDivergence: "model.layers.1", cause: { layer: 1 } });
  expect(report.modules?.map(({ tokensBeyond }) => tokensBeyond)).toEqual([0, 1]);
});

test("a tensor of more rows or columns than any text or model has is refused before it is read", async () => {
  for (const shape of [[1, 2 ** 23], [2 ** 23]]) {
    const { bytes, header } = encodeHeader([{ name: "model.layers.0", dtype: "F32", shape }]);
    const file = join(root, `large-${shape.length}.safetensors`);
    writeFileSync(file, bytes);
    truncateSync(file, bytes.length + (header.tensors[0]?.end ?? 0));
    await refused(run(file, file), /give at most 4194304 tokens of 4194304 values/);
  }
});

test("hostile files are refused in one line", async () => {
  const fine = { name: "x.npy", data: npy([2], [1, 2]) };
  const zeros = { name: "x.npy", data: Buffer.alloc(100_000), deflate: true };
  const cases: [string, Buffer, RegExp][] = [
    ["empty.npz", Buffer.alloc(0), /no ZIP file/],
    ["noise.npz", Buffer.alloc(500, 7), /no ZIP directory/],
    ["cut.npz", zip([fine]).subarray(40), /cut short|not where it should be|points outside/],
    ["pickle.npz", zip([{ name: "x.npy", data: npy([1], [0], { descr: "|O" }) }]), /is \|O; save it as float32/],
    ["fortran.npz", zip([{ name: "x.npy", data: npy([1, 2], [1, 2], { order: "True" }) }]), /Fortran/],
    ["size.npz", zip([{ name: "x.npy", data: npy([9], [1, 2]) }]), /needs 36 bytes, there are 8/],
    ["twice.npz", zip([fine, fine]), /appears twice/],
    ["name.npz", zip([{ name: "../x", data: Buffer.from("x") }]), /is no \.npy array/],
    ["bomb.npz", zip([zeros], (one) => one.writeUInt32LE(0xfffffff0, 24)), /claims 4294967280 bytes/],
    ["lie.npz", zip([zeros], (one) => one.writeUInt32LE(50, 24)), /holds more than|claims/],
    ["crc.npz", zip([fine], (one) => one.writeUInt32LE(1, 16)), /does not match its checksum/],
    ["method.npz", zip([fine], (one) => one.writeUInt16LE(12, 10)), /packed by method 12/],
    ["secret.npz", zip([fine], (one) => one.writeUInt16LE(1, 8)), /is encrypted/],
    ["overlap.npz", zip([fine, { ...fine, name: "y.npy" }], (one) => one.writeUInt32LE(0, 42)), /reaches into/],
    ["short.safetensors", Buffer.alloc(3), /only 3 bytes/],
    ["long.safetensors", Buffer.alloc(64, 0xff), /header length/],
  ];
  for (const [name, content, why] of cases) await refused(run(file(name, content), traceA), why, name);
  await refused(run(join(root, "absent.npz"), traceA), /cannot be read \(ENOENT\)/);
});

test("500 damaged copies of a good npz: refused in one line or compared, never a crash", async () => {
  const good = zip([{ name: "model.layers.0.npy", data: npy([3, 4], [...Array(12).keys()]), deflate: true }]);
  const path = join(root, "damaged.npz");
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), async (at, value, cut) => {
      const bytes = Buffer.from(good);
      bytes[at] = value;
      writeFileSync(path, cut % 5 === 0 ? bytes.subarray(0, cut) : bytes);
      const error = await run(path, path).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error !== undefined) expect(error).toBeInstanceOf(BadInput);
    }),
    { seed: 11, numRuns: 500 },
  );
});

test("a dumped trace's own document is checked", async () => {
  const bytes = readFileSync(traceA);
  const text = bytes.toString("latin1");
  const vocabulary = `\\"vocab_size\\":${exampleConfig.vocab_size}`;
  expect(text).toContain(vocabulary);
  const changed = Buffer.from(text.replace(vocabulary, vocabulary.replace("260", '"2"')), "latin1");
  const damaged = file("document.safetensors", changed);
  await refused(run(damaged, traceA), /dualgauge metadata|header/);
});

async function refused(promise: Promise<unknown>, why: RegExp, name = ""): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error, name).toBeInstanceOf(BadInput);
  if (!(error instanceof BadInput)) return;
  expect(error.message, name).toMatch(why);
  expect(error.message.split("\n")).toHaveLength(1);
}
