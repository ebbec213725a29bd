/**
 * What a model definition hands to whoever runs it: parameters by name and graphs as ONNX bytes.
 * Knows: names, shapes and the order of graph inputs and outputs. Does not know: sessions, memory, optimizers.
 */

/** One parameter tensor, in the order in which every part of the engine keeps them (sorted by name). */
export interface ParameterSpec {
  /** Hugging Face name, e.g. `model.layers.0.self_attn.kv_b_proj.weight`; linear weights are `[out, in]`. */
  readonly name: string;
  readonly shape: readonly number[];
  /** How it starts: normal with the given standard deviation, all ones (norms) or all zeros (routing bias). */
  readonly init:
    | { readonly kind: "normal"; readonly std: number }
    | { readonly kind: "ones" }
    | { readonly kind: "zeros" };
  /**
   * How it changes: `gradient` by the optimizer with weight decay, `gradient-no-decay` (norms) without, `routing-bias`
   * by the sign of the experts' load (auxiliary-loss-free balancing, DeepSeek-V3 report §2.1.2), never by a gradient.
   */
  readonly update: "gradient" | "gradient-no-decay" | "routing-bias";
}

/** A graph as ONNX bytes with the names of what goes in and comes out besides the parameters. */
export interface Program {
  readonly onnx: Uint8Array;
  /** Parameters that are graph inputs, by their `ParameterSpec.name`, all float32. */
  readonly parameters: readonly string[];
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /** ONNX operator types used, sorted; checked against the platform's coverage before a launch. */
  readonly operators: readonly string[];
}

/** Shape with -1 for a dynamic dimension. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: "float32" | "int64";
  readonly shape: readonly number[];
}

/**
 * The graphs of one model definition.
 * - `grad`: inputs `tokens` int64 [microBatch, seqLength + 1]; outputs `loss` float32 [] (mean next-token cross entropy in nats
 *   over the micro-batch, plus `mtpLossWeight` × the multi-token-prediction loss in training), `nextTokenLoss` float32 []
 *   (without the latter), `grad/<parameter>` float32 of the parameter's shape for every parameter updated by gradient, and
 *   for every routed layer `load/<layer>` float32 [n_routed_experts]: tokens routed to each expert (exact integers).
 * - `logprob`: inputs `tokens` int64 [batch, length + 1] (both dynamic); output `logprob` float32 [batch, length]: natural-log
 *   probability of each next token; and `logits` float32 [batch, length, vocab_size].
 * - `prefill`: inputs `tokens` int64 [batch, length] and `lastPosition` int64 [batch], the index of each prompt's last token (prompts of
 *   unequal length are padded on the right with any token); outputs `logits` float32 [batch, vocab_size] at that position and the
 *   compressed cache `cache/<layer>` float32 [batch, length, kv_lora_rank + qk_rope_head_dim] (latent after norm | rotated key).
 * - `decode`: inputs `tokens` int64 [batch, 1], `position` int64 [batch] (tokens before this one), `cache/<layer>` [batch, past, …] of
 *   which rows at and after `position` are not looked at, so that a buffer may be longer than what it holds; outputs `logits`
 *   float32 [batch, vocab_size] and `newCache/<layer>` float32 [batch, 1, …], which the caller writes at row `position`.
 * - `extend`: decode for any number of new tokens, all sizes dynamic: inputs `tokens` int64 [batch, length], `position` int64 [batch],
 *   `cache/<layer>` as in decode, and `wanted` int64 [count], rows of [batch · length]; outputs `logits` float32 [count, vocab_size]
 *   of those rows and `newCache/<layer>` float32 [batch, length, …]. Tokens may be padded on the right with any token.
 */
export interface ModelPrograms {
  readonly parameters: readonly ParameterSpec[];
  /** `expertCapacityFactor`: slots per expert as a multiple of an even share, which drops the rest; undefined drops no token. */
  grad(shape: { microBatch: number; seqLength: number; mtpLossWeight: number; expertCapacityFactor?: number }): Program;
  /** With sizes given, every shape in the graph is static, as Ascend's ATC wants. */
  logprob(fixed?: { batch: number; length: number }): Program;
  prefill(fixed?: { batch: number; length: number }): Program;
  decode(fixed?: { batch: number; past: number }): Program;
  extend(): Program;
}
