/**
 * Compares what two sides made of one text, module by module, and what each side's cache did against its own reading.
 * Knows: readings, common tokens, tokens whose routing tips over. Does not know: limits beyond what is rounding, verdicts.
 */
import { accumulatedRelativeError, layerDivergence } from "../../catalog/parity-thresholds.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { joinTaps, measureTap, type TapMeasure } from "./measure-taps.ts";
import type { NumberFormat } from "./number-format.ts";
import { executionOrder, layerOf, type Reading, type RowTensor } from "./reading.ts";
import { compareRouting, type Flip, type RoutingShape } from "./router.ts";
import { upstreamErrors } from "./upstream-errors.ts";

export interface LayerFlips {
  readonly layer: number;
  readonly flips: readonly Flip[];
  /** [rows, chosen] of side A. */
  readonly chosen: Float32Array;
}

export interface TextMeasure {
  /** Tokens that both sides read. */
  readonly rows: number;
  /** In the order in which the model runs; the error of a token with a tie in this layer or one before it is negative. */
  readonly taps: readonly TapMeasure[];
  readonly routing: readonly LayerFlips[];
  /** Tokens with a router tie in some layer. */
  readonly tippedTokens: ReadonlySet<number>;
}

/** Error of a token behind so many blocks that is no rounding any more. */
export function rowLimit(format: NumberFormat, blocks: number): number {
  return layerDivergence.cacheFactor.limit * accumulatedRelativeError[format].limit * Math.sqrt(blocks);
}

/** BadInput where the sides have other layers or widths; `names` are what a person calls them. */
export async function measureReading(
  a: Reading,
  b: Reading,
  { format, shape, names }: { format: NumberFormat; shape: RoutingShape | undefined; names: { a: string; b: string } },
): Promise<TextMeasure> {
  checkLayers(a, b, names);
  const rows = commonTokens(a, b);
  const shared = executionOrder(a.tensors.keys()).filter(
    (name) => b.tensors.has(name) && !name.startsWith("decode.") && name !== "logits",
  );
  const taps: TapMeasure[] = [];
  const routing: LayerFlips[] = [];
  const tipped = new Set<number>();
  const upstream = upstreamErrors(format);
  let blocks = 1;
  for (const name of shared) {
    const [tensorA, tensorB] = [a.tensors.get(name)!, b.tensors.get(name)!];
    if (tensorA.width !== tensorB.width) {
      throw new BadInput(
        `${names.b}: ${name} has ${tensorB.width} columns, that of ${names.a} has ${tensorA.width}; give two forms of one model`,
      );
    }
    const layer = layerOf(name);
    const seen = Math.min(rows, tensorA.rows, tensorB.rows);
    if (layer !== undefined) blocks = 2 * (layer + 1);
    const tap = await measureTap(name, tensorA, tensorB, { rows: seen, blocks });
    if (name.endsWith(".gate.chosen") && layer !== undefined) {
      const gate = name.slice(0, -".chosen".length);
      const scores = taps.find((one) => one.name === gate);
      if (!shape || !scores) continue;
      const limit = rowLimit(format, blocks);
      const flips = compareRouting(await routed(a, gate, name, seen), await routed(b, gate, name, seen), {
        ...{ rows: seen, shape },
        scoresAgree: (row) => Math.abs(scores.rowErrors[row]!) <= (scores.rowLimits?.[row] ?? limit),
      });
      for (const { row, kind } of flips) if (kind === "tie") tipped.add(row);
      routing.push({ layer, flips, chosen: await whole(tensorA, seen) });
      continue;
    }
    for (const row of tipped) if (row < tap.rowErrors.length) tap.rowErrors[row] = -tap.rowErrors[row]!;
    const rowLimits = upstream.limitsOf(tap);
    taps.push({ ...tap, ...(rowLimits && { rowLimits }) });
  }
  return { rows, taps, routing, tippedTokens: tipped };
}

async function routed(
  { tensors }: Reading,
  gate: string,
  chosen: string,
  rows: number,
): Promise<{ scores: Float32Array; chosen: Float32Array }> {
  return { scores: await whole(tensors.get(gate)!, rows), chosen: await whole(tensors.get(chosen)!, rows) };
}

/** The first `rows` rows in memory; for narrow tensors. */
export async function whole({ width, pieces }: RowTensor, rows: number): Promise<Float32Array> {
  const values = new Float32Array(rows * width);
  let at = 0;
  for await (const piece of pieces(4096)) {
    values.set(piece.subarray(0, values.length - at), at);
    at += piece.length;
    if (at >= values.length) break;
  }
  return values;
}

/** Tokens from the first on which both sides agree; all rows where a side does not know its tokens. */
function commonTokens(a: Reading, b: Reading): number {
  if (a.tokens.length === 0 || b.tokens.length === 0) return Number.MAX_SAFE_INTEGER;
  const parting = a.tokens.findIndex((token, index) => token !== b.tokens[index]);
  return parting === -1 ? a.tokens.length : parting;
}

function checkLayers(a: Reading, b: Reading, names: { a: string; b: string }): void {
  const layersOf = ({ tensors }: Reading): Set<number> =>
    new Set([...tensors.keys()].filter((name) => !name.startsWith("decode.")).flatMap((name) => layerOf(name) ?? []));
  const [inA, inB] = [layersOf(a), layersOf(b)];
  if (inA.size === 0 || inB.size === 0) return;
  const lacking = (from: Set<number>, other: Set<number>): number[] => [...from].filter((layer) => !other.has(layer));
  for (const [name, missing] of [
    [names.b, lacking(inA, inB)],
    [names.a, lacking(inB, inA)],
  ] as const) {
    if (missing.length === 0) continue;
    const shown = missing
      .sort((x, y) => x - y)
      .slice(0, 5)
      .join(", ");
    throw new BadInput(
      `${name}: has nothing of ${missing.length === 1 ? "layer" : "layers"} ${shown}${missing.length > 5 ? ", …" : ""}; dump it again with every layer`,
    );
  }
}

/** How one side's decoding with a cache differs from its own reading: caches by layer, then logits; empty where it was not dumped. */
export async function measureCache(reading: Reading): Promise<TapMeasure[]> {
  const { tensors, promptTokens } = reading;
  const measures: TapMeasure[] = [];
  let blocks = 1;
  const start = promptTokens - 1;
  const after = async (name: string): Promise<RowTensor | undefined> => {
    const tensor = tensors.get(name);
    return tensor && dropRows(tensor, start);
  };
  for (let layer = 0; tensors.has(`decode.cache.${layer}`); layer++) {
    const cache = tensors.get(`decode.cache.${layer}`)!;
    const latent = await after(`model.layers.${layer}.self_attn.latent`);
    const key = await after(`model.layers.${layer}.self_attn.k_rope`);
    if (!latent || !key) continue;
    const name = `decode.cache.${layer}`;
    blocks = 2 * (layer + 1);
    const parts = [
      await measureTap(name, latent, columns(cache, 0, latent.width), { rows: latent.rows, blocks }),
      await measureTap(name, key, columns(cache, latent.width, cache.width), { rows: key.rows, blocks }),
    ];
    measures.push(joinTaps(parts));
  }
  const [read, decoded] = [await after("logits"), tensors.get("decode.logits")];
  if (read && decoded && read.rows === decoded.rows) {
    measures.push(await measureTap("decode.logits", read, decoded, { rows: read.rows, blocks }));
  }
  return measures;
}

function dropRows(tensor: RowTensor, count: number): RowTensor {
  return {
    rows: Math.max(0, tensor.rows - count),
    width: tensor.width,
    async *pieces(rowsAtOnce) {
      let dropped = 0;
      // One row at a time keeps the pieces aligned with those of a tensor that starts later.
      let held: Float32Array[] = [];
      for await (const piece of tensor.pieces(rowsAtOnce)) {
        for (let at = 0; at < piece.length; at += tensor.width) {
          if (dropped++ < count) continue;
          held.push(piece.slice(at, at + tensor.width));
          if (held.length < rowsAtOnce) continue;
          yield joinRows(held);
          held = [];
        }
      }
      if (held.length > 0) yield joinRows(held);
    },
  };
}

function joinRows(rows: readonly Float32Array[]): Float32Array {
  const width = rows[0]?.length ?? 0;
  const all = new Float32Array(rows.length * width);
  rows.forEach((row, index) => {
    all.set(row, index * width);
  });
  return all;
}

function columns(tensor: RowTensor, from: number, to: number): RowTensor {
  return {
    rows: tensor.rows,
    width: to - from,
    async *pieces(rowsAtOnce) {
      for await (const piece of tensor.pieces(rowsAtOnce)) {
        const rows = piece.length / tensor.width;
        const picked = new Float32Array(rows * (to - from));
        for (let row = 0; row < rows; row++) {
          picked.set(piece.subarray(row * tensor.width + from, row * tensor.width + to), row * (to - from));
        }
        yield picked;
      }
    },
  };
}
