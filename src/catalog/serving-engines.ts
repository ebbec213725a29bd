/**
 * What serving engines do by default: how many sequences, how many tokens a step, how much memory, which scheduling.
 * Knows: defaults of the versions named in the published runs; `source` says what was read and what is assumed. Does not know: how fast they are.
 */
import type { EngineFamily } from "./inference-constants.ts";

export interface EngineDefaults {
  family: EngineFamily;
  /** Share of device memory that weights, workspace and cache may use together. */
  memoryShare: number;
  sequencesMax: number;
  stepTokensMax: number;
  outputReserved: number;
  mixed: boolean;
  /** GiB per device beside weights and cache where it is far from the fitted one. */
  reserveGibibytes?: number;
  source: string;
}

const GiB = 2 ** 30;
const engines: Readonly<Record<EngineFamily, Omit<EngineDefaults, "family">>> = {
  "trtllm-engine": {
    memoryShare: 0.95,
    sequencesMax: 4096,
    stepTokensMax: 8192,
    outputReserved: 1,
    mixed: true,
    source:
      "TensorRT-LLM v0.17 docs/source/performance/perf-overview.md; tensorrt_llm/bench/build/tuning.py; GUARANTEED_NO_EVICT",
  },
  trtllm: {
    memoryShare: 0.9,
    sequencesMax: 2048,
    stepTokensMax: 8192,
    outputReserved: 1,
    mixed: true,
    source:
      "TensorRT-LLM llm_args.py: free_gpu_memory_fraction 0.9 (read); max_batch_size 2048 and max_num_tokens 8192: assumption, recalled from its builder",
  },
  "trtllm-serve": {
    memoryShare: 0.9,
    sequencesMax: 2048,
    stepTokensMax: 8192,
    outputReserved: 1,
    mixed: true,
    source: "as trtllm, behind its OpenAI-compatible server",
  },
  "vllm-2024": {
    memoryShare: 0.9,
    sequencesMax: 256,
    stepTokensMax: 512,
    outputReserved: 0.5,
    mixed: true,
    reserveGibibytes: 8,
    source:
      "vLLM 0.6 arg_utils.py and config.py: 256 sequences; contexts above 32K turn chunked prefill on, 512 tokens a step; reserve: assumption",
  },
  vllm: {
    memoryShare: 0.9,
    sequencesMax: 1024,
    stepTokensMax: 8192,
    outputReserved: 0.5,
    mixed: true,
    source:
      "vLLM arg_utils.py (read): a server takes 1024 sequences and 8192 tokens a step from 70 GiB up, else (and on A100) 256 and 2048",
  },
  sglang: {
    memoryShare: 0.88,
    sequencesMax: 4096,
    stepTokensMax: 8192,
    outputReserved: 0.6,
    mixed: false,
    source:
      "SGLang server_args.py (read): chunked_prefill_size 8192, mem_fraction_static 0.88 on one device and less on more, mixed chunks off; sequences: assumption",
  },
  mindie: {
    memoryShare: 0.9,
    sequencesMax: 200,
    stepTokensMax: 8192,
    outputReserved: 0.5,
    mixed: false,
    source:
      "MindIE Service config.json as shipped (read in published copies): maxBatchSize 200, maxPrefillTokens 8192, npuMemSize -1; memory share: assumption",
  },
  "vllm-ascend-2025": {
    memoryShare: 0.9,
    sequencesMax: 256,
    stepTokensMax: 2048,
    outputReserved: 0.5,
    mixed: true,
    source:
      "releases up to 0.9, without graphs: vLLM arg_utils.py defaults for devices other than large NVIDIA and AMD ones",
  },
  "vllm-ascend": {
    memoryShare: 0.9,
    sequencesMax: 256,
    stepTokensMax: 2048,
    outputReserved: 0.5,
    mixed: true,
    source:
      "vLLM arg_utils.py: its defaults below 70 GiB of device memory; that a die of the Ascend package counts alone is an assumption",
  },
  disaggregated: {
    memoryShare: 0.92,
    sequencesMax: 65536,
    stepTokensMax: 16384,
    outputReserved: 0.5,
    mixed: false,
    source:
      "DeepSeek open-infra-index day 6; arXiv:2506.12708: prompts and decoding apart, workers without a front end; limits: assumption, larger than any row needs",
  },
};

/** The family of an engine as published runs and `--engine` spell it; `online`: requests came through its server. */
export function engineFamily(name: string | null | undefined, online = false): EngineFamily {
  const text = (name ?? "").toLowerCase();
  if (/sglang|sgl\b/.test(text)) return "sglang";
  if (/vllm.?ascend 0\.[0-9](\.|\b)/.test(text)) return "vllm-ascend-2025";
  if (/vllm.?ascend/.test(text)) return "vllm-ascend";
  if (/mindie/.test(text)) return "mindie";
  if (/vllm.*(2024|0\.[0-6](\.|\b))/.test(text)) return "vllm-2024";
  if (/tensorrt.?llm 0\./.test(text)) return "trtllm-engine";
  if (/tensorrt|trt/.test(text)) return online ? "trtllm-serve" : "trtllm";
  if (/deepseek|xdeepserve|cloudmatrix|flowserve/.test(text)) return "disaggregated";
  return "vllm";
}

/** Defaults of a family on a device of that much memory. */
export function engineDefaults(family: EngineFamily, chip: string, memoryBytes: number): EngineDefaults {
  const defaults = { family, ...engines[family] };
  const small = memoryBytes < 70 * GiB || chip === "ampere";
  return family === "vllm" && small ? { ...defaults, sequencesMax: 256, stepTokensMax: 2048 } : defaults;
}
