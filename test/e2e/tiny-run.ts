/**
 * The smallest run file that is worth running: two pools, a model that trains in well under a second per step.
 * Knows: keys of run.yaml. Does not know: where it is written.
 */
interface TinyPool {
  name: string;
  workers: number;
  spares?: number;
  emulate: { platform: string; faults?: Record<string, unknown>[] };
}

/** A run file as plain data, for a test to change and write. `files` as run.yaml names them. */
export function tinyRun({ files, steps = 6 }: { files: string[]; steps?: number }) {
  return {
    name: "tiny",
    model: {
      vocab_size: 260,
      hidden_size: 32,
      intermediate_size: 64,
      num_hidden_layers: 2,
      first_k_dense_replace: 1,
      num_attention_heads: 2,
      kv_lora_rank: 16,
      qk_nope_head_dim: 8,
      qk_rope_head_dim: 8,
      v_head_dim: 8,
      n_routed_experts: 4,
      num_experts_per_tok: 2,
      n_group: 2,
      topk_group: 1,
      moe_intermediate_size: 32,
      max_position_embeddings: 256,
    },
    data: { text: { files, tokenizer: "byte" } },
    train: { steps, globalBatch: 4, microBatch: 1, seqLength: 32, learningRate: 0.003, checkpointEvery: 2, seed: 7 },
    pools: [
      { name: "alpha", workers: 2, spares: 1, emulate: { platform: "ascend" } },
      { name: "beta", workers: 2, emulate: { platform: "nvidia" } },
    ] as TinyPool[],
  };
}
