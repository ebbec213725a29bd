/**
 * Says what a conversion would write and whether the target has what it needs, without writing.
 * Knows: a planned conversion, Ascend's chips and toolkits (catalog). Does not know: terminals.
 */
import {
  type AscendChip,
  chipFacts,
  operatorsKnownFrom,
  servingOperators,
  toolkitReleases,
} from "../../catalog/ascend-serving.ts";
import { BadInput, didYouMean } from "../../spec/bad-input.ts";
import { type Conversion, type ConversionRequest, planConversion } from "./convert.ts";
import type { WeightFormat } from "./recipes.ts";
import { bytesOf } from "./shard-layout.ts";

export interface PlannedType {
  readonly dtype: string;
  readonly tensors: number;
  readonly bytes: number;
}

export interface TargetCheck {
  readonly need: string;
  readonly has: "yes" | "no" | "unknown";
  readonly why: string;
}

/** The command's JSON document. */
export interface ConversionPlan {
  readonly source: { readonly path: string; readonly modelType: string; readonly bytes: number };
  readonly format: WeightFormat;
  readonly target: { readonly chip: AscendChip; readonly toolkit: string };
  readonly shards: number;
  readonly bytes: number;
  readonly types: readonly PlannedType[];
  readonly checks: readonly TargetCheck[];
  /** False when the target lacks something. */
  readonly runs: boolean;
}

export function describeConversion(
  request: Pick<ConversionRequest, "source" | "format">,
  target: { chip: AscendChip; toolkit: string },
): ConversionPlan {
  const release = toolkitReleases.findIndex(({ cann }) => cann === target.toolkit);
  if (release < 0) {
    const known = toolkitReleases.map(({ cann }) => cann);
    throw new BadInput(
      `--toolkit ${target.toolkit}: is not known${didYouMean(target.toolkit, known)}; give one of ${known.join(", ")}`,
    );
  }
  const conversion = planConversion({ ...request, destination: "" });
  const { source, format, shards, made } = conversion;
  const small = [...made.values()].reduce((sum, content) => sum + content.length, 0);
  const checks = checksFor(conversion, target.chip, release);
  return {
    source: {
      ...{ path: source.path, modelType: source.modelType },
      bytes: source.shards.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    ...{ format, target, shards: shards.length, types: typesOf(conversion), checks },
    bytes: [...shards, ...source.sideFiles].reduce((sum, { bytes }) => sum + bytes, small),
    runs: checks.every(({ has }) => has !== "no"),
  };
}

function typesOf({ shards }: Conversion): PlannedType[] {
  const types = new Map<string, { tensors: number; bytes: number }>();
  for (const tensor of shards.flatMap(({ tensors }) => tensors)) {
    const so = types.get(tensor.dtype) ?? { tensors: 0, bytes: 0 };
    types.set(tensor.dtype, { tensors: so.tensors + 1, bytes: so.bytes + bytesOf(tensor) });
  }
  return [...types].map(([dtype, so]) => ({ dtype, ...so })).sort((a, b) => b.bytes - a.bytes);
}

function checksFor({ source, shards, format }: Conversion, chip: AscendChip, release: number): TargetCheck[] {
  const { product, bfloat16, served } = chipFacts[chip];
  const names = shards.flatMap(({ tensors }) => tensors.map(({ name }) => name));
  const experts = names.some((name) => name.includes(".experts."));
  const latent = names.some((name) => name.endsWith("kv_b_proj.weight"));
  const quantizes = format === "w8a8-dynamic";
  const needed = {
    ...{ all: true, experts, "latent-attention": latent },
    ...{ w8a8: quantizes, "w8a8-experts": quantizes && experts },
  };
  const known = release <= toolkitReleases.findIndex(({ cann }) => cann === operatorsKnownFrom);
  const toolkit = toolkitReleases[release]?.cann ?? "";
  return [
    {
      ...{ need: "served by vLLM-Ascend", has: served ? "yes" : "no" },
      why: `${product}; release ${toolkitReleases[release]?.vllmAscend} goes with CANN ${toolkit}`,
    },
    { need: "BF16 tensors", has: bfloat16 ? "yes" : "no", why: bfloat16 ? product : `${product} has FP16 only` },
    ...servingOperators
      .filter(({ neededFor }) => needed[neededFor])
      .map(({ name, chips, source: where }): TargetCheck => {
        if (!chips.includes(chip)) return { need: name, has: "no", why: `not registered for ${chip}: ${where}` };
        if (known) return { need: name, has: "yes", why: where };
        return {
          need: name,
          has: "unknown",
          why: `registered in newer sources; whether CANN ${toolkit} has it is not published`,
        };
      }),
    ...(source.block === undefined
      ? []
      : [{ need: "FP8", has: "yes" as const, why: "not needed any more: converted away" }]),
  ];
}
