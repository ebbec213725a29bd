/**
 * Writes the command lines that start a planned training run in other people's frameworks.
 * Knows: flags of Megatron-LM core 0.15, MindSpeed-LLM 2.1 and torchtitan 0.2, torchrun and srun. Does not know: data, accounts.
 */

import type { Architecture } from "../spec/architecture.ts";
import { BadInput, didYouMean } from "../spec/bad-input.ts";
import type { TrainingEstimate, TrainingQuestion } from "./train.ts";

const frameworks = ["megatron", "mindspeed", "torchtitan", "slurm"] as const;
export type Framework = (typeof frameworks)[number];

/** The script for `framework`; BadInput for an unknown one or a layout that it cannot express. */
export function emitTraining(
  framework: string,
  question: TrainingQuestion,
  { layout, stepSeconds, checkpointIntervalSeconds }: TrainingEstimate,
): string {
  const known = frameworks.find((name) => name === framework);
  if (!known)
    throw new BadInput(
      `--emit: unknown framework ${framework.slice(0, 40)}${didYouMean(framework, frameworks)}; use one of ${frameworks.join(", ")}`,
    );
  const used = layout.tp * layout.pp * layout.dp * layout.cp;
  const perNode = Math.min(question.accelerator.nodeDevices, used);
  if (used % perNode !== 0)
    throw new BadInput(`--emit: ${used} devices do not fill nodes of ${perNode}; choose a layout that does`);
  const job: Job = {
    question,
    layout,
    nodes: used / perNode,
    perNode,
    steps: Math.ceil(question.tokens / (question.globalBatch * question.seq)),
    // Checkpoints at the interval that loses least, in whole steps.
    saveEvery: Number.isFinite(checkpointIntervalSeconds)
      ? Math.max(1, Math.round(checkpointIntervalSeconds / stepSeconds))
      : 1000,
  };
  switch (known) {
    case "megatron":
      return script(job, [...megatronFlags(job), huggingFaceTokenizer], "pretrain_gpt.py");
    case "mindspeed":
      return script(job, [...megatronFlags(job), ...mindspeedFlags(job)], "pretrain_gpt.py");
    case "torchtitan":
      return torchtitan(job);
    case "slurm":
      return slurm(
        job,
        question.accelerator.platform === "ascend"
          ? [...megatronFlags(job), ...mindspeedFlags(job)]
          : [...megatronFlags(job), huggingFaceTokenizer],
      );
    default:
      return known satisfies never;
  }
}

interface Job {
  readonly question: TrainingQuestion;
  readonly layout: TrainingEstimate["layout"];
  readonly nodes: number;
  readonly perNode: number;
  readonly steps: number;
  readonly saveEvery: number;
}

function megatronFlags({ question, layout, steps, saveEvery }: Job): string[] {
  const { architecture: a, seq, globalBatch, precision } = question;
  if (layout.schedule === "zero-bubble" || layout.schedule === "dualpipe")
    throw new BadInput(
      `--emit: Megatron-LM has no ${layout.schedule} schedule; plan with --schedule 1f1b or interleaved`,
    );
  if (layout.zero >= 2 && layout.pp > 1)
    throw new BadInput("--emit: Megatron-LM's FSDP does not combine with pp; use zero=1");
  const flags = [
    `--tensor-model-parallel-size ${layout.tp}`,
    `--pipeline-model-parallel-size ${layout.pp}`,
    `--context-parallel-size ${layout.cp}`,
    ...(a.moe
      ? [
          `--expert-model-parallel-size ${layout.ep}`,
          `--expert-tensor-parallel-size ${layout.ep === 1 ? layout.tp : 1}`,
        ]
      : []),
    ...(layout.vpp > 1 ? interleavingFlags(a, layout) : []),
    ...(layout.tp > 1 ? ["--sequence-parallel"] : []),
    ...(layout.zero === 1 ? ["--use-distributed-optimizer", "--overlap-grad-reduce", "--overlap-param-gather"] : []),
    ...(layout.zero >= 2
      ? [
          `--use-megatron-fsdp --data-parallel-sharding-strategy ${layout.zero === 3 ? "optim_grads_params" : "optim_grads"}`,
        ]
      : []),
    ...recomputeFlags(layout),
    `--micro-batch-size ${layout.microBatch}`,
    `--global-batch-size ${globalBatch}`,
    `--seq-length ${seq}`,
    `--max-position-embeddings ${seq}`,
    `--train-iters ${steps}`,
    precision === "fp16" ? "--fp16" : "--bf16",
    ...(precision === "fp8"
      ? [
          question.accelerator.id.match(/^(g?b[23]00)/)
            ? "--fp8-format e4m3 --fp8-recipe mxfp8"
            : "--fp8-format hybrid --fp8-recipe tensorwise",
        ]
      : []),
    ...(precision === "fp4" ? ["--fp4-format e2m1"] : []),
    ...modelFlags(a),
    `--save-interval ${saveEvery}`,
    `--save checkpoints --load checkpoints --ckpt-format torch_dist --async-save`,
    "--log-interval 1 --log-throughput --no-create-attention-mask-in-dataloader",
    `--data-path "$DATA"`,
  ];
  return flags;
}

/** Megatron counts layers per virtual stage; uneven stages need it left to the framework's own split. */
function interleavingFlags(a: Architecture, layout: Job["layout"]): string[] {
  const chunks = layout.pp * layout.vpp;
  if (a.layers % chunks === 0) return [`--num-layers-per-virtual-pipeline-stage ${a.layers / chunks}`];
  return [
    `--num-virtual-stages-per-pipeline-rank ${layout.vpp} --account-for-embedding-in-pipeline-split --account-for-loss-in-pipeline-split`,
  ];
}

function recomputeFlags({ recompute }: Job["layout"]): string[] {
  switch (recompute) {
    case "none":
      return [];
    case "selective":
      return ["--recompute-granularity selective"];
    case "full":
      return ["--recompute-granularity full --recompute-method uniform --recompute-num-layers 1"];
    default:
      return recompute satisfies never;
  }
}

function modelFlags(a: Architecture): string[] {
  const flags = [
    `--num-layers ${a.layers}`,
    `--hidden-size ${a.hidden}`,
    `--ffn-hidden-size ${a.ffn || a.moe?.expertFfn || 4 * a.hidden}`,
    `--num-attention-heads ${a.heads}`,
    `--normalization ${a.norm === "rms" ? "RMSNorm" : "LayerNorm"}`,
    ...(a.gated ? ["--swiglu"] : []),
    ...(a.tiedEmbeddings ? [] : ["--untie-embeddings-and-output-weights"]),
    a.learnedPositions > 0 ? "--position-embedding-type learned_absolute" : "--position-embedding-type rope",
    ...(a.bias === "all" ? [] : ["--disable-bias-linear"]),
    ...(a.bias === "qkv" ? ["--add-qkv-bias"] : []),
    ...(a.queryKeyNorm ? ["--qk-layernorm"] : []),
  ];
  if (a.mla)
    flags.push(
      "--multi-latent-attention",
      ...(a.mla.queryRank > 0 ? [`--q-lora-rank ${a.mla.queryRank}`] : []),
      `--kv-lora-rank ${a.mla.keyValueRank} --qk-head-dim ${a.mla.nopeHeadDim} --qk-pos-emb-head-dim ${a.mla.ropeHeadDim} --v-head-dim ${a.mla.valueHeadDim}`,
    );
  else flags.push(`--group-query-attention --num-query-groups ${a.kvHeads}`, `--kv-channels ${a.headDim}`);
  if (a.moe) flags.push(...expertFlags(a.moe, a.layers));
  if (a.mtpLayers > 0) flags.push(`--mtp-num-layers ${a.mtpLayers}`);
  return flags;
}

function expertFlags(moe: NonNullable<Architecture["moe"]>, layers: number): string[] {
  const pattern = Array.from({ length: layers }, (_, i) =>
    i < moe.denseLayers || (i - moe.denseLayers) % moe.everyLayers !== moe.everyLayers - 1 ? 0 : 1,
  );
  return [
    `--num-experts ${moe.experts} --moe-router-topk ${moe.expertsPerToken} --moe-ffn-hidden-size ${moe.expertFfn}`,
    ...(moe.sharedFfn > 0 ? [`--moe-shared-expert-intermediate-size ${moe.sharedFfn}`] : []),
    ...(moe.denseLayers > 0 || moe.everyLayers > 1 ? [`--moe-layer-freq "[${pattern.join(",")}]"`] : []),
    ...(moe.groupsPerToken > 0
      ? [
          `--moe-router-num-groups ${moe.groups} --moe-router-group-topk ${moe.groupsPerToken} --moe-router-score-function sigmoid --moe-router-enable-expert-bias`,
        ]
      : []),
    "--moe-token-dispatcher-type alltoall --moe-grouped-gemm --moe-permute-fusion",
  ];
}

const huggingFaceTokenizer = `--tokenizer-type HuggingFaceTokenizer --tokenizer-model "$TOKENIZER"`;

/** MindSpeed-LLM names the tokenizer's kind in its own words, and its kernels replace Transformer Engine's. */
function mindspeedFlags({ layout }: Job): string[] {
  return [
    "--transformer-impl local --use-flash-attn --use-fused-rmsnorm --use-fused-swiglu --use-fused-rotary-pos-emb",
    ...(layout.tp > 1 ? ["--use-ascend-mc2"] : []),
    ...(layout.cp > 1 ? ["--context-parallel-algo megatron_cp_algo"] : []),
    "--distributed-backend hccl",
    `--tokenizer-type PretrainedFromHF --tokenizer-name-or-path "$TOKENIZER"`,
  ];
}

const header = (job: Job): string =>
  `#!/bin/bash
# ${job.question.architecture.name} on ${job.nodes} nodes of ${job.perNode} ${job.question.accelerator.id}, planned by dualgauge.
# Set DATA and TOKENIZER; check the flags against your framework's version (Megatron-LM core 0.15, MindSpeed-LLM 2.1).
set -euo pipefail
${job.question.accelerator.platform === "ascend" ? "export CUDA_DEVICE_MAX_CONNECTIONS=1 HCCL_CONNECT_TIMEOUT=3600\n" : "export CUDA_DEVICE_MAX_CONNECTIONS=1\n"}`;

function script(job: Job, flags: readonly string[], program: string): string {
  return `${header(job)}torchrun --nnodes ${job.nodes} --nproc-per-node ${job.perNode} \\
  --rdzv-backend c10d --rdzv-endpoint "$MASTER_ADDR:\${MASTER_PORT:-29500}" --max-restarts 0 \\
  ${program} \\
${flags.map((flag) => `  ${flag}`).join(" \\\n")}
`;
}

function slurm(job: Job, flags: readonly string[]): string {
  const resource = job.question.accelerator.platform === "ascend" ? "npu" : "gpu";
  return `#!/bin/bash
#SBATCH --job-name=${job.question.architecture.name.replace(/[^A-Za-z0-9.-]/g, "-")}
#SBATCH --nodes=${job.nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gres=${resource}:${job.perNode}
#SBATCH --exclusive
#SBATCH --requeue
# Planned by dualgauge for ${job.question.accelerator.id}; set DATA and TOKENIZER.
set -euo pipefail
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) MASTER_PORT=29500
export CUDA_DEVICE_MAX_CONNECTIONS=1
srun --kill-on-bad-exit=1 torchrun --nnodes "$SLURM_NNODES" --nproc-per-node ${job.perNode} \\
  --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$MASTER_ADDR:$MASTER_PORT" \\
  pretrain_gpt.py \\
${flags.map((flag) => `  ${flag}`).join(" \\\n")}
`;
}

function torchtitan(job: Job): string {
  const { layout, question, nodes, perNode, steps, saveEvery } = job;
  const { architecture: a, seq, globalBatch } = question;
  if (layout.schedule === "dualpipe")
    throw new BadInput("--emit: torchtitan names its schedules otherwise; plan with --schedule interleaved");
  const schedule =
    layout.schedule === "interleaved"
      ? "Interleaved1F1B"
      : layout.schedule === "zero-bubble"
        ? "InterleavedZeroBubble"
        : "1F1B";
  const local = globalBatch / layout.dp;
  const config = [
    "[model]",
    `# ${a.layers} layers, hidden ${a.hidden}, ${a.heads} heads: pick or register the flavor of this shape`,
    `name = "${a.mla ? "deepseek_v3" : a.queryKeyNorm ? "qwen3" : "llama3"}"`,
    "",
    "[training]",
    `steps = ${steps}`,
    `seq_len = ${seq}`,
    `local_batch_size = ${layout.pp > 1 ? local : layout.microBatch}`,
    `global_batch_size = ${globalBatch}`,
    "",
    "[parallelism]",
    `data_parallel_replicate_degree = ${layout.zero >= 2 || layout.zero === 1 ? 1 : layout.dp}`,
    `data_parallel_shard_degree = ${layout.zero >= 1 ? layout.dp : 1}`,
    `fsdp_reshard_after_forward = "${layout.zero === 3 ? "always" : "never"}"`,
    `tensor_parallel_degree = ${layout.tp}`,
    `context_parallel_degree = ${layout.cp}`,
    `pipeline_parallel_degree = ${layout.pp}`,
    ...(layout.pp > 1
      ? [`pipeline_parallel_schedule = "${schedule}"`, `pipeline_parallel_microbatch_size = ${layout.microBatch}`]
      : []),
    ...(a.moe ? [`expert_parallel_degree = ${layout.ep}`] : []),
    "",
    "[activation_checkpoint]",
    `mode = "${layout.recompute}"`,
    ...(layout.recompute === "selective" ? ['selective_ac_option = "op"'] : []),
    "",
    "[compile]",
    "enable = true",
    ...(question.precision === "fp8"
      ? [
          "",
          "[quantize.linear.float8]",
          "enable_fsdp_float8_all_gather = true",
          "",
          "[model.converters]",
          '# converters = ["quantize.linear.float8"]',
        ]
      : []),
    "",
    "[checkpoint]",
    "enable = true",
    `interval = ${saveEvery}`,
    'async_mode = "async"',
  ];
  return `${header(job)}cat > train.toml <<'TOML'
${config.join("\n")}
TOML
torchrun --nnodes ${nodes} --nproc-per-node ${perNode} --rdzv-backend c10d --rdzv-endpoint "$MASTER_ADDR:\${MASTER_PORT:-29500}" \\
  -m torchtitan.train --job.config_file train.toml
`;
}
