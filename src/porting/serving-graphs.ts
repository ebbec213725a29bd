/**
 * The two graphs that serving needs, with dynamic sizes or, as Ascend's ATC wants them, with fixed ones.
 * Knows: their file names, which operators they take. Does not know: weights, files.
 */
import type { ModelPrograms, Program } from "../engine/program.ts";

/** `capacityTokens` fixes a batch of one, prompts padded to so many tokens and a cache of as many rows. */
export function servingGraphs(
  programs: Pick<ModelPrograms, "prefill" | "decode">,
  capacityTokens: number | undefined,
): Readonly<Record<"prefill.onnx" | "decode.onnx", Program>> {
  if (capacityTokens === undefined) return { "prefill.onnx": programs.prefill(), "decode.onnx": programs.decode() };
  return {
    "prefill.onnx": programs.prefill({ batch: 1, length: capacityTokens }),
    "decode.onnx": programs.decode({ batch: 1, past: capacityTokens }),
  };
}

/** `casts`: bfloat16 weights are cast before they are computed with. */
export function operatorsOf(programs: readonly Program[], casts: boolean): string[] {
  const operators = new Set(programs.flatMap((program) => program.operators));
  if (casts) operators.add("Cast");
  return [...operators].sort();
}
