/**
 * A planned layout as the flags of Megatron-LM and of MindSpeed-LLM, which builds on an older Megatron.
 * Knows: flags, and which version has which (catalog/data/framework-flags.json holds them). Does not know: launchers, scripts.
 */
import type { Architecture } from "../spec/architecture.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { TrainingEstimate, TrainingQuestion } from "./train.ts";

type Dialect = "megatron" | "mindspeed";

/** The versions that the flags were checked against, flag by flag. */
export const versionOf: Readonly<Record<Dialect, string>> = {
  megatron: "Megatron-LM core 0.15.3",
  mindspeed: "MindSpeed-LLM 2.3.0 on Megatron-LM core 0.12.1",
};
export const torchtitanVersion = "torchtitan 0.2.2";

export interface Job {
  readonly question: TrainingQuestion;
  readonly layout: TrainingEstimate["layout"];
  readonly nodes: number;
  readonly perNode: number;
  readonly steps: number;
  readonly saveEvery: number;
}

/** Flags of pretrain_gpt.py; BadInput for a layout or a model that it cannot express. */
export function megatronFlags(job: Job): string[] {
  refuse(job, "Megatron-LM");
  return [
    ...sharedFlags(job, "megatron"),
    "--no-create-attention-mask-in-dataloader",
    `--tokenizer-type HuggingFaceTokenizer --tokenizer-model "$TOKENIZER"`,
  ];
}

/** Flags of MindSpeed-LLM's pretrain_gpt.py; BadInput likewise. It names the tokenizer in its own words and brings its own kernels. */
export function mindspeedFlags(job: Job): string[] {
  const { layout, question } = job;
  refuse(job, "MindSpeed-LLM");
  if (layout.zero >= 2) throw new BadInput("--emit: MindSpeed-LLM 2.3 has no Megatron FSDP; use zero=1");
  if (question.precision === "fp8" || question.precision === "fp4")
    throw new BadInput(`--emit: MindSpeed-LLM 2.3 trains in bf16 or fp16, not ${question.precision}`);
  return [
    ...sharedFlags(job, "mindspeed"),
    "--use-mcore-models --transformer-impl local --use-flash-attn --use-fused-rmsnorm --use-fused-swiglu --use-fused-rotary-pos-emb",
    ...(question.architecture.mla ? ["--spec mindspeed_llm.tasks.models.spec.deepseek_spec layer_spec"] : []),
    ...(layout.tp > 1 ? ["--use-ascend-mc2"] : []),
    ...(layout.cp > 1 ? ["--context-parallel-algo megatron_cp_algo"] : []),
    // The name stays nccl: torch_npu puts HCCL in its place.
    "--distributed-backend nccl",
    `--tokenizer-type PretrainedFromHF --tokenizer-name-or-path "$TOKENIZER"`,
  ];
}

function refuse({ question, layout }: Job, framework: string): void {
  if (question.architecture.recurrent)
    throw new BadInput(
      `--emit: pretrain_gpt.py of ${framework} builds no recurrent layers; ${question.architecture.name} needs its own program`,
    );
  if (layout.schedule === "zero-bubble" || layout.schedule === "dualpipe")
    throw new BadInput(
      `--emit: ${framework} has no ${layout.schedule} schedule; plan with --schedule 1f1b or interleaved`,
    );
}

/** What no plan knows and every run needs; Megatron's own dropout is 0.1 and its learning rate unset. */
const trainingFlags = [
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell fills it in
  '--lr "${LR:-1e-4}" --lr-decay-style cosine --lr-warmup-fraction 0.01 --weight-decay 0.1 --clip-grad 1.0',
  "--attention-dropout 0 --hidden-dropout 0",
];

function sharedFlags({ question, layout, steps, saveEvery }: Job, dialect: Dialect): string[] {
  const { architecture: a, seq, globalBatch, precision } = question;
  if (layout.zero >= 2 && layout.pp > 1)
    throw new BadInput("--emit: Megatron-LM's FSDP does not combine with pp; use zero=1");
  return [
    `--tensor-model-parallel-size ${layout.tp}`,
    `--pipeline-model-parallel-size ${layout.pp}`,
    `--context-parallel-size ${layout.cp}`,
    ...(a.moe
      ? [
          `--expert-model-parallel-size ${layout.ep}`,
          `--expert-tensor-parallel-size ${layout.ep === 1 ? layout.tp : 1}`,
        ]
      : []),
    ...stageFlags(a, layout, dialect),
    ...(layout.tp > 1 ? ["--sequence-parallel"] : []),
    ...(layout.zero === 1 ? ["--use-distributed-optimizer", "--overlap-grad-reduce", "--overlap-param-gather"] : []),
    ...(layout.zero >= 2
      ? [
          `--use-megatron-fsdp --use-distributed-optimizer --data-parallel-sharding-strategy ${layout.zero === 3 ? "optim_grads_params" : "optim_grads"}`,
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
    ...modelFlags(a, dialect),
    ...trainingFlags,
    `--save-interval ${saveEvery}`,
    `--save checkpoints --load checkpoints --ckpt-format ${layout.zero >= 2 ? "fsdp_dtensor" : "torch_dist --async-save"}`,
    "--log-interval 1 --log-throughput",
    `--data-path "$DATA" --eval-iters 0`,
  ];
}

/** How layers fall on stages: evenly by count, else stage by stage as the plan counts them. */
function stageFlags(a: Architecture, { pp, vpp }: Job["layout"], dialect: Dialect): string[] {
  const chunks = pp * vpp;
  if (chunks === 1) return [];
  if (a.layers % chunks === 0) return vpp > 1 ? [`--num-layers-per-virtual-pipeline-stage ${a.layers / chunks}`] : [];
  const layers = layersPerChunk(a.layers, chunks);
  if (dialect === "megatron") return [`--pipeline-model-parallel-layout "${stageLayout(layers, a.mtpLayers)}"`];
  if (vpp > 1)
    throw new BadInput(
      `--emit: MindSpeed-LLM cannot interleave ${a.layers} layers over ${chunks} stages; plan with --schedule 1f1b`,
    );
  return [`--num-layer-list ${layers.join(",")}`];
}

/** Layers of each stage, as even as can be; the first stage, which has the embedding, gets one more last. */
function layersPerChunk(layers: number, chunks: number): number[] {
  const least = Math.floor(layers / chunks);
  const more = layers % chunks;
  return Array.from({ length: chunks }, (_, i) => least + (i >= 1 && i <= more ? 1 : 0));
}

/** Megatron's notation: E embedding, t layer, m prediction layer, L loss, stages apart by |. */
function stageLayout(layers: readonly number[], predictionLayers: number): string {
  const last = layers.length - 1;
  return layers
    .map((count, i) => {
      const body = count > 0 ? `t*${count}` : "";
      const parts = i === last ? [body, ...Array<string>(predictionLayers).fill("m"), "L"] : [body];
      return (i === 0 ? ["E", ...parts] : parts).filter((part) => part !== "").join(",");
    })
    .join("|");
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

function modelFlags(a: Architecture, dialect: Dialect): string[] {
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
    // Of latent attention it is the norm of the compressed queries and keys.
    ...(a.queryKeyNorm || a.mla ? ["--qk-layernorm"] : []),
    ...(a.window > 0 && a.windowLayers > 0 ? windowFlags(a, dialect) : []),
  ];
  if (a.mla)
    flags.push(
      "--multi-latent-attention",
      ...(a.mla.queryRank > 0 ? [`--q-lora-rank ${a.mla.queryRank}`] : []),
      `--kv-lora-rank ${a.mla.keyValueRank} --qk-head-dim ${a.mla.nopeHeadDim} --qk-pos-emb-head-dim ${a.mla.ropeHeadDim} --v-head-dim ${a.mla.valueHeadDim}`,
    );
  else flags.push(`--group-query-attention --num-query-groups ${a.kvHeads}`, `--kv-channels ${a.headDim}`);
  if (a.moe) flags.push(...expertFlags(a.moe, a.layers, dialect));
  if (a.mtpLayers > 0) flags.push(`--mtp-num-layers ${a.mtpLayers}`);
  return flags;
}

function windowFlags(a: Architecture, dialect: Dialect): string[] {
  if (dialect === "mindspeed")
    throw new BadInput("--emit: MindSpeed-LLM 2.3 has no flag for sliding windows; use another model");
  // One full layer in every so many; a model whose windows follow another pattern needs a list of its own.
  const every = a.windowLayers >= a.layers ? 0 : Math.round(a.layers / (a.layers - a.windowLayers));
  return [`--window-size "${a.window - 1},0"`, ...(every > 1 ? [`--window-attn-skip-freq ${every}`] : [])];
}

function expertFlags(moe: NonNullable<Architecture["moe"]>, layers: number, dialect: Dialect): string[] {
  return [
    `--num-experts ${moe.experts} --moe-router-topk ${moe.expertsPerToken} --moe-ffn-hidden-size ${moe.expertFfn}`,
    ...(moe.sharedFfn > 0 ? [`--moe-shared-expert-intermediate-size ${moe.sharedFfn}`] : []),
    ...mixtureLayers(moe, layers, dialect),
    ...(moe.groupsPerToken > 0
      ? [
          `--moe-router-num-groups ${moe.groups} --moe-router-group-topk ${moe.groupsPerToken} --moe-router-score-function sigmoid --moe-router-enable-expert-bias`,
        ]
      : []),
    "--moe-token-dispatcher-type alltoall --moe-grouped-gemm --moe-permute-fusion",
  ];
}

/** Which layers are mixtures: Megatron takes a list, MindSpeed-LLM two numbers. */
function mixtureLayers(moe: NonNullable<Architecture["moe"]>, layers: number, dialect: Dialect): string[] {
  if (moe.denseLayers === 0 && moe.everyLayers === 1) return [];
  if (dialect === "mindspeed")
    return [`--first-k-dense-replace ${moe.denseLayers} --moe-layer-freq ${moe.everyLayers}`];
  const pattern = Array.from({ length: layers }, (_, i) =>
    i < moe.denseLayers || (i - moe.denseLayers) % moe.everyLayers !== moe.everyLayers - 1 ? 0 : 1,
  );
  return [`--moe-layer-freq "[${pattern.join(",")}]"`];
}
