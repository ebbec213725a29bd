/**
 * How published serving benchmarks load a server where their result tables do not repeat it.
 * Knows: request counts, engine tuning and latency limits, with sources. Does not know: results.
 */

/** Requests per (input, output) length of NVIDIA's offline tables: TensorRT-LLM docs/source/performance/perf-overview.md. */
const tensorRtRequests: Readonly<Record<string, number>> = {
  "128/128": 30000,
  "128/2048": 3000,
  "128/4096": 1500,
  "500/2000": 3000,
  "1000/1000": 3000,
  "1000/2000": 1500,
  "2048/128": 3000,
  "2048/2048": 1500,
  "5000/500": 1500,
  "20000/2000": 1000,
};

export function tensorRtRequestCount(promptTokens: number, outputTokens: number): number {
  return tensorRtRequests[`${promptTokens}/${outputTokens}`] ?? 2000;
}

/** Requests of the v0.14 online table: "500 requests and BF16 precision", the same page. */
export const tensorRtOnlineRequests = 500;

/**
 * Batch and token limits that trtllm-bench picks from cache room (`requestsMax`) and lengths.
 * After tensorrt_llm/bench/build/tuning.py, finetune_setting, TensorRT-LLM v1.0; v0.17 has the same shape.
 */
export function tensorRtTuning(
  requestsMax: number,
  promptTokens: number,
  outputTokens: number,
): { sequencesMax: number; stepTokensMax: number } {
  const sequences = Math.min(requestsMax, 4096);
  const tokens = Math.min(sequences * (1 + promptTokens / outputTokens), 32768);
  const upTo = (value: number, grain: number): number => grain * Math.ceil(value / grain);
  const sequencesMax =
    sequences < 256 ? Math.max(64, upTo(sequences, 32)) : upTo(sequences, sequences < 1024 ? 128 : 256);
  const stepTokensMax = tokens < 4096 ? Math.max(2048, upTo(tokens, 256)) : upTo(tokens, tokens < 8192 ? 512 : 1024);
  return { sequencesMax, stepTokensMax };
}

/** Mean prompt lengths of MLPerf Inference v5.1 data sets: assumptions, recalled; the logs give only output lengths. */
const mlperfPrompts: readonly (readonly [RegExp, number])[] = [
  [/llama-2-70b/, 294],
  [/mixtral-8x7b/, 200],
  [/llama-3\.1-8b/, 780],
  [/llama-3\.1-405b/, 9400],
  [/deepseek/, 800],
];

export function mlperfPromptTokens(modelId: string): number {
  return mlperfPrompts.find(([pattern]) => pattern.test(modelId))?.[1] ?? 500;
}

/**
 * 99th-percentile limits in seconds: mlcommons/inference_policies, inference_rules.adoc at ff7edba (2026-08-20), read in a
 * transcription; the rules are not tagged by round, so that v5.1 had the same is an assumption, and so is the last line.
 */
export function mlperfLimits(modelId: string, interactive: boolean): { ttftSeconds: number; tpotSeconds: number } {
  if (/llama-2-70b/.test(modelId))
    return interactive ? { ttftSeconds: 0.45, tpotSeconds: 0.04 } : { ttftSeconds: 2, tpotSeconds: 0.2 };
  if (/405b/.test(modelId))
    return interactive ? { ttftSeconds: 4.5, tpotSeconds: 0.08 } : { ttftSeconds: 6, tpotSeconds: 0.175 };
  if (/llama-3\.1-8b/.test(modelId))
    return interactive ? { ttftSeconds: 0.5, tpotSeconds: 0.03 } : { ttftSeconds: 2, tpotSeconds: 0.1 };
  if (/deepseek/.test(modelId))
    return interactive ? { ttftSeconds: 1.5, tpotSeconds: 0.015 } : { ttftSeconds: 2, tpotSeconds: 0.08 };
  if (/gpt-oss-120b/.test(modelId))
    return interactive ? { ttftSeconds: 2, tpotSeconds: 0.02 } : { ttftSeconds: 3, tpotSeconds: 0.08 };
  return { ttftSeconds: 2, tpotSeconds: 0.2 };
}
