/**
 * Answers one serving question: a model on a group of devices under a load gives this throughput and these latencies.
 * Knows: step model, batching, memory. Does not know: which split is best, published rows, command lines.
 */
import type { Accelerator } from "../catalog/accelerators.ts";
import type { InferenceConstants } from "../catalog/inference-constants.ts";
import type { EngineDefaults } from "../catalog/serving-engines.ts";
import type { WeightFormat } from "../cost/inference-formats.ts";
import { cacheTokens, weightBytesPerDevice } from "../cost/inference-memory.ts";
import { causalPairs, type ServingShape } from "../cost/inference-shape.ts";
import { type ServingSplit, type StepLoad, type StepSeconds, stepSeconds } from "../cost/inference-step.ts";
import { gibibyte } from "../spec/quantities.ts";
import { type ChipFamily, stepRates } from "./serving-rates.ts";
import {
  type BatchingPolicy,
  playServing,
  type RequestLoad,
  type ServingOutcome,
  steadyServing,
} from "./serving-run.ts";

export interface ServingSystem {
  shape: ServingShape;
  accelerator: Accelerator;
  chip: ChipFamily;
  engine: EngineDefaults;
  format: WeightFormat;
  cacheBytesPerValue: number;
  split: ServingSplit;
  /** Tokens drafted per sequence and step (multi-token prediction or a draft model); 0 for none. */
  drafted: number;
  overlappedHost?: boolean;
}

/** Expected tokens gained per step when each drafted token survives with probability `acceptance`, in order. */
export function acceptedTokens(drafted: number, acceptance: number): number {
  return acceptance >= 1 ? 1 + drafted : (1 - acceptance ** (drafted + 1)) / (1 - acceptance);
}

/** Chance that a drafted token survives: of the model's own prediction layer where it has one, else of a separate draft model. */
export function acceptanceOf(shape: ServingShape, constants: InferenceConstants): number {
  const name = shape.mtpLayers > 0 ? "speculative.acceptance" : "speculative.drafter";
  return Math.min(0.95, constants[name] ?? 0.6);
}

/** Seconds of a step of this system, with drafting: one extra layer and one read of the head per drafted token. */
export function systemStep(system: ServingSystem, constants: InferenceConstants): (load: StepLoad) => StepSeconds {
  const rates = stepRates({ ...system, engine: system.engine.family }, constants);
  const headSeconds = (2 * system.shape.headParameters) / (system.split.attentionTp * rates.weightBytesPerSecond);
  const stages = system.split.pipeline;
  return (load) => {
    // Each pipeline stage works on its own share of the load: one pass of a share takes as long as all shares take a stage each.
    const share =
      stages === 1
        ? load
        : {
            ...load,
            promptTokens: load.promptTokens / stages,
            promptPairs: load.promptPairs / stages,
            prompts: load.prompts / stages,
            sequences: load.sequences / stages,
          };
    const step = stepSeconds(system.shape, system.split, rates, share);
    if (system.drafted === 0 || load.sequences === 0) return step;
    // Drafting and verifying are two passes, and the host prepares each.
    const drafting = system.drafted * ((step.total - step.host) / system.shape.layers + headSeconds);
    return { ...step, total: step.total + drafting + rates.stepSeconds };
  };
}

/** Bytes of one device that weights and cache may use. */
function usableBytes(system: ServingSystem, constants: InferenceConstants): number {
  const reserve = system.engine.reserveGibibytes ?? constants.reserve ?? 3;
  return system.accelerator.memoryBytes * system.engine.memoryShare - reserve * gibibyte - profiledBytes(system);
}

/** Bytes per logit of a full batch: 16 bits, 32 bits, and a sorted copy with 64-bit indices (vLLM's dummy sampler run). */
const logitBytes = 18;
/** Hidden vectors of 16 bits alive per token at the peak of a layer: residual, norm, queries to values, both MLP halves. */
const liveVectors = 16;

/**
 * Bytes of one device that vLLM sets aside before it sizes the cache: it runs its largest batch once and keeps what that took
 * (gpu_model_runner.py, profile_run). Other engines leave that to the fitted reserve.
 */
function profiledBytes({ engine, shape, split }: ServingSystem): number {
  if (engine.family !== "vllm") return 0;
  const vocabulary = shape.headParameters / shape.hidden;
  const logits = engine.sequencesMax * vocabulary * logitBytes;
  return logits + (engine.stepTokensMax * shape.hidden * 2 * liveVectors) / split.attentionTp;
}

/** Cache room of the group in tokens; not positive when the weights do not fit. */
export function systemCacheTokens(system: ServingSystem, constants: InferenceConstants): number {
  const { shape, split, format, cacheBytesPerValue } = system;
  return cacheTokens(shape, split, format, cacheBytesPerValue, usableBytes(system, constants));
}

/** Whether the weights leave any room at all, before the engine's own needs. */
export function fits(system: ServingSystem): boolean {
  return (
    weightBytesPerDevice(system.shape, system.split, system.format) <
    0.97 * system.accelerator.memoryBytes * system.engine.memoryShare
  );
}

/** Attention ranks that keep their own queue and token budget. */
export function replicasOf(split: ServingSplit): number {
  return split.devices / split.pipeline / split.attentionTp;
}

/** The settled state with `sequences` in flight on the group. */
export function settledServing(
  system: ServingSystem,
  sequences: number,
  load: RequestLoad,
  constants: InferenceConstants,
): ServingOutcome {
  const step = systemStep(system, constants);
  return steadyServing(
    (work) => step(work).total,
    sequences,
    load,
    system.engine.mixed,
    (from, to) => causalPairs(system.shape, from, to),
    speculation(system, constants),
    replicasOf(system.split),
  );
}

function speculation(system: ServingSystem, constants: InferenceConstants): { accepted: number; verified: number } {
  const accepted = acceptedTokens(system.drafted, acceptanceOf(system.shape, constants));
  return { accepted, verified: 1 + system.drafted };
}

/** Plays a load on the group with the engine's policy; `overrides` are flags that a person gave. */
export function evaluateServing(
  system: ServingSystem,
  load: RequestLoad,
  constants: InferenceConstants,
  overrides: Partial<BatchingPolicy> = {},
): ServingOutcome {
  const step = systemStep(system, constants);
  const replicas = replicasOf(system.split);
  const policy: BatchingPolicy = {
    sequencesMax: system.engine.sequencesMax * replicas,
    stepTokensMax: system.engine.stepTokensMax * replicas,
    cacheTokens: systemCacheTokens(system, constants),
    outputReserved: system.engine.outputReserved,
    mixed: system.engine.mixed,
    ranks: replicas,
    ...overrides,
  };
  return playServing(
    (work) => step(work).total,
    policy,
    load,
    (from, to) => causalPairs(system.shape, from, to),
    speculation(system, constants),
  );
}
