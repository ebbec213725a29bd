/**
 * What a side of a comparison gave for one text, and the order in which a model makes it.
 * Knows: tensors of rows, one row a token, and modules' names. Does not know: where they come from or what they are compared with.
 */

/** float32 [rows, width], read a few rows at a time; each piece may be overwritten by the next. */
export interface RowTensor {
  readonly rows: number;
  readonly width: number;
  /** Pieces of `rowsAtOnce` whole rows (the last may have fewer), in order. */
  pieces(rowsAtOnce: number): AsyncIterable<Float32Array> | Iterable<Float32Array>;
}

export interface Reading {
  /** Prompt and answer; empty where the side does not know its tokens. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /**
   * By name: `logits` [tokens, vocabulary], the modules' outputs, and what decoding with a cache gave for the answer:
   * `decode.logits` and `decode.cache.<layer>`, whose rows begin at the last token of the prompt.
   */
  readonly tensors: ReadonlyMap<string, RowTensor>;
}

export function inMemory(values: Float32Array, width: number): RowTensor {
  return {
    rows: width === 0 ? 0 : values.length / width,
    width,
    *pieces(rowsAtOnce) {
      for (let at = 0; at < values.length; at += rowsAtOnce * width) yield values.subarray(at, at + rowsAtOnce * width);
    },
  };
}

/** Columns `from` to `to` of every row, copied. */
export function columnsOf(values: Float32Array, width: number, from: number, to: number): Float32Array {
  const rows = values.length / width;
  const picked = new Float32Array(rows * (to - from));
  for (let row = 0; row < rows; row++) {
    picked.set(values.subarray(row * width + from, row * width + to), row * (to - from));
  }
  return picked;
}

/** The layer in a module's name: the first number in it. */
export function layerOf(name: string): number | undefined {
  const digits = /(?:^|\.)(\d+)(?:\.|$)/.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

const first = /embed|wte/;
const last = /^(model\.)?(norm|ln_f|final)|\.norm$/;
const head = /^(logits|lm_head|output)$/;
/** In the order in which a block runs; a name that fits none comes before the block's own output. */
const inBlock = [
  ...[/input_layernorm/, /q_a_/, /q_nope$/, /q_rope$/, /q_(b_)?proj/, /latent$/, /kv_a_/, /k_rope$/, /k_proj/, /kv_b_/],
  ...[/v_proj/, /context$/, /o_proj/, /self_attn$|attention$|attn$/, /post_attention/, /gate$/, /gate\.chosen$/],
  ...[/experts\.\d/, /mlp\.experts$/, /shared_experts/, /gate_proj/, /up_proj/, /down_proj/, /mlp$/],
];

/** Names in the order in which a model makes the tensors: embedding, layers from the first, norm, logits; unknown ones as given. */
export function executionOrder(names: Iterable<string>): string[] {
  const place = (name: string): readonly [number, number, number] => {
    if (head.test(name)) return [3, 0, 0];
    const layer = layerOf(name);
    if (layer === undefined) return [first.test(name) ? 0 : last.test(name) ? 2 : 1, Number.MAX_SAFE_INTEGER, 0];
    const within = inBlock.findIndex((pattern) => pattern.test(name));
    return [1, layer, within >= 0 ? within : /\.\d+$/.test(name) ? inBlock.length + 1 : inBlock.length];
  };
  return [...names]
    .map((name) => ({ name, at: place(name) }))
    .sort((a, b) => a.at[0] - b.at[0] || a.at[1] - b.at[1] || a.at[2] - b.at[2])
    .map(({ name }) => name);
}
