/**
 * Which stored weights of two models are equal, which are one another's rounding, and which are neither.
 * Knows: float32, bfloat16, signed bytes by row, FP8 by block. Does not know: what the difference does to an answer.
 */
import { createHash } from "node:crypto";
import { fromBfloat16, toBfloat16 } from "../checkpoint/bfloat16.ts";
import type { Dtype } from "../checkpoint/dtype.ts";
import { float32Of, type OpenedModel } from "./open-model.ts";
import { diagnoseWeight, type Looks } from "./parity/diagnose-weight.ts";
import { coarser, type NumberFormat } from "./parity/number-format.ts";

export interface WeightDifference {
  readonly tensor: string;
  /** ‖a − b‖ / ‖a‖; Infinity where a is all zero or a value is not a number. */
  readonly relativeError: number;
  /** What kind of defect it looks like. */
  readonly looks: Looks;
}

export interface WeightComparison {
  readonly equal: number;
  /** Tensors that are the other's rounded: to bfloat16 to the bit, or to codes by half a step of their scale. */
  readonly rounded: number;
  /** The format whose rounding parts the sides most; fp32 where no tensor is rounded. What is stored in codes and read as them adds none. */
  readonly roundedTo: NumberFormat;
  /** The rest, largest error first. */
  readonly different: readonly WeightDifference[];
}

/** Compares the parameters that both have; one tensor of each is in memory at a time. */
export function compareWeights(a: OpenedModel, b: OpenedModel): WeightComparison {
  const different: WeightDifference[] = [];
  const experts: { name: string; a: string; b: string }[] = [];
  let [equal, rounded] = [0, 0];
  let roundedTo: NumberFormat = "fp32";
  const inB = new Map(b.parameters.map((info) => [info.name, info]));
  for (const { name, dtype, shape } of a.parameters) {
    const other = inB.get(name);
    if (!other || other.shape.join() !== shape.join()) {
      const text = other ? `is [${shape}] and [${other.shape}]` : "is not on side B";
      different.push({ tensor: name, relativeError: Number.POSITIVE_INFINITY, looks: { reason: "weights", text } });
      continue;
    }
    const [valuesA, valuesB] = [float32Of(a, name), float32Of(b, name)];
    const format = roundingOf(valuesA, valuesB, { shape, formats: [dtype, other.dtype] });
    if (isSame(valuesA, valuesB)) equal++;
    else if (format) {
      rounded++;
      roundedTo = coarser(roundedTo, format);
    } else {
      const looks = diagnoseWeight(name, valuesA, valuesB, shape);
      different.push({ tensor: name, relativeError: relativeError(valuesA, valuesB), looks });
      if (/\.experts\.\d+\./.test(name)) experts.push({ name, a: digestOf(valuesA), b: digestOf(valuesB) });
    }
  }
  nameSwaps(different, experts);
  different.sort((x, y) => y.relativeError - x.relativeError);
  return { equal, rounded, roundedTo, different };
}

/** The format that makes one tensor of two formats the other: bfloat16 to the bit, or within half a step of the codes; undefined where none does. */
function roundingOf(
  a: Float32Array,
  b: Float32Array,
  { shape, formats }: { shape: readonly number[]; formats: readonly [Dtype, Dtype] },
): NumberFormat | undefined {
  if (formats[0] === formats[1]) return undefined;
  if (isSame(rounding(a), rounding(b))) return "bf16";
  const columns = shape.at(-1) ?? 1;
  const [bytes, codes] = [formats.includes("I8"), formats.includes("F8_E4M3")];
  if (bytes && isWithinSteps(a, b, { columns, bytes, codes: false })) return "w8a8";
  return codes && isWithinSteps(a, b, { columns, bytes, codes }) ? "fp8" : undefined;
}

/** bfloat16's half step, which the source of the codes or the other side may have been rounded by. */
const bfloat16Step = 2 ** -8;
/** Half a step of 254 over a row's range. */
const signedByteStep = 0.5 / 127;
/** Half a step of E4M3's three bits of mantissa; below its smallest normal number the step is one of 2^-9 in 448. */
const fp8Step = 2 ** -4;
const fp8Least = 2 ** -9 / 448;

function isWithinSteps(
  a: Float32Array,
  b: Float32Array,
  { columns, bytes, codes }: { columns: number; bytes: boolean; codes: boolean },
): boolean {
  const ofRow = bfloat16Step + (bytes ? signedByteStep : 0) + (codes ? fp8Least : 0);
  const ofValue = codes ? fp8Step : 0;
  for (let row = 0; row < a.length; row += columns) {
    let largest = 0;
    for (let at = row; at < row + columns; at++) largest = Math.max(largest, Math.abs(a[at]!), Math.abs(b[at]!));
    for (let at = row; at < row + columns; at++) {
      // Written so that a NaN is beyond every step.
      if (!(Math.abs(a[at]! - b[at]!) <= ofRow * largest + ofValue * Math.max(Math.abs(a[at]!), Math.abs(b[at]!))))
        return false;
    }
  }
  return true;
}

/** Says of an expert's tensor that holds another expert's weights whose they are. */
function nameSwaps(different: WeightDifference[], experts: readonly { name: string; a: string; b: string }[]): void {
  const owner = new Map(experts.map(({ name, a }) => [`${familyOf(name)}/${a}`, name]));
  for (const { name, b } of experts) {
    const from = owner.get(`${familyOf(name)}/${b}`);
    const index = different.findIndex(({ tensor }) => tensor === name);
    if (from === undefined || index === -1) continue;
    const expert = /\.experts\.(\d+)\./.exec(from)?.[1];
    different[index] = {
      ...different[index]!,
      looks: { reason: "expert", text: `holds the weights of expert ${expert}` },
    };
  }
}

const familyOf = (name: string): string => name.replace(/\.experts\.\d+\./, ".experts.*.");

/** Of the values as bfloat16, so that an expert is known in either format. */
const digestOf = (values: Float32Array): string =>
  createHash("sha256")
    .update(bytesOf(rounding(values)))
    .digest("hex");

function rounding(values: Float32Array): Float32Array {
  return fromBfloat16(toBfloat16(values));
}

function isSame(a: Float32Array, b: Float32Array): boolean {
  return Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function relativeError(a: Float32Array, b: Float32Array): number {
  let [squares, squaresOfDifference] = [0, 0];
  for (let index = 0; index < a.length; index++) {
    squares += a[index]! ** 2;
    squaresOfDifference += (a[index]! - b[index]!) ** 2;
  }
  const error = Math.sqrt(squaresOfDifference / squares);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}
