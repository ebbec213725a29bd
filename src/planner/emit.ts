/**
 * Writes the command lines that start a planned training run in other people's frameworks.
 * Knows: scripts, torchrun and srun, torchtitan's settings. Does not know: Megatron's flags (emit-megatron.ts), data, accounts.
 */

import { BadInput, didYouMean } from "../spec/bad-input.ts";
import { type Job, megatronFlags, mindspeedFlags, torchtitanVersion, versionOf } from "./emit-megatron.ts";
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
      return script(job, megatronFlags(job), versionOf.megatron);
    case "mindspeed":
      return script(job, mindspeedFlags(job), versionOf.mindspeed);
    case "torchtitan":
      return torchtitan(job);
    case "slurm":
      return question.accelerator.platform === "ascend"
        ? slurm(job, mindspeedFlags(job), versionOf.mindspeed)
        : slurm(job, megatronFlags(job), versionOf.megatron);
    default:
      return known satisfies never;
  }
}

/** Megatron's FSDP refuses CUDA_DEVICE_MAX_CONNECTIONS=1; tensor and context parallelism before Blackwell require it. */
function environment({ layout, question }: Job): string {
  const lines = layout.zero >= 2 ? [] : ["export CUDA_DEVICE_MAX_CONNECTIONS=1"];
  if (question.accelerator.platform === "ascend") lines.push("export HCCL_CONNECT_TIMEOUT=3600");
  return lines.map((line) => `${line}\n`).join("");
}

const header = (job: Job, version: string): string =>
  `#!/bin/bash
# ${job.question.architecture.name} on ${job.nodes} nodes of ${job.perNode} ${job.question.accelerator.id}, planned by dualgauge.
# Flags of ${version}. Set DATA, TOKENIZER and MASTER_ADDR; the learning rate is a placeholder.
set -euo pipefail
`;

function script(job: Job, flags: readonly string[], version: string): string {
  return `${header(job, version)}${environment(job)}torchrun --nnodes ${job.nodes} --nproc-per-node ${job.perNode} \\
  --rdzv-backend c10d --rdzv-endpoint "$MASTER_ADDR:\${MASTER_PORT:-29500}" --max-restarts 0 \\
  pretrain_gpt.py \\
${flags.map((flag) => `  ${flag}`).join(" \\\n")}
`;
}

function slurm(job: Job, flags: readonly string[], version: string): string {
  const resource = job.question.accelerator.platform === "ascend" ? "npu" : "gpu";
  return `#!/bin/bash
#SBATCH --job-name=${job.question.architecture.name.replace(/[^A-Za-z0-9.-]/g, "-")}
#SBATCH --nodes=${job.nodes}
#SBATCH --ntasks-per-node=1
#SBATCH --gres=${resource}:${job.perNode}
#SBATCH --exclusive
#SBATCH --requeue
# Planned by dualgauge for ${job.question.accelerator.id}; flags of ${version}. Set DATA and TOKENIZER; LR is a placeholder.
set -euo pipefail
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1) MASTER_PORT=29500
${environment(job)}srun --kill-on-bad-exit=1 torchrun --nnodes "$SLURM_NNODES" --nproc-per-node ${job.perNode} \\
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
    `name = "${a.mla ? "deepseek_v3" : a.queryKeyNorm ? "qwen3" : a.moe ? "llama4" : "llama3"}"`,
    'hf_assets_path = "./assets/hf"',
    ...(question.precision === "fp8" ? ['converters = ["quantize.linear.float8"]'] : []),
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
      ? [
          `pipeline_parallel_schedule = "${schedule}"`,
          `pipeline_parallel_microbatch_size = ${layout.microBatch}`,
          `pipeline_parallel_layers_per_stage = ${Math.ceil(a.layers / (layout.pp * layout.vpp))}`,
          "pipeline_parallel_first_stage_less_layers = 0",
          "pipeline_parallel_last_stage_less_layers = 0",
        ]
      : []),
    ...(a.moe ? [`expert_parallel_degree = ${layout.ep}`] : []),
    "",
    "[activation_checkpoint]",
    `mode = "${layout.recompute}"`,
    ...(layout.recompute === "selective" ? ['selective_ac_option = "op"'] : []),
    "",
    "[compile]",
    "enable = true",
    ...(question.precision === "fp8" ? ["", "[quantize.linear.float8]", "enable_fsdp_float8_all_gather = true"] : []),
    "",
    "[checkpoint]",
    "enable = true",
    `interval = ${saveEvery}`,
    'async_mode = "async"',
  ];
  return `${header(job, torchtitanVersion)}cat > train.toml <<'TOML'
${config.join("\n")}
TOML
torchrun --nnodes ${nodes} --nproc-per-node ${perNode} --rdzv-backend c10d --rdzv-endpoint "$MASTER_ADDR:\${MASTER_PORT:-29500}" \\
  -m torchtitan.train --job.config_file train.toml
`;
}
