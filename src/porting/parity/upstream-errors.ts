/**
 * How far each token of a module may be off by rounding alone, given how far what it reads is off already.
 * Knows: which modules lie before which, how many linear maps each has. Does not know: tensors, verdicts.
 */
import { addedRelativeError, layerDivergence } from "../../catalog/parity-thresholds.ts";
import type { TapMeasure } from "./measure-taps.ts";
import type { NumberFormat } from "./number-format.ts";
import { layerOf } from "./reading.ts";

type Tap = Pick<TapMeasure, "name" | "rowErrors">;

/** Linear maps, one after the other, between a module's output and the outputs that are known before it. */
function mapsOf(name: string, isAlone: boolean): number {
  if (/\.\d+$/.test(name)) return isAlone ? 6 : 1;
  return /q_nope$|q_rope$|context$|mlp$|experts$/.test(name) ? 2 : 1;
}

/** Asked about every module in the order in which the model runs; undefined where what a layer began with is not known. */
export function upstreamErrors(format: NumberFormat): { limitsOf(tap: Tap): Float64Array | undefined } {
  /** Errors of what the layer began with, and of all its modules so far. */
  let [entry, inLayer]: [Float64Array, Float64Array[]] = [new Float64Array(), []];
  let layer: number | undefined;
  let mixed = false;
  /** The layer that gave `entry`; −1 for the embedding. */
  let entryLayer: number | undefined;
  return {
    limitsOf({ name, rowErrors }) {
      const own = layerOf(name);
      if (own !== layer) {
        [layer, inLayer, mixed] = [own, [entry], false];
      }
      const isOutput = own === undefined || /^(.*\.)?\d+$/.test(name);
      const added = addedRelativeError[format] * Math.sqrt(mapsOf(name, inLayer.length <= 1));
      const errors = inLayer.length === 0 ? [entry] : inLayer;
      // Attention reads every token before it, so the worst of them counts, unless what it read of them is known already.
      const mixes =
        /context$/.test(name) || (!mixed && /self_attn$|attn$/.test(name)) || (isOutput && inLayer.length <= 1);
      mixed ||= mixes;
      const worst = mixes ? errors.reduce((most, rows) => largest(rows, most), 0) : 0;
      const limits = rowErrors.map((_, row) => {
        const before = mixes ? worst : errors.reduce((most, rows) => Math.max(most, Math.abs(rows[row] ?? 0)), 0);
        return layerDivergence.rowFactor.limit * (before + added);
      });
      const isKnown = own === undefined || entryLayer === own - 1;
      if (isOutput) [entry, entryLayer] = [rowErrors, own ?? -1];
      else inLayer.push(rowErrors);
      return isKnown ? limits : undefined;
    },
  };
}

/** What is infinite says nothing of how much more there may be. */
function largest(rows: Float64Array, most: number): number {
  return rows.reduce((top, error) => (Number.isFinite(error) ? Math.max(top, Math.abs(error)) : top), most);
}
