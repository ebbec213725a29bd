/**
 * The verb `plan serve`: reads its options, asks the planner, prints the answer or the command lines that start it.
 * Knows: options, files, output. Does not know: any formula.
 */
import { open } from "node:fs/promises";
import { Command, InvalidArgumentError } from "commander";
import { inferenceConstants } from "../catalog/inference-constants.ts";
import { findModel, requireModel } from "../catalog/models.ts";
import { weightFormatNames } from "../cost/inference-formats.ts";
import { emitServing } from "../planner/emit-serving.ts";
import { planServing, type ServingPlan, type ServingQuestion } from "../planner/serve.ts";
import { type Accuracy, servingAccuracy } from "../planner/serve-accuracy.ts";
import { servingEngines, servingQuestion } from "../planner/serve-question.ts";
import { type Architecture, parameterCounts } from "../spec/architecture.ts";
import { BadInput } from "../spec/bad-input.ts";
import { configBytesMax, parseConfig } from "../spec/hugging-face-config.ts";
import { renderServing, servingAnswer } from "./render/serving.ts";

interface Options {
  model: string;
  accelerator: string;
  devices: number;
  isl: number;
  osl: number;
  ttft: number;
  tpot: number;
  engine?: string;
  disaggregate: string;
  precision?: string;
  kvPrecision?: string;
  prefixHit: number;
  mtp: number;
  emit?: string;
  json?: boolean;
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new InvalidArgumentError(`${text.slice(0, 40)} is not a number.`);
  return value;
}

export function register(parent: Command): void {
  const command = new Command("serve")
    .description(
      "Throughput per device under a latency objective: layout, prompt and decode pools, cache, concurrency.",
    )
    .requiredOption("--model <file|preset>", "a config.json of Hugging Face, or a preset (dualgauge catalog models)")
    .requiredOption("--accelerator <id>", "an accelerator (dualgauge catalog accelerators)")
    .requiredOption("--devices <n>", "how many devices", number)
    .requiredOption("--isl <tokens>", "mean prompt length", number)
    .requiredOption("--osl <tokens>", "mean output length", number)
    .requiredOption("--ttft <seconds>", "mean time to the first token that must be met", number)
    .requiredOption("--tpot <seconds>", "mean time per output token that must be met", number)
    .option("--engine <name>", `${servingEngines.join(" | ")} (default: the vendor's vLLM)`)
    .option("--disaggregate <mode>", "auto | yes | no: separate devices for prompts and decoding", "auto")
    .option("--precision <format>", `weights: ${weightFormatNames.join(" | ")}`)
    .option("--kv-precision <format>", "key/value cache: bf16 | fp8 | int8", "bf16")
    .option("--prefix-hit <share>", "share of prompt tokens found in a prefix cache", number, 0)
    .option("--mtp <tokens>", "tokens drafted per step by multi-token prediction", number, 0)
    .option("--emit <dialect>", "print command lines instead: vllm | vllm-ascend")
    .option("--json", "one JSON document on standard output")
    .addHelpText(
      "after",
      "\nExample:\n  dualgauge plan serve --model deepseek-r1 --accelerator h800-sxm --devices 144 --isl 4096 --osl 1024 --ttft 2 --tpot 0.05",
    )
    .action(run);
  parent.addCommand(command);
}

async function run(options: Options): Promise<void> {
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
    engine: plan.best?.prefill ? "disaggregated" : question.engine.family,
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
