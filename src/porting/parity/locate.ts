/**
 * Where two models begin to differ and what it looks like: the first module beyond rounding, and the defect that leaves such a trace.
 * Knows: how known defects show in modules' outputs, routing, caches and weights. Does not know: how those were measured.
 */
import { layerDivergence } from "../../catalog/parity-thresholds.ts";
import type { WeightDifference } from "../compare-weights.ts";
import { rowLimit, type TextMeasure } from "./measure-reading.ts";
import type { TapMeasure } from "./measure-taps.ts";
import type { NumberFormat } from "./number-format.ts";
import { layerOf } from "./reading.ts";

export type Reason =
  | "configuration"
  | "type"
  | "operator"
  | "rotary convention"
  | "masking"
  | "scale"
  | "expert"
  | "router tie"
  | "stale cache"
  | "weights"
  | "sampling";

export interface Cause {
  readonly reason: Reason;
  /** Layer from 0; null for embedding, norm, head, or where it is not known. */
  readonly layer: number | null;
  /** Module or tensor, by name; null where it is not known. */
  readonly module: string | null;
  readonly text: string;
}

/** One side's cache against its own reading. */
export interface CacheMeasures {
  readonly side: "A" | "B";
  readonly format: NumberFormat;
  readonly measures: readonly TapMeasure[];
}

/** Rows of a module beyond what rounding explains, of those that count. */
export function beyond(tap: TapMeasure, format: NumberFormat): { rows: number[]; counted: number } {
  const limit = rowLimit(format, tap.blocks);
  const rows: number[] = [];
  let counted = 0;
  tap.rowErrors.forEach((error, row) => {
    if (error < 0) return;
    counted++;
    if (!(error <= (tap.rowLimits?.[row] ?? limit))) rows.push(row);
  });
  return { rows, counted };
}

/** Index of the first module that diverges over all texts together; undefined where none does. */
export function firstDivergence(texts: readonly TextMeasure[], format: NumberFormat): number | undefined {
  const [head] = texts;
  const at = (head?.taps ?? []).findIndex((_, index) => {
    const parts = texts.map(({ taps }) => taps[index]!);
    return parts.some((part) => beyond(part, format).rows.length > 0) || mostAreOff(parts);
  });
  return at === -1 ? undefined : at;
}

/** Whether the median token is off by more than rounding: each by too little for one token, but all of them. */
function mostAreOff(parts: readonly TapMeasure[]): boolean {
  const { rowFactor, medianFactor } = layerDivergence;
  const shares = parts.flatMap(({ rowErrors, rowLimits }) =>
    [...rowErrors].flatMap((error, row) => (error < 0 || !rowLimits ? [] : [error / rowLimits[row]!])),
  );
  const median = shares.sort((x, y) => x - y)[shares.length >> 1] ?? 0;
  return median > medianFactor.limit / rowFactor.limit;
}

/** The first layer whose cache holds something else than reading the text gives; undefined where decoding agrees. */
export function staleCache({ side, format, measures }: CacheMeasures): Cause | undefined {
  const failed = measures.find((measure) => {
    const { rows, counted } = beyond(measure, format);
    return rows.length > layerDivergence.share.limit * counted;
  });
  if (!failed) return undefined;
  const layer = layerOf(failed.name) ?? null;
  const row = beyond(failed, format).rows[0] ?? 0;
  return {
    ...{ reason: "stale cache", layer, module: failed.name },
    text: `side ${side} decodes otherwise than it reads, from token ${row} after the prompt on: ${
      layer === null ? "its logits differ, its caches do not" : `the cache of layer ${layer} holds other values`
    }`,
  };
}

/** What the taps say, in the order in which the model runs. */
export function tapCause(texts: readonly TextMeasure[], format: NumberFormat): Cause | undefined {
  const index = firstDivergence(texts, format);
  const tap = index === undefined ? undefined : texts[0]?.taps[index];
  const routed = routingCause(texts);
  const routedFirst = routed && (!tap || (layerOf(tap.name) ?? Number.MAX_SAFE_INTEGER) > (routed.layer ?? 0));
  if (routedFirst || !tap || index === undefined) return routed;
  const parts = texts.map(({ taps }) => taps[index]!);
  const layer = layerOf(tap.name) ?? null;
  // A wrong choice of experts shows first in what the chosen ones give.
  if (routed && routed.layer === layer && /\.mlp\.|\.mlp$/.test(tap.name) && !tap.name.endsWith(".gate")) return routed;
  const found = (reason: Reason, text: string): Cause => ({ reason, layer, module: tap.name, text });
  if (/[qk]_rope$/.test(tap.name)) {
    const rotary = rotaryText(parts, format);
    if (rotary) return found("rotary convention", `${tap.name}: ${rotary}`);
  }
  if (tap.name.endsWith(".context") && parts.every((part) => agreesOnlyAtTheEnd(part, format))) {
    return found("masking", `${tap.name}: every token but the last differs, as when a token sees those after it`);
  }
  if (/experts$/.test(tap.name)) {
    const experts = expertsToBlame(texts, index, format);
    if (experts.length > 0) {
      const which = experts.length === 1 ? `expert ${experts[0]}` : `experts ${experts.join(" and ")}`;
      return found("expert", `${tap.name}: exactly the tokens that go to ${which} differ`);
    }
  }
  const cosine = parts.reduce((least, part) => Math.min(least, part.cosine), 1);
  const scale = parts[0]?.scale ?? 1;
  if (cosine > 0.9999 && Math.abs(scale - 1) > rowLimit(format, tap.blocks) / 2) {
    return found("scale", `${tap.name}: every value is ${scale.toPrecision(4)} times what it was`);
  }
  return found("operator", `${tap.name} is the first to differ beyond rounding (cosine ${cosine.toPrecision(4)})`);
}

/** A rotation keeps the length of a row; other pairs at position 0, where nothing is turned, are another order of the same values. */
function rotaryText(parts: readonly TapMeasure[], format: NumberFormat): string | undefined {
  const limit = rowLimit(format, parts[0]?.blocks ?? 1);
  const kept = parts.every(({ rowErrors, normErrors }) =>
    rowErrors.every((error, row) => error <= limit || (normErrors[row] ?? 1) <= limit),
  );
  if (!kept) return undefined;
  const [head] = parts;
  if (head && (head.rowErrors[0] ?? 0) > limit) {
    if (head.sortedError > limit) return undefined;
    return "the same values in another order at the first token: pairs are interleaved on one side, halves on the other";
  }
  return "the first token agrees and later ones are turned by other angles: another rotary base or other positions";
}

function agreesOnlyAtTheEnd(part: TapMeasure, format: NumberFormat): boolean {
  const { rows } = beyond(part, format);
  return rows.length > 0 && !rows.includes(part.rows - 1) && rows.length >= (part.rows - 1) / 2;
}

/** The fewest experts such that every token that differs went to one of them and no other token did. */
function expertsToBlame(texts: readonly TextMeasure[], index: number, format: NumberFormat): number[] {
  const [suspects, cleared] = [new Set<number>(), new Set<number>()];
  const differing: number[][] = [];
  for (const { taps, routing } of texts) {
    const tap = taps[index]!;
    const layer = routing.find((one) => one.layer === layerOf(tap.name));
    if (!layer) return [];
    const count = layer.chosen.length / Math.max(1, tap.rows);
    const bad = new Set(beyond(tap, format).rows);
    for (let row = 0; row < tap.rows; row++) {
      const chosen = [...layer.chosen.subarray(row * count, (row + 1) * count)];
      if (bad.has(row)) differing.push(chosen);
      for (const expert of chosen) (bad.has(row) ? suspects : cleared).add(expert);
    }
  }
  const guilty = [...suspects].filter((expert) => !cleared.has(expert)).sort((x, y) => x - y);
  return differing.every((chosen) => chosen.some((expert) => guilty.includes(expert))) ? guilty : [];
}

function routingCause(texts: readonly TextMeasure[]): Cause | undefined {
  const flips = texts.flatMap(({ routing }) => routing.map(({ layer, flips: some }) => ({ layer, flips: some })));
  const wrong = flips
    .filter(({ flips: some }) => some.some(({ kind }) => kind === "masked" || kind === "choice"))
    .sort((x, y) => x.layer - y.layer)[0];
  if (!wrong) return undefined;
  const { layer } = wrong;
  const module = `model.layers.${layer}.mlp.gate`;
  const masked = wrong.flips.some(({ kind }) => kind === "masked");
  return {
    ...{ reason: masked ? "masking" : "operator", layer, module },
    text: masked
      ? `${module}: experts of groups that are out are chosen, as when those are filled with 0 instead of −∞`
      : `${module}: other experts are chosen from the same scores`,
  };
}

/** What a weight's difference looks like (compare-weights), as a cause. */
export function weightCause({ tensor, looks }: WeightDifference): Cause {
  const layer = layerOf(tensor) ?? null;
  return { reason: looks.reason, layer, module: tensor, text: `${tensor}: ${looks.text}` };
}
