/**
 * The run.yaml that `init` writes: a small mixture-of-experts model, two emulated pools, a fault to see one handled.
 * Knows: keys worth a first look, each with a comment. Does not know: where it is written.
 */
import { stringify } from "yaml";

export function runFileTemplate({ name, files }: { name: string; files: readonly string[] }): string {
  const listed = files.map((file) => `      - ${stringify(file).trim()}`).join("\n");
  return `# A run of dualgauge: one training of one model. Every key: docs/reference/run-file.md
#   dualgauge check run.yaml     reads this file and the data, and changes nothing
#   dualgauge train run.yaml     trains; run it again to go on where it stopped
#   dualgauge run run.yaml       trains, ports, compares, serves and lets the model answer
name: ${stringify(name).trim()}

# The architecture, by the fields of a Hugging Face config.json (DeepSeek-V3 family): latent attention and experts.
model:
  vocab_size: 260            # 256 bytes + 4 special tokens
  hidden_size: 64
  intermediate_size: 176     # SwiGLU of the dense layer
  num_hidden_layers: 2
  first_k_dense_replace: 1   # layers before this one are dense, the others route to experts
  num_attention_heads: 4
  q_lora_rank: 32
  kv_lora_rank: 16           # what the key/value cache holds per token
  qk_nope_head_dim: 16
  qk_rope_head_dim: 16
  v_head_dim: 16
  n_routed_experts: 4
  n_shared_experts: 1
  num_experts_per_tok: 2
  n_group: 2
  topk_group: 1
  moe_intermediate_size: 48
  max_position_embeddings: 256

data:
  text:
    files:                   # .txt, .jsonl (field "text") or folders of them, relative to this file
${listed}
    tokenizer: byte          # or the path of a Hugging Face tokenizer.json
    validationShare: 0.05    # kept from the end of the text

train:
  steps: 200
  globalBatch: 8             # sequences per step, in globalBatch / microBatch parts that any number of workers may share
  microBatch: 2
  seqLength: 64
  learningRate: 0.003
  warmupSteps: 20
  checkpointEvery: 50        # steps between checkpoints on disk; the memory tier keeps every step
  seed: 1

# Each pool is emulated on this machine's CPU. The final weights do not depend on workers, pools or faults.
pools:
  - name: ascend
    workers: 2
    spares: 1
    emulate:
      platform: ascend
      faults:                # remove them, or try: crash hang exit oom nan bitflip slow linkslow linkdown nospace
        - { kind: crash, rank: 1, step: 30 }
  - name: nvidia
    workers: 2
    emulate:
      platform: nvidia

# When to restart, to evict a node, and to carry the run to the next pool.
failover:
  order: [ascend, nvidia]
  maxFaultsPerPool: 4
`;
}
