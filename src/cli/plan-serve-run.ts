/**
 * Answers `plan serve`: reads the model, asks the planner, prints the answer or the command lines that start it.
 * Knows: files and output. Does not know: how options are spelled, any formula.
 */
import { open } from "node:fs/promises";
import { inferenceConstants } from "../catalog/inference-constants.ts";
import { findModel, requireModel } from "../catalog/models.ts";
import { emitServing } from "../planner/emit-serving.ts";
import { planServing, type ServingPlan, type ServingQuestion } from "../planner/serve.ts";
import { type Accuracy, servingAccuracy } from "../planner/serve-accuracy.ts";
import { type ServingRequest, servingQuestion } from "../planner/serve-question.ts";
import type { Architecture } from "../spec/architecture.ts";
import { BadInput } from "../spec/bad-input.ts";
import { configBytesMax, parseConfig } from "../spec/hugging-face-config.ts";
import { parameterCounts } from "../spec/parameter-counts.ts";
import { renderServing, servingAnswer } from "./render/serving.ts";

/** The options as commander hands them over. */
export interface ServeOptions extends Omit<ServingRequest, "architecture" | "cachePrecision"> {
  model: string;
  kvPrecision?: string;
  emit?: string;
  json?: boolean;
}

export async function runPlanServe(options: ServeOptions): Promise<void> {
  const started = performance.now();
  if (options.emit !== undefined && options.emit !== "vllm" && options.emit !== "vllm-ascend")
    throw new BadInput(`--emit: ${options.emit.slice(0, 40)} is not known; use vllm or vllm-ascend`);
  const architecture = await readModel(options.model);
  const { question, ranksPerDevice, deviceId } = servingQuestion({
    ...options,
    architecture,
    ...(options.kvPrecision ? { cachePrecision: options.kvPrecision } : {}),
  });
  const plan = planServing(question, inferenceConstants);
  const accuracy = badge(question, plan, deviceId);
  const seconds = (performance.now() - started) / 1000;
  if (!plan.best) process.exitCode = 1;
  if (options.emit) {
    if (!plan.best)
      throw new BadInput(`--emit: ${servingAnswer(plan, question, ranksPerDevice)}; relax --ttft or --tpot`);
    const lines = emitServing(options.emit === "vllm" ? "vllm" : "vllm-ascend", question, plan.best, options.model);
    process.stdout.write(options.json ? `${JSON.stringify({ commands: lines })}\n` : `${lines.join("\n")}\n`);
    return;
  }
  const text = options.json
    ? JSON.stringify(toJson(plan, question, ranksPerDevice, accuracy, seconds))
    : renderServing(plan, question, ranksPerDevice, accuracy, seconds).join("\n");
  process.stdout.write(`${text}\n`);
}

function badge(question: ServingQuestion, plan: ServingPlan, accelerator: string): Accuracy {
  const { architecture } = question;
  return servingAccuracy({
    accelerator,
    chip: question.chip,
    engine: plan.best?.decode.engine ?? question.engine.family,
    kind: architecture.mla ? "latent" : architecture.moe ? "mixture" : "dense",
    parameters: parameterCounts(architecture).total,
    format: question.format.name,
    devices: plan.best?.decode.split.devices ?? question.devices,
    promptTokens: question.promptTokens,
    outputTokens: question.outputTokens,
  });
}

/** Reads a preset by name or a config.json by path; a file is read only up to the size that a configuration may have. */
async function readModel(given: string): Promise<Architecture> {
  const preset = findModel(given);
  if (preset) return preset.architecture();
  if (!/[./\\]/.test(given)) return requireModel(given, "--model").architecture();
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(given, "r");
  } catch {
    return requireModel(given, "--model").architecture();
  }
  try {
    const buffer = Buffer.alloc(configBytesMax + 1);
    const { bytesRead } = await file.read(buffer, 0, buffer.length, 0);
    return parseConfig(buffer.toString("utf8", 0, bytesRead), given);
  } finally {
    await file.close();
  }
}

function toJson(
  plan: ServingPlan,
  q: ServingQuestion,
  ranksPerDevice: number,
  accuracy: Accuracy,
  seconds: number,
): unknown {
  const pool = (p: NonNullable<ServingPlan["best"]>["decode"]) => ({
    groups: p.groups,
    layout: {
      tp: p.split.attentionTp,
      dp: p.split.devices / p.split.attentionTp,
      ep: p.split.expertParallel ? p.split.devices : 1,
      pp: p.split.pipeline,
    },
    ranks: p.groups * p.split.devices,
    sequences: p.sequences,
    cacheTokens: p.cacheTokens,
    weightBytesPerRank: p.weightBytesPerDevice,
    stepSeconds: p.parts.total,
    parts: p.parts,
  });
  const estimate = (e: NonNullable<ServingPlan["best"]>) => ({
    mode: e.mode,
    tokensPerSecondPerDevice: e.outputTokensPerSecondPerDevice * ranksPerDevice,
    tokensPerSecond: e.outputTokensPerSecond,
    requestsPerSecond: e.requestsPerSecond,
    ttftSeconds: e.ttftSeconds,
    tpotSeconds: e.tpotSeconds,
    concurrency: e.decode.sequences * e.decode.groups,
    cacheTokens: e.decode.cacheTokens * e.decode.groups,
    prefillToDecode: e.prefill
      ? { prefill: e.prefill.groups * e.prefill.split.devices, decode: e.decode.groups * e.decode.split.devices }
      : null,
    prefill: e.prefill ? pool(e.prefill) : null,
    decode: pool(e.decode),
  });
  return {
    answer: servingAnswer(plan, q, ranksPerDevice),
    best: plan.best ? { ...estimate(plan.best), accuracy } : null,
    alternatives: plan.alternatives.map(estimate),
    rejected: plan.rejected,
    evaluated: plan.evaluated,
    ranksPerDevice,
    seconds,
  };
}
