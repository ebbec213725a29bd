/**
 * Turns what a person asked about serving into a question that the planner can answer, or refuses it in one line.
 * Knows: defaults of formats and engines, what each chip cannot do. Does not know: files, command lines, results.
 */
import { type Accelerator, requireAccelerator } from "../catalog/accelerators.ts";
import { engineDefaults, engineFamily } from "../catalog/serving-engines.ts";
import { type WeightFormat, weightFormat } from "../cost/inference-formats.ts";
import type { Architecture } from "../spec/architecture.ts";
import { BadInput } from "../spec/bad-input.ts";
import { amount, wholeNumber } from "../spec/quantities.ts";
import type { ServingQuestion } from "./serve.ts";
import { chipFamily } from "./serving-rates.ts";

/** The options of `plan serve`, still as given; latencies in seconds. */
export interface ServingRequest {
  architecture: Architecture;
  accelerator: string;
  devices: number;
  isl: number;
  osl: number;
  ttft: number;
  tpot: number;
  engine?: string;
  disaggregate: string;
  precision?: string;
  cachePrecision?: string;
  prefixHit: number;
  mtp: number;
}

export const servingEngines = ["vllm", "vllm-ascend", "mindie", "sglang"] as const;

/** The question, and how many ranks one device is for the software (an Ascend 910C package is two). */
export function servingQuestion(r: ServingRequest): {
  question: ServingQuestion;
  ranksPerDevice: number;
  deviceId: string;
} {
  const found = requireAccelerator(r.accelerator, "--accelerator");
  const ranksPerDevice = found.id === "ascend-910c" ? 2 : 1;
  const accelerator = ranksPerDevice === 1 ? found : dieOf(found, ranksPerDevice);
  const chip = chipFamily(found);
  if (!chip || found.memoryBytesPerSecond === 0)
    throw new BadInput(
      `--accelerator: no published serving run covers ${found.id}, so nothing can be said of it; choose an NVIDIA, AMD or Ascend chip of the catalog`,
    );
  const devices = wholeNumber("--devices", r.devices, 1, 1_000_000);
  const promptTokens = wholeNumber("--isl", r.isl, 1, 10_000_000);
  const outputTokens = wholeNumber("--osl", r.osl, 1, 10_000_000);
  const ttftSeconds = amount("--ttft", r.ttft, 0, 86_400);
  const tpotSeconds = amount("--tpot", r.tpot, 0, 3_600);
  if (!(r.prefixHit >= 0 && r.prefixHit < 1))
    throw new BadInput(`--prefix-hit: ${r.prefixHit} is not a share from 0 to below 1; give for example 0.5`);
  const drafted = wholeNumber("--mtp", r.mtp, 0, 8);
  const engineName = r.engine ?? (chip === "ascend" ? "vllm-ascend" : "vllm");
  if (!(servingEngines as readonly string[]).includes(engineName))
    throw new BadInput(`--engine: ${engineName.slice(0, 40)} is not known; use one of ${servingEngines.join(", ")}`);
  if ((chip === "ascend") !== /ascend|mindie/.test(engineName) && engineName !== "sglang")
    throw new BadInput(
      `--engine: ${engineName} does not run on ${found.id}; use ${chip === "ascend" ? "vllm-ascend, mindie or sglang" : "vllm or sglang"}`,
    );
  if (!/^(auto|yes|no)$/.test(r.disaggregate))
    throw new BadInput(`--disaggregate: ${r.disaggregate.slice(0, 40)} is not auto, yes or no; use one of these`);
  const format = chooseFormat(r, accelerator);
  const cache = r.cachePrecision ?? "bf16";
  const question: ServingQuestion = {
    architecture: r.architecture,
    accelerator,
    chip,
    devices: devices * ranksPerDevice,
    promptTokens,
    outputTokens,
    ttftSeconds,
    tpotSeconds,
    engine: engineDefaults(engineFamily(engineName), chip, found.memoryBytes),
    format,
    cacheBytesPerValue: /8/.test(cache) ? 1 : 2,
    prefixHit: r.prefixHit,
    drafted,
    disaggregate: r.disaggregate === "yes" ? "yes" : r.disaggregate === "no" ? "no" : "auto",
  };
  return { question, ranksPerDevice, deviceId: found.id };
}

/** One die of a package: an equal share of everything; dies of a package talk over the same fabric. */
function dieOf(a: Accelerator, dies: number): Accelerator {
  const peak = (value: number | null): number | null => (value === null ? null : value / dies);
  const p = a.peakFlopsPerSecond;
  return {
    ...a,
    memoryBytes: a.memoryBytes / dies,
    memoryBytesPerSecond: a.memoryBytesPerSecond / dies,
    peakFlopsPerSecond: {
      fp32: peak(p.fp32),
      bf16: peak(p.bf16),
      fp16: peak(p.fp16),
      fp8: peak(p.fp8),
      fp4: peak(p.fp4),
      int8: peak(p.int8),
    },
    intraLink: {
      ...a.intraLink,
      bytesPerSecond: a.intraLink.bytesPerSecond / dies,
      domainDevices: a.intraLink.domainDevices * dies,
    },
    nodeDevices: a.nodeDevices * dies,
    interNodeBytesPerSecond: a.interNodeBytesPerSecond === null ? null : a.interNodeBytesPerSecond / dies,
  };
}

/** The stated format, or the usual one: FP8 or W8A8 for DeepSeek's models (published in FP8), else 16 bits. */
function chooseFormat(r: ServingRequest, accelerator: Accelerator): WeightFormat {
  const ascend = accelerator.platform === "ascend";
  if (!r.precision) {
    if (!r.architecture.mla) return weightFormat("bf16");
    return weightFormat(accelerator.peakFlopsPerSecond.fp8 ? "fp8" : ascend ? "w8a8" : "bf16");
  }
  const format = weightFormat(r.precision);
  if (ascend && !accelerator.peakFlopsPerSecond.fp8 && (format.unit === "fp8" || format.unit === "fp4"))
    throw new BadInput(`--precision: ${accelerator.id} has no ${format.name} arithmetic; use w8a8, w4a8 or bf16`);
  if (format.unit === "fp4" && !accelerator.peakFlopsPerSecond.fp4)
    throw new BadInput(`--precision: ${accelerator.id} has no FP4 arithmetic; use fp8, w4a16 or bf16`);
  return format;
}
