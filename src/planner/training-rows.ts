/**
 * Reads published training runs as people record them and says what is known of each.
 * Knows: the row schema, software stacks by their words, FLOPs conventions. Does not know: predictions, files.
 */
import * as z from "zod";
import { findAccelerator } from "../catalog/accelerators.ts";
import { findModel } from "../catalog/models.ts";
import { type Stack, stacks } from "../cost/constants.ts";
import { type FlopsConvention, flopsConventions } from "../cost/flops.ts";
import { type TrainingPrecision, trainingPrecisions } from "../cost/hardware.ts";
import { Architecture } from "../spec/architecture.ts";
import { type Recompute, recomputes, type Schedule, schedules } from "../spec/layout.ts";

const number = z.number().finite().nonnegative().nullish();
const whole = z.int().positive().nullish();

/** A row of a training-runs file; keys that are not read here are kept out of the way. */
export const TrainingRow = z.looseObject({
  id: z.string().max(300),
  model: z.looseObject({
    name: z.string().max(200),
    layers: whole,
    hidden: whole,
    ffn: whole,
    heads: whole,
    kv_heads: whole,
    head_dim: whole,
    vocab: whole,
    seq_len: whole,
    moe: z
      .looseObject({
        experts: whole,
        active: whole,
        shared: z.int().nonnegative().nullish(),
        expert_ffn: whole,
        dense_layers: z.int().nonnegative().nullish(),
      })
      .nullish(),
    mla: z.unknown().optional(),
    swiglu: z.boolean().nullish(),
    tied_embeddings: z.boolean().nullish(),
  }),
  accelerator: z.string().max(200),
  num_devices: whole,
  devices_per_node: whole,
  intra_node_link: z.string().max(500).nullish(),
  inter_node_link: z.string().max(500).nullish(),
  parallelism: z
    .looseObject({
      tp: whole,
      pp: whole,
      dp: whole,
      ep: whole,
      cp: whole,
      vpp: whole,
      sequence_parallel: z.boolean().nullish(),
      zero_stage: z.int().min(0).max(3).nullish(),
      schedule: z.string().nullish(),
      mc2: z.boolean().nullish(),
    })
    .nullish(),
  micro_batch: whole,
  global_batch: whole,
  precision: z.string().max(200).nullish(),
  recompute: z.string().max(300).nullish(),
  measured: z.looseObject({
    step_time_s: number,
    tokens_per_s_per_device: number,
    achieved_tflops_per_device: number,
    mfu: number,
    hfu: number,
    total_device_hours: number,
    total_tokens: number,
    days: number,
  }),
  memory_reported: z.string().max(200).nullish(),
  layer_ms: z.record(z.string(), z.unknown()).nullish(),
  notes: z.string().max(5000).nullish(),
  source: z.string().max(1000).nullish(),
  family: z.string().max(100).nullish(),
  quality: z.string().max(100).nullish(),
  task: z.string().max(200).nullish(),
});
export type TrainingRow = z.infer<typeof TrainingRow>;

/** What was measured of a run, in base units. */
export const Quantity = z.enum([
  "stepSeconds",
  "tokensPerSecondPerDevice",
  "flopsPerSecondPerDevice",
  "mfu",
  "layerSeconds",
  "deviceHours",
  "days",
]);
export type Quantity = z.infer<typeof Quantity>;

const unknownWhole = z.int().positive().nullable().default(null);
const unknownAmount = z.number().positive().nullable().default(null);
const flag = z.boolean().default(false);

/** A published run with what is known and unknown (null) of its configuration. */
export const TrainingCase = z.strictObject({
  id: z.string(),
  family: z.string(),
  accelerator: z.string(),
  architecture: Architecture.nullable(),
  modelName: z.string(),
  devices: unknownWhole,
  seq: unknownWhole,
  globalBatch: unknownWhole,
  microBatch: unknownWhole,
  tp: unknownWhole,
  pp: unknownWhole,
  dp: unknownWhole,
  ep: unknownWhole,
  cp: unknownWhole,
  vpp: unknownWhole,
  zero: z
    .union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)])
    .nullable()
    .default(null),
  recompute: z.enum(recomputes).nullable().default(null),
  schedule: z.enum(schedules).nullable().default(null),
  sequenceParallel: z.boolean().nullable().default(null),
  precision: z.enum(trainingPrecisions).default("bf16"),
  stack: z.enum(stacks),
  rowwiseScaling: flag,
  blockScaled: flag,
  fusedAttention: flag,
  attentionAge: z.number().default(0),
  tensorOverlap: flag,
  forcedBalance: flag,
  staticRouting: flag,
  /** Slots per expert over the mean load where experts compute a fixed number of slots; 1 where they do not. */
  capacityFactor: z.number().min(1).default(1),
  adaptersOnly: flag,
  /** Mean length of the documents packed into a sequence where attention stays inside each; null when it does not. */
  documentTokens: unknownAmount,
  offloadedOptimizer: flag,
  compiled: flag,
  /** Years of the software's release since January 2026, where a stack's releases are told apart. */
  releaseYears: z.number().default(0),
  /** Network of this run where the row gives it: one-way bytes/s per device. */
  interBytesPerSecond: unknownAmount,
  intraBytesPerSecond: unknownAmount,
  quantity: Quantity,
  measured: z.number().positive(),
  convention: z.enum(flopsConventions).default("model-causal"),
  totalTokens: unknownAmount,
  /** Memory that the run reported on its devices. */
  reportedMemoryBytes: unknownAmount,
  source: z.string().default(""),
});
export type TrainingCase = z.infer<typeof TrainingCase>;

/** Software by the words of a row, first match wins; `fused` says whether its attention is (FlashAttention came in 2022). */
const stackWords: readonly (readonly [RegExp, Stack, boolean])[] = [
  [/2412\.19437|deepseek-ai\/(?:deepseek-v3|profile)/, "deepseek", true],
  [/zero3|zero-3 without/, "deepspeed", false],
  [/megascale-moe/, "megascale", true],
  [/megascale \(full|-megascale\b|ablation-[6-9]/, "megascale", true],
  [/megascale/, "megatron-2022", false],
  [/korthikanti/, "megatron-2022", false],
  [/mosaic|llm-foundry|ibm-fsdp|pytorch fsdp/, "fsdp", true],
  [/opt-175b|fsdp-paper/, "fsdp", false],
  [/torchtitan|nanotron/, "torchtitan", true],
  [/fireflyer|fire-flyer/, "megatron-core", true],
  [/stas-|deepspeed zero/, "fsdp", true],
  [
    /bloom|sc21|mtnlg|glm130b|gpt-neox|megatron-readme|palm|hardware-flops convention|hardware flops convention/,
    "megatron-2021",
    false,
  ],
  [/frontier/, "megatron-core", true],
  [/nemo|mbridge|bridge/, "bridge", true],
  [/maxtext|jax|tpu/, "maxtext", true],
  [/mindspeed|ascend|modellink|pangu/, "mindspeed", true],
];

function stackOf(row: TrainingRow): readonly [Stack, boolean] {
  const words = `${row.id} ${row.family ?? ""} ${row.source ?? ""} ${row.notes ?? ""} ${row.accelerator}`.toLowerCase();
  if (/nemotron4/.test(row.id)) return ["megatron-core", true];
  for (const [pattern, stack, fused] of stackWords) if (pattern.test(words)) return [stack, fused];
  return ["megatron-core", true];
}

/** The format of the matrix products, from the words of a row; unknown is bf16, the commonest. */
export function precisionOf(text: string | null | undefined): TrainingPrecision {
  const words = (text ?? "").toLowerCase();
  if (words.includes("fp4")) return "fp4";
  if (words.includes("fp8")) return "fp8";
  if (words.includes("fp16") && !words.includes("bf16") && !words.includes("bfp16")) return "fp16";
  return "bf16";
}

function recomputeOf(text: string | null | undefined): Recompute | null {
  if (!text) return null;
  const words = text.toLowerCase();
  if (words.startsWith("none") || words.startsWith("no ") || words.includes("no-recompute") || words === "seqparallel")
    return "none";
  // One recomputed layer of a stage's ten is nearer to selective recompute than to full.
  if (/block num_layers=1\b/.test(words)) return "selective";
  if (words.startsWith("full") && !/num_layers=\d+ \(/.test(words)) return "full";
  if (words.includes("full block") || words.includes("full uniform")) return "full";
  return "selective";
}

function scheduleOf(row: TrainingRow): Schedule | null {
  const words = `${row.parallelism?.schedule ?? ""}`.toLowerCase();
  if (words.includes("dualpipe")) return "dualpipe";
  if (words.includes("zero")) return "zero-bubble";
  if (/interleaved1f1b/.test(row.id) || /interleaved schedule|with interleaving/i.test(row.notes ?? ""))
    return (row.parallelism?.pp ?? 1) > 1 ? "interleaved" : null;
  return (row.parallelism?.vpp ?? 1) > 1 ? "interleaved" : null;
}

/** Which FLOPs a row's own TFLOPS and MFU count. */
function conventionOf(row: TrainingRow, stack: Stack): FlopsConvention {
  const words = `${row.notes ?? ""} ${row.source ?? ""}`.toLowerCase();
  if (
    /hardware[ -]flops|hw[ -]flops|hw flops/.test(words) ||
    row.id.startsWith("sc21") ||
    row.id.startsWith("fsdp-paper") ||
    row.id.startsWith("gpt-neox")
  )
    return "hardware-full-recompute";
  if (/causal-attention|causal attention/.test(words) && !/non-causal/.test(words)) return "model-causal";
  if (
    /megascale|korthikanti|mcore-h100|mcore-moe|megatron-core r0|nemo-longseq|non-causal|nemotron4/.test(
      `${row.id} ${words}`,
    )
  )
    return "model-full";
  return stack === "megatron-2021" || stack === "megatron-2022" || stack === "maxtext" ? "model-full" : "model-causal";
}

const mlaWidths = z.looseObject({
  q_lora_rank: z.int().nonnegative().nullish(),
  kv_lora_rank: z.int().positive(),
  qk_nope_head_dim: z.int().positive(),
  qk_rope_head_dim: z.int().positive(),
  v_head_dim: z.int().positive(),
});

/** The row's own shape where it gives one, completed by the preset of that name; null when neither says enough. */
export function architectureOf(model: TrainingRow["model"]): Architecture | null {
  const preset = findModel(model.name)?.architecture() ?? null;
  if (!model.layers || !model.hidden || !model.heads) return preset;
  const ffn = model.ffn ?? preset?.ffn ?? 0;
  const moe = model.moe?.experts && model.moe.active && model.moe.expert_ffn ? model.moe : null;
  if (ffn === 0 && !moe) return preset;
  const mla = mlaWidths.safeParse(model.mla);
  const plain = ffn === 4 * model.hidden && !moe;
  const gated = preset?.gated ?? model.swiglu ?? !plain;
  const built = Architecture.safeParse({
    name: model.name,
    layers: model.layers,
    hidden: model.hidden,
    ffn,
    heads: model.heads,
    kvHeads: model.kv_heads ?? model.heads,
    headDim: mla.success
      ? mla.data.qk_nope_head_dim + mla.data.qk_rope_head_dim
      : Math.max(1, Math.round(model.head_dim ?? model.hidden / model.heads)),
    vocab: model.vocab ?? preset?.vocab ?? 51200,
    gated,
    tiedEmbeddings: model.tied_embeddings ?? preset?.tiedEmbeddings ?? !gated,
    learnedPositions: 0,
    bias: preset?.bias ?? (gated ? "none" : "all"),
    norm: preset?.norm ?? (gated ? "rms" : "layer"),
    normsPerLayer: preset?.normsPerLayer ?? 2,
    queryKeyNorm: preset?.queryKeyNorm ?? false,
    window: preset?.window ?? 0,
    windowLayers: preset?.windowLayers ?? 0,
    moe: moe
      ? {
          experts: moe.experts,
          expertsPerToken: moe.active,
          expertFfn: moe.expert_ffn,
          sharedFfn: preset?.moe?.sharedFfn ?? (moe.shared ?? 0) * (moe.expert_ffn ?? 0),
          denseLayers: moe.dense_layers ?? 0,
          everyLayers: 1,
          groupsPerToken: preset?.moe?.groupsPerToken ?? 0,
          groups: preset?.moe?.groups ?? 1,
          latent: 0,
        }
      : null,
    mla: mla.success
      ? {
          queryRank: mla.data.q_lora_rank ?? 0,
          keyValueRank: mla.data.kv_lora_rank,
          nopeHeadDim: mla.data.qk_nope_head_dim,
          ropeHeadDim: mla.data.qk_rope_head_dim,
          valueHeadDim: mla.data.v_head_dim,
        }
      : (preset?.mla ?? null),
    recurrent: preset?.recurrent ?? null,
    mtpLayers: /w\/o mtp/i.test(model.name) ? 0 : (preset?.mtpLayers ?? 0),
  });
  return built.success ? built.data : preset;
}

/** The one quantity by which a row is judged: time first, then rates, then totals; null when nothing was measured. */
function measuredOf(row: TrainingRow): { quantity: Quantity; measured: number } | null {
  const m = row.measured;
  if (m.step_time_s) return { quantity: "stepSeconds", measured: m.step_time_s };
  if (m.tokens_per_s_per_device) return { quantity: "tokensPerSecondPerDevice", measured: m.tokens_per_s_per_device };
  if (m.achieved_tflops_per_device)
    return { quantity: "flopsPerSecondPerDevice", measured: m.achieved_tflops_per_device * 1e12 };
  if (m.mfu) return { quantity: "mfu", measured: m.mfu };
  const combined = row.layer_ms?.combined ?? row.layer_ms?.total;
  if (typeof combined === "number") return { quantity: "layerSeconds", measured: combined / 1000 };
  if (m.total_device_hours && m.total_tokens) return { quantity: "deviceHours", measured: m.total_device_hours };
  if (m.days && m.total_tokens) return { quantity: "days", measured: m.days };
  return null;
}

/** DeepSpeed's pipeline engine does not interleave (deepspeed.ai/tutorials/pipeline). */
const deepspeedPipelines = /^(?:mtnlg|gpt-neox|glm130b|bloom)/;

/**
 * Instruction data and encyclopedia articles, which MindSpeed's packed examples train on, are some hundred tokens long; as
 * attention within them costs next to nothing, the figure does not matter much.
 */
const usualDocumentTokens = 512;

const known = (value: number | null | undefined): number | null => value ?? null;

/** Everything the model needs of a row, or the reason why there is nothing to predict. */
export function trainingCase(row: TrainingRow): TrainingCase | { reason: string } {
  const measurement = measuredOf(row);
  if (!measurement) return { reason: "nothing was measured" };
  const accelerator = findAccelerator(row.accelerator);
  if (!accelerator) return { reason: `accelerator ${row.accelerator} is not in the catalog` };
  const [stack, fused] = stackOf(row);
  const words = `${row.id} ${row.notes ?? ""} ${row.task ?? ""}`.toLowerCase();
  const p = row.parallelism ?? {};
  // torchtitan's "local batch" is what a pipeline cuts, by default into as many micro-batches as it has stages.
  const pipelined = stack === "torchtitan" && (p.pp ?? 1) > 1;
  const stages = pipelined ? (p.pp ?? 1) : 1;
  return {
    id: row.id,
    family: row.family ?? "other",
    accelerator: accelerator.id,
    architecture: architectureOf(row.model),
    modelName: row.model.name,
    devices: known(row.num_devices),
    seq: known(row.model.seq_len),
    globalBatch: known(row.global_batch) ?? (pipelined && row.micro_batch && p.dp ? row.micro_batch * p.dp : null),
    microBatch: row.micro_batch ? Math.max(1, Math.floor(row.micro_batch / stages)) : null,
    tp: known(p.tp),
    pp: known(p.pp),
    dp: known(p.dp),
    ep: known(p.ep),
    cp: known(p.cp),
    vpp: known(p.vpp) ?? (deepspeedPipelines.test(row.id) ? 1 : null),
    zero: stageOf(p.zero_stage),
    recompute: recomputeOf(row.recompute),
    schedule: scheduleOf(row),
    sequenceParallel: p.sequence_parallel ?? null,
    precision: row.precision || accelerator.peakFlopsPerSecond.bf16 !== null ? precisionOf(row.precision) : "fp16",
    rowwiseScaling: /rowwise/.test(row.precision ?? ""),
    stack,
    fusedAttention: fused,
    tensorOverlap:
      stack === "bridge" ||
      stack === "megascale" ||
      stack === "megatron-core" ||
      (p.mc2 ?? stack === "mindspeed") ||
      /asynctp/.test(words.replaceAll(" ", "")),
    forcedBalance: !/dropless/.test(words) || /force-balance|forced-balance/.test(words),
    staticRouting: /tokendrop|token drop/.test(
      `${words} ${row.model.name.toLowerCase()}`.replace("name says tokendrop", ""),
    ),
    capacityFactor: Math.max(1, Number(/capacity factor (\d+(?:\.\d+)?)/.exec(words)?.[1] ?? 1)),
    adaptersOnly: /\blora\b/.test(words),
    documentTokens: /packed pre-training/.test(words) ? usualDocumentTokens : null,
    offloadedOptimizer: /cpu adamw offload/.test(words) && p.zero_stage === 3,
    compiled: fusedPasses(stack, words, p.mc2),
    attentionAge: attentionAge(stack, words),
    interBytesPerSecond: networkOf(row),
    intraBytesPerSecond: linkOf(row),
    blockScaled: /mx|nvfp4/.test((row.precision ?? "").toLowerCase()),
    releaseYears: stack === "bridge" ? releaseOf(row) : stack === "mindspeed" ? publishedYears(row.id) : 0,
    ...measurement,
    convention: conventionOf(row, stack),
    totalTokens: row.measured.total_tokens || null,
    reportedMemoryBytes: memoryOf(row),
    source: row.source ?? "",
  };
}

/** One-way bytes/s per device of a row's network, from words such as `8x 200 Gb/s`, `1600 Gbps/node` or `4x Omni-Path`; null when not said. */
function networkOf(row: TrainingRow): number | null {
  const words = row.inter_node_link ?? "";
  const devices = row.devices_per_node ?? 8;
  const omniPath = /(\d+)x Omni-Path/.exec(words);
  if (omniPath) return (Number(omniPath[1]) * 12.5e9) / devices;
  const rate = /(\d+) ?Gb(?:\/s|ps)/.exec(words);
  if (!rate) return null;
  const rails = /(\d+)x ?\d+ ?Gb/.exec(words);
  const perNode = /node/.test(words) && !rails;
  const bytes = (Number(rate[1]) / 8) * 1e9;
  if (perNode) return bytes / devices;
  return rails ? (bytes * Number(rails[1])) / devices : null;
}

function attentionAge(stack: Stack, words: string): number {
  if (/liger/.test(words)) return 0;
  if (stack === "torchtitan" || stack === "fsdp" || stack === "deepspeed") return 1;
  return /nemo24|nemo 24\.0|24\.03|24\.07/.test(words) ? 0.5 : 0;
}

/** Years between January 2026 and the container release (`26.04.01`, `Container 25.11`) of a row; 0 when it names none. */
function releaseOf(row: TrainingRow): number {
  const version =
    /\b(2[3-9])\.(0[1-9]|1[0-2])\b/.exec(`${row.id} ${row.notes ?? ""}`) ?? /nemo(2[3-9])(0[1-9]|1[0-2])/.exec(row.id);
  // Before Megatron Bridge (mid-2025) the software was another one, and its age says nothing about this one.
  return version ? Math.max(-0.5, Number(version[1]) - 26 + (Number(version[2]) - 1) / 12) : 0;
}

/** Years between January 2026 and the month in an id such as `mindspeed2410-…` or `mindspeed-mfu-2024-12-…`; 0 without one. */
function publishedYears(id: string): number {
  const month = /^mindspeed(2\d)(\d\d)-|-20(2\d)-(\d\d)-/.exec(id);
  const year = Number(month?.[1] ?? month?.[3]);
  return month ? year - 26 + (Number(month[2] ?? month[4]) - 1) / 12 : 0;
}

/** MindSpeed's example scripts switch their fused kernels on together, MC2 among them; torchtitan's passes are fused by its compiler, nanotron's are run as written. */
function fusedPasses(stack: Stack, words: string, mc2: boolean | null | undefined): boolean {
  if (stack === "mindspeed") return mc2 !== false;
  return stack !== "torchtitan" || /compile|async/.test(words);
}

/** Bytes of a note such as `56GB`, which tools mean as GiB; null when it holds no number. */
function memoryOf(row: TrainingRow): number | null {
  const amount = /(\d+(?:\.\d+)?) ?Gi?B/.exec(row.memory_reported ?? "");
  return amount ? Number(amount[1]) * 2 ** 30 : null;
}

/** One-way bytes/s per device inside the node where a row counts its NVLinks (25 GB/s each since NVLink 2); null otherwise. */
function linkOf(row: TrainingRow): number | null {
  const links = /NVLink \((\d+) inter-GPU\)/.exec(row.intra_node_link ?? "");
  return links ? Number(links[1]) * 25e9 : null;
}

function stageOf(stage: number | null | undefined): 0 | 1 | 2 | 3 | null {
  return stage === 0 || stage === 1 || stage === 2 || stage === 3 ? stage : null;
}

/** The key under which rows count as one configuration: model, accelerator, devices, parallelism, batch and precision. */
export function configurationKey(c: TrainingCase): string {
  const a = c.architecture;
  const shape = a ? [a.layers, a.hidden, a.ffn, a.heads, a.vocab, a.moe?.experts ?? 0] : [c.modelName];
  return [
    ...shape,
    c.seq,
    c.accelerator,
    c.devices,
    c.tp,
    c.pp,
    c.dp,
    c.ep,
    c.cp,
    c.vpp,
    c.zero,
    c.microBatch,
    c.globalBatch,
    c.precision,
  ]
    .map((part) => part ?? "?")
    .join("/");
}
