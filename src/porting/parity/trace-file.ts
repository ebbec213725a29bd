/**
 * A dumped trace as a side of a comparison: what a model made of given texts, on whatever machine that was.
 * Knows: safetensors and npz, our names and those of anybody's hooks. Does not know: what it is compared with.
 *
 * A trace of `dualgauge compare A --dump` names tensors `prompt.<i>.<module>` and tokens `prompt.<i>.tokens`, and holds a JSON document
 * in its metadata. Any other file is one text: its arrays are modules' outputs [tokens, width] (leading sizes of 1 are dropped).
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import * as z from "zod";
import { fromBfloat16 } from "../../checkpoint/bfloat16.ts";
import { type Dtype, dtypeBytes, type TensorInfo } from "../../checkpoint/dtype.ts";
import { openSafetensors } from "../../checkpoint/safetensors-file.ts";
import { MalformedSafetensors } from "../../checkpoint/safetensors-header.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { MalformedNpz, openNpz } from "./npz-file.ts";
import type { Reading, RowTensor } from "./reading.ts";

/** Key of the metadata that holds a trace's document. */
export const traceKey = "dualgauge";

export const TraceDocument = z.strictObject({
  v: z.literal(1),
  /** What was dumped, as its user called it. */
  source: z.string().max(4096),
  contentSha256: z.string().regex(/^[0-9a-f]{64}$/),
  computedBy: z.string().max(1000),
  format: z.enum(["fp32", "bf16", "fp8", "w8a8"]),
  config: DeepseekConfig,
  /** Whether the side gave the same bits when it was asked the first text again. */
  repeatable: z.boolean(),
  prompts: z
    .array(z.strictObject({ where: z.string().max(4096), promptTokens: z.int().positive(), truncated: z.boolean() }))
    .min(1)
    .max(1_000_000),
});
export type TraceDocument = z.infer<typeof TraceDocument>;

export interface Trace {
  readonly path: string;
  /** Of the file. */
  readonly sha256: string;
  /** Absent for a trace of somebody else's making. */
  readonly document: TraceDocument | undefined;
  readonly texts: number;
  /** What the trace holds of text `index`; tensors are read when they are asked for. */
  reading(index: number): Reading;
  close(): void;
}

export const isTraceFile = (given: string): boolean => /\.(safetensors|npz)$/i.test(given);

interface Arrays {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: ReadonlyMap<string, string>;
  bytes(name: string): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  close(): void;
}

/** BadInput, one line, for whatever is wrong with the file. */
export async function openTrace(given: string): Promise<Trace> {
  const path = resolve(given);
  const arrays = await refusing(given, () => openArrays(path));
  try {
    const document = documentOf(given, arrays.metadata.get(traceKey));
    const texts = document ? document.prompts.length : 1;
    const readings: Reading[] = [];
    for (let index = 0; index < texts; index++) readings.push(await readingOf(given, arrays, document, index));
    return {
      ...{ path, document, texts, sha256: hashOf(path) },
      reading: (index) => readings[index]!,
      close: () => arrays.close(),
    };
  } catch (error) {
    arrays.close();
    throw error;
  }
}

async function openArrays(path: string): Promise<Arrays> {
  if (/\.npz$/i.test(path)) {
    const { tensors, bytes } = await openNpz(path);
    return { tensors, bytes, metadata: new Map(), close: () => undefined };
  }
  const { tensors, metadata, chunks, close } = openSafetensors(path);
  return { tensors, metadata, bytes: (name) => chunks(name, 1 << 20), close };
}

async function refusing<T>(given: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw explained(given, error);
  }
}

function explained(given: string, error: unknown): unknown {
  if (error instanceof MalformedSafetensors || error instanceof MalformedNpz) {
    return new BadInput(`${given}: ${error.message}; dump or copy it again`);
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (/^E[A-Z]+$/.test(code))
    return new BadInput(`${given}: cannot be read (${code}); give a .safetensors or .npz file`);
  return error;
}

function documentOf(given: string, text: string | undefined): TraceDocument | undefined {
  if (text === undefined) return undefined;
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BadInput(`${given}: its ${traceKey} metadata is no JSON; dump it again`);
  }
  const parsed = TraceDocument.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new BadInput(`${given}: ${traceKey} metadata: ${issue?.path.join(".")}: ${issue?.message}; dump it again`);
}

const tokensMax = 1 << 22;
/** A row is held whole: 16 MiB of float32, thirty times a vocabulary of 129,280. */
const rowElementsMax = 1 << 22;

async function readingOf(
  given: string,
  arrays: Arrays,
  document: TraceDocument | undefined,
  index: number,
): Promise<Reading> {
  const prefix = document ? `prompt.${index}.` : "";
  const own = [...arrays.tensors.values()].filter(({ name }) => name.startsWith(prefix));
  const tokenNames = document ? [`${prefix}tokens`] : ["tokens", "input_ids"];
  const ids = own.find(({ name }) => tokenNames.includes(name));
  const tokens = ids ? await readTokens(given, arrays, ids) : [];
  if (document && tokens.length === 0) throw new BadInput(`${given}: ${prefix}tokens is missing; dump it again`);
  const promptTokens = document?.prompts[index]?.promptTokens ?? Math.max(1, tokens.length);
  if (promptTokens > Math.max(1, tokens.length)) {
    throw new BadInput(
      `${given}: ${prefix}tokens has ${tokens.length} tokens, its prompt alone ${promptTokens}; dump it again`,
    );
  }
  const tensors = new Map<string, RowTensor>();
  for (const info of own) {
    if (info === ids) continue;
    const name = info.name.slice(prefix.length);
    const tensor = rowsOf(given, arrays, info);
    const expected = name.startsWith("decode.") ? tokens.length - promptTokens + 1 : tokens.length;
    if (document && tensor.rows !== expected) {
      throw new BadInput(`${given}: ${info.name} has ${tensor.rows} rows for ${expected} tokens; dump it again`);
    }
    tensors.set(name === "lm_head" ? "logits" : name, tensor);
  }
  if (tensors.size === 0) throw new BadInput(`${given}: holds no tensor; dump at least logits`);
  return { tokens, promptTokens, tensors };
}

async function readTokens(given: string, arrays: Arrays, info: TensorInfo): Promise<number[]> {
  const count = info.shape.reduce((product, size) => product * size, 1);
  if (!["I32", "I64", "U32"].includes(info.dtype) || count > tokensMax) {
    throw new BadInput(`${given}: ${info.name} is ${info.dtype} of ${count}; give at most ${tokensMax} whole numbers`);
  }
  const tokens: number[] = [];
  await refusing(given, async () => {
    for await (const piece of wholeElements(arrays.bytes(info.name), dtypeBytes[info.dtype])) {
      const view = new DataView(piece.buffer, piece.byteOffset, piece.byteLength);
      for (let at = 0; at < piece.length; at += dtypeBytes[info.dtype]) {
        tokens.push(info.dtype === "I64" ? Number(view.getBigInt64(at, true)) : view.getInt32(at, true));
      }
    }
  });
  return tokens;
}

/** A stored array as rows of its last size; any number format that widens to float32. */
function rowsOf(given: string, arrays: Arrays, { name, dtype, shape }: TensorInfo): RowTensor {
  const sizes = [...shape];
  while (sizes.length > 2 && sizes[0] === 1) sizes.shift();
  const width = sizes.length === 0 ? 1 : sizes.length === 1 ? 1 : sizes.at(-1)!;
  const rows = sizes.length === 1 ? sizes[0]! : sizes.slice(0, -1).reduce((product, size) => product * size, 1);
  if (rows > tokensMax || width > rowElementsMax) {
    throw new BadInput(
      `${given}: ${name} is [${rows}, ${width}]; give at most ${tokensMax} tokens of ${rowElementsMax} values`,
    );
  }
  const convert = converters[dtype];
  if (!convert) throw new BadInput(`${given}: ${name} is ${dtype}; dump it as F32, BF16 or F16`);
  return {
    rows,
    width,
    async *pieces(rowsAtOnce) {
      if (rows === 0 || width === 0) return;
      try {
        for await (const piece of wholeElements(arrays.bytes(name), dtypeBytes[dtype] * width, rowsAtOnce)) {
          yield convert(piece);
        }
      } catch (error) {
        throw explained(given, error);
      }
    },
  };
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const converters: Partial<Record<Dtype, (bytes: Uint8Array) => Float32Array>> = {
  F32: (bytes) => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4),
  BF16: (bytes) => fromBfloat16(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)),
  F16: (bytes) =>
    Float32Array.from({ length: bytes.length / 2 }, (_, at) => fromHalf(viewOf(bytes).getUint16(at * 2, true))),
  F64: (bytes) => Float32Array.from(new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8)),
  I32: (bytes) => Float32Array.from(new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)),
  I64: (bytes) => Float32Array.from(new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8), Number),
};

function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}

/** `pieces` cut anew into `count` elements of `elementBytes` each, in memory of their own. */
async function* wholeElements(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  elementBytes: number,
  count = Math.max(1, Math.floor(65_536 / elementBytes)),
): AsyncGenerator<Uint8Array> {
  const size = elementBytes * count;
  let [held, filled] = [new Uint8Array(size), 0];
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + size - filled);
      held.set(part, filled);
      filled += part.length;
      at += part.length;
      if (filled < size) continue;
      yield held;
      [held, filled] = [new Uint8Array(size), 0];
    }
  }
  if (filled > 0) yield held.subarray(0, filled);
}

export function hashOf(path: string): string {
  const hash = createHash("sha256");
  const buffer = Buffer.alloc(1 << 20);
  const fd = openSync(path, "r");
  try {
    for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer)) hash.update(buffer.subarray(0, got));
  } finally {
    closeSync(fd);
  }
  return hash.digest("hex");
}
