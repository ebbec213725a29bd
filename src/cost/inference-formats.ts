/**
 * Number formats of served weights and caches: bytes per value and which arithmetic unit multiplies them.
 * Knows: spellings such as w8a8-int8, nvfp4, awq-int4. Does not know: which accelerator has which unit, layouts.
 */
import { BadInput, didYouMean } from "../spec/bad-input.ts";

/** Bytes per weight with its scales, the unit that multiplies, and whether attention weights are kept in 16 bits. */
export interface WeightFormat {
  name: string;
  bytesPerWeight: number;
  unit: "16-bit" | "fp8" | "int8" | "fp4";
  /** Attention stays wide in mxfp4 of gpt-oss, and in Meta's FP8 of Llama 3.1 405B (arXiv:2407.21783 §6.2). */
  attentionBytesPerWeight: number;
  /** The kernel widens weights on the way (weight-only quantisation). */
  weightOnly: boolean;
}

const sixteen = { bytesPerWeight: 2, attentionBytesPerWeight: 2, unit: "16-bit", weightOnly: false } as const;
const formats: readonly WeightFormat[] = [
  { name: "bf16", ...sixteen },
  { name: "fp16", ...sixteen },
  { name: "fp8", bytesPerWeight: 1, attentionBytesPerWeight: 1, unit: "fp8", weightOnly: false },
  { name: "fp8-mlp", bytesPerWeight: 1, attentionBytesPerWeight: 2, unit: "fp8", weightOnly: false },
  { name: "w8a8", bytesPerWeight: 1, attentionBytesPerWeight: 1, unit: "int8", weightOnly: false },
  { name: "w8a16", bytesPerWeight: 1, attentionBytesPerWeight: 1, unit: "16-bit", weightOnly: true },
  { name: "w4a8", bytesPerWeight: 0.5, attentionBytesPerWeight: 1, unit: "int8", weightOnly: false },
  { name: "w4a16", bytesPerWeight: 0.53, attentionBytesPerWeight: 0.53, unit: "16-bit", weightOnly: true },
  { name: "nvfp4", bytesPerWeight: 0.5625, attentionBytesPerWeight: 0.5625, unit: "fp4", weightOnly: false },
  { name: "mxfp4", bytesPerWeight: 0.53, attentionBytesPerWeight: 2, unit: "16-bit", weightOnly: true },
];

const spellings: readonly (readonly [RegExp, string])[] = [
  [/^(bf16|fp16|bfloat16|float16|half|none)\b/, "bf16"],
  [/^(awq|gptq|int4|w4a16)/, "w4a16"],
  [/^mxfp4/, "mxfp4"],
  [/^(nv)?fp4/, "nvfp4"],
  [/^w4a8/, "w4a8"],
  [/^w8a16/, "w8a16"],
  [/^(w8a8|int8)/, "w8a8"],
  [/^fp8[ (-]*(meta|mlp)/, "fp8-mlp"],
  [/^fp8/, "fp8"],
];

/** The format that a spelling names; BadInput for an unknown one. */
export function weightFormat(given: string): WeightFormat {
  const name = spellings.find(([pattern]) => pattern.test(given.toLowerCase()))?.[1];
  const found = formats.find((format) => format.name === name);
  if (found) return found;
  const known = formats.map((format) => format.name);
  throw new BadInput(
    `--precision: ${given} is not a known weight format${didYouMean(given, known)}; use one of ${known.join(", ")}`,
  );
}

export const weightFormatNames: readonly string[] = formats.map((format) => format.name);
