/**
 * Rotary frequencies of the families that turn a head's first half against its second.
 * Knows: the scalings default, linear, llama3 and yarn. Does not know: graphs.
 * Source: huggingface/transformers modeling_rope_utils.py.
 */
import * as z from "zod";
import { rotaryFrequencies } from "../../engine/model/rotary-scaling.ts";
import { BadInput } from "../../spec/bad-input.ts";

const kinds = ["default", "linear", "llama3", "yarn"] as const;

export const RopeScaling = z.strictObject({
  type: z.enum(kinds).optional(),
  rope_type: z.enum(kinds).optional(),
  rope_theta: z.number().positive().optional(),
  factor: z.number().min(1).optional(),
  original_max_position_embeddings: z.int().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  attention_factor: z.number().positive().optional(),
  beta_fast: z.number().positive().optional(),
  beta_slow: z.number().positive().optional(),
  mscale: z.number().nonnegative().optional(),
  mscale_all_dim: z.number().nonnegative().optional(),
});
type RopeScaling = z.infer<typeof RopeScaling>;

export interface Rope {
  /** Radians per position for each of the `headDim / 2` pairs. */
  readonly frequencies: readonly number[];
  /** What cosines and sines are multiplied with. */
  readonly magnitude: number;
}

interface RopeKeys {
  readonly rope_theta?: number | null | undefined;
  readonly rope_scaling?: RopeScaling | null | undefined;
  readonly rope_parameters?: object | null | undefined;
  readonly max_position_embeddings: number;
}

/** BadInput for a scaling whose numbers are missing. */
export function frequenciesOf(config: RopeKeys, headDim: number, where: string): Rope {
  const given = config.rope_parameters
    ? RopeScaling.safeParse(config.rope_parameters)
    : { success: true as const, data: config.rope_scaling ?? undefined };
  if (!given.success) {
    const [issue] = given.error.issues;
    throw new BadInput(
      `${where}: rope_parameters: ${issue?.message}; no ONNX graph is made of this, port it --to bf16`,
    );
  }
  const scaling = given.data;
  const theta = scaling?.rope_theta ?? config.rope_theta ?? 10_000;
  const plain = Array.from({ length: headDim / 2 }, (_, pair) => theta ** ((-2 * pair) / headDim));
  const kind = scaling?.rope_type ?? scaling?.type ?? "default";
  if (scaling === undefined || kind === "default") return { frequencies: plain, magnitude: 1 };
  const need = (key: "factor" | "low_freq_factor" | "high_freq_factor"): number => {
    const value = scaling[key];
    if (value === undefined) throw new BadInput(`${where}: rope_scaling.${key}: is missing; ${kind} needs it`);
    return value;
  };
  const factor = need("factor");
  if (kind === "linear") return { frequencies: plain.map((frequency) => frequency / factor), magnitude: 1 };
  const context = scaling.original_max_position_embeddings ?? config.max_position_embeddings;
  if (kind === "llama3") {
    const [low, high] = [need("low_freq_factor"), need("high_freq_factor")];
    return { frequencies: plain.map((frequency) => llama3(frequency, { factor, context, low, high })), magnitude: 1 };
  }
  if (scaling.mscale !== undefined || scaling.mscale_all_dim !== undefined) {
    throw new BadInput(
      `${where}: rope_scaling.mscale: is DeepSeek's; no ONNX graph is made of this, port it --to bf16`,
    );
  }
  const yarn = {
    ...{ factor, original_max_position_embeddings: context, mscale: 1, mscale_all_dim: 0 },
    ...{ beta_fast: scaling.beta_fast ?? 32, beta_slow: scaling.beta_slow ?? 1 },
  };
  return {
    frequencies: rotaryFrequencies({ qk_rope_head_dim: headDim, rope_theta: theta, rope_scaling: yarn }),
    magnitude: scaling.attention_factor ?? (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1),
  };
}

/** Slow pairs are slowed further, fast ones left alone, those between blended. */
function llama3(
  frequency: number,
  { factor, context, low, high }: { factor: number; context: number; low: number; high: number },
): number {
  const turns = (context * frequency) / (2 * Math.PI);
  if (turns < low) return frequency / factor;
  if (turns > high) return frequency;
  const share = (turns - low) / (high - low);
  return ((1 - share) * frequency) / factor + share * frequency;
}
