/**
 * Reads from `config.json` how a checkpoint's weights are quantised.
 * Knows: DeepSeek's block-wise FP8, which Qwen's FP8 releases share. Does not know: tensors.
 */
import * as z from "zod";
import { BadInput } from "../../spec/bad-input.ts";
import type { ScaleBlock } from "./model-source.ts";

const side = z.int().positive().max(65_536);
const Quantization = z.looseObject({
  quant_method: z.literal("fp8"),
  fmt: z.literal("e4m3").optional(),
  weight_block_size: z.tuple([side, side]),
});

/** Rows and columns that share a scale; undefined where the configuration quantises nothing. BadInput for another method. */
export function blockOf(config: Readonly<Record<string, unknown>>, where: string): ScaleBlock | undefined {
  const given = config.quantization_config;
  if (given === undefined || given === null) return undefined;
  const parsed = Quantization.safeParse(given);
  if (!parsed.success) {
    throw new BadInput(
      ...parsed.error.issues.map(
        ({ path, message }) =>
          `${where}: quantization_config${path.map((part) => `.${String(part)}`).join("")}: ${message}; give block-wise FP8 (E4M3) or unquantised weights`,
      ),
    );
  }
  const [rows, columns] = parsed.data.weight_block_size;
  return { rows, columns };
}
