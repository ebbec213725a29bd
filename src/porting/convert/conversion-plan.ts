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
import { onnxOperators, uncoveredOperators } from "../../catalog/onnx-operators.ts";
import { refusals } from "../../catalog/platform-support.ts";
import { operatorSet } from "../../engine/onnx.ts";
import { BadInput, didYouMean } from "../../spec/bad-input.ts";
import { type Conversion, type ConversionRequest, planConversion } from "./convert.ts";
import { servingModel } from "./onnx-graphs.ts";
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

/** What is asked for: weights alone, or weights and graphs (`onnx`). */
export type PlannedFormat = WeightFormat | "onnx";

/** The command's JSON document. */
export interface ConversionPlan {
  readonly source: { readonly path: string; readonly modelType: string; readonly bytes: number };
  readonly format: PlannedFormat;
  readonly target: { readonly chip: AscendChip; readonly toolkit: string };
  readonly shards: number;
  readonly bytes: number;
  readonly types: readonly PlannedType[];
  readonly checks: readonly TargetCheck[];
  /** False when the target lacks something. */
  readonly runs: boolean;
}

export function describeConversion(
  request: Pick<ConversionRequest, "source"> & {
    readonly format: PlannedFormat;
    readonly capacityTokens?: number | undefined;
  },
  target: { chip: AscendChip; toolkit: string },
): ConversionPlan {
  const release = toolkitReleases.findIndex(({ cann }) => cann === target.toolkit);
  if (release < 0) {
    const known = toolkitReleases.map(({ cann }) => cann);
    throw new BadInput(
      `--toolkit ${target.toolkit}: is not known${didYouMean(target.toolkit, known)}; give one of ${known.join(", ")}`,
    );
  }
  const { format, capacityTokens } = request;
  const onnx = format === "onnx";
  const conversion = planConversion({
    ...{ source: request.source, destination: "", format: onnx ? "bf16" : format },
    // What only ONNX Runtime on another vendor's chips lacks is no matter here: the table says what the target has.
    graphs: onnx ? { platform: "cpu", capacityTokens } : undefined,
  });
  const { source, shards, made } = conversion;
  const small = [...made.values()].reduce((sum, content) => sum + content.length, 0);
  const checks = onnx
    ? graphChecks(servingModel(source, capacityTokens).operators, target.chip, release)
    : checksFor(conversion, target.chip, release);
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

/** What ATC and ONNX Runtime's CANN provider read of the graphs, and the chip of their weights. */
function graphChecks(operators: readonly string[], chip: AscendChip, release: number): TargetCheck[] {
  const { product, bfloat16 } = chipFacts[chip];
  const known = isKnown(release);
  const toolkit = toolkitReleases[release]?.cann ?? "";
  const refused = new Set(
    refusals("ascend", { operators, precision: "bf16", unsupportedOps: [] }).flatMap(({ message }) =>
      operators.filter((name) => message.includes(`operator type ${name} `)),
    ),
  );
  return [
    { need: "BF16 weights", has: bfloat16 ? "yes" : "no", why: bfloat16 ? product : `${product} has FP16 only` },
    ...operators.map((name): TargetCheck => {
      const need = `ONNX ${name} at set ${operatorSet}`;
      const [problem] = uncoveredOperators([name], operatorSet);
      if (problem) return { need, has: "no", why: problem };
      if (refused.has(name)) return { need, has: "no", why: "ATC registers no importer for it" };
      const source = onnxOperators[name]?.atcSource ?? "";
      if (known) return { need, has: "yes", why: source };
      const why = `registered in newer sources; whether CANN ${toolkit} has it is not published`;
      return { need, has: "unknown", why };
    }),
  ];
}

/** The registrations that are known are those of this toolkit or an older one. */
function isKnown(release: number): boolean {
  return release <= toolkitReleases.findIndex(({ cann }) => cann === operatorsKnownFrom);
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
  const known = isKnown(release);
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
