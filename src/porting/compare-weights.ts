/**
 * Which stored weights of two models are equal, which are one another's rounding, and which are neither.
 * Knows: float32 and bfloat16. Does not know: what the difference does to an answer.
 */
import { createHash } from "node:crypto";
import { fromBfloat16, toBfloat16 } from "../checkpoint/bfloat16.ts";
import { float32Of, type OpenedModel } from "./open-model.ts";
import { diagnoseWeight, type Looks } from "./parity/diagnose-weight.ts";

export interface WeightDifference {
  readonly tensor: string;
  /** ‖a − b‖ / ‖a‖; Infinity where a is all zero or a value is not a number. */
  readonly relativeError: number;
  /** What kind of defect it looks like. */
  readonly looks: Looks;
}

export interface WeightComparison {
  readonly equal: number;
  /** Tensors that are the other's rounded: to bfloat16 to the bit, or to signed bytes by half a step of their row's scale. */
  readonly rounded: number;
  /** The rest, largest error first. */
  readonly different: readonly WeightDifference[];
}

/** Compares the parameters that both have; one tensor of each is in memory at a time. */
export function compareWeights(a: OpenedModel, b: OpenedModel): WeightComparison {
  const different: WeightDifference[] = [];
  const experts: { name: string; a: string; b: string }[] = [];
  let [equal, rounded] = [0, 0];
  const inB = new Map(b.parameters.map((info) => [info.name, info]));
  for (const { name, dtype, shape } of a.parameters) {
    const other = inB.get(name);
    if (!other || other.shape.join() !== shape.join()) {
      const text = other ? `is [${shape}] and [${other.shape}]` : "is not on side B";
      different.push({ tensor: name, relativeError: Number.POSITIVE_INFINITY, looks: { reason: "weights", text } });
      continue;
    }
    const [valuesA, valuesB] = [float32Of(a, name), float32Of(b, name)];
    const narrower = dtype !== other.dtype;
    if (isSame(valuesA, valuesB)) equal++;
    else if ((dtype === "I8") !== (other.dtype === "I8") && isQuantised(valuesA, valuesB, shape)) rounded++;
    else if (narrower && isSame(rounding(valuesA), rounding(valuesB))) rounded++;
    else {
      const looks = diagnoseWeight(name, valuesA, valuesB, shape);
      different.push({ tensor: name, relativeError: relativeError(valuesA, valuesB), looks });
      if (/\.experts\.\d+\./.test(name)) experts.push({ name, a: digestOf(valuesA), b: digestOf(valuesB) });
    }
  }
  nameSwaps(different, experts);
  different.sort((x, y) => y.relativeError - x.relativeError);
  return { equal, rounded, different };
}

/** Whether the sides are within half a step of 254 over each row's range, and what bfloat16 adds to that. */
function isQuantised(a: Float32Array, b: Float32Array, shape: readonly number[]): boolean {
  const columns = shape.at(-1) ?? 1;
  for (let row = 0; row < a.length; row += columns) {
    let [largest, error] = [0, 0];
    for (let at = row; at < row + columns; at++) {
      largest = Math.max(largest, Math.abs(a[at]!), Math.abs(b[at]!));
      const difference = Math.abs(a[at]! - b[at]!);
      if (!(difference <= error)) error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    }
    if (error > largest * (0.5 / 127 + 2 ** -8)) return false;
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
