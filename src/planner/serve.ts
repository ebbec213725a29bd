/**
 * Plans serving: which layout, with which split into prompt and decode pools, gives most tokens per device in time.
 * Knows: layouts, settled states, latency objectives, queues. Does not know: command lines, published rows, clocks.
 */
import type { Accelerator } from "../catalog/accelerators.ts";
import type { EngineFamily, InferenceConstants } from "../catalog/inference-constants.ts";
import type { EngineDefaults } from "../catalog/serving-engines.ts";
import type { WeightFormat } from "../cost/inference-formats.ts";
import { weightBytesPerDevice } from "../cost/inference-memory.ts";
import { causalPairs, servingShape } from "../cost/inference-shape.ts";
import type { ServingSplit, StepSeconds } from "../cost/inference-step.ts";
import type { Architecture } from "../spec/architecture.ts";
import { gibibyte } from "../spec/quantities.ts";
import { servingLayouts } from "./serve-layouts.ts";
import {
  acceptanceOf,
  acceptedTokens,
  replicasOf,
  type ServingSystem,
  settledServing,
  systemCacheTokens,
  systemStep,
} from "./serving-evaluate.ts";
import type { ChipFamily } from "./serving-rates.ts";
import type { RequestLoad } from "./serving-run.ts";

export interface ServingQuestion {
  architecture: Architecture;
  accelerator: Accelerator;
  chip: ChipFamily;
  devices: number;
  promptTokens: number;
  outputTokens: number;
  /** Mean latencies that must be met. */
  ttftSeconds: number;
  tpotSeconds: number;
  engine: EngineDefaults;
  format: WeightFormat;
  cacheBytesPerValue: number;
  prefixHit: number;
  drafted: number;
  disaggregate: "auto" | "yes" | "no";
}

/** One pool of identical groups. */
export interface ServingPool {
  groups: number;
  split: ServingSplit;
  /** Whose constants the pool was judged with. */
  engine: EngineFamily;
  /** Sequences in flight on one group; for a prompt pool, prompts being read. */
  sequences: number;
  cacheTokens: number;
  weightBytesPerDevice: number;
  parts: StepSeconds;
}

export interface ServingEstimate {
  mode: "aggregated" | "disaggregated";
  /** The whole pool, or the decode pool when prompts have their own. */
  decode: ServingPool;
  prefill: ServingPool | null;
  devicesUsed: number;
  outputTokensPerSecond: number;
  outputTokensPerSecondPerDevice: number;
  requestsPerSecond: number;
  ttftSeconds: number;
  tpotSeconds: number;
}

export interface ServingPlan {
  best: ServingEstimate | null;
  alternatives: ServingEstimate[];
  rejected: Record<string, number>;
  evaluated: number;
}

/** Share of the busiest moment that a prompt queue may fill: Poisson arrivals need slack whatever the latency limit says. */
const utilisationMax = 0.9;

/** Searches all layouts; ties go to fewer devices. Pure: the same question gives the same plan. */
export function planServing(q: ServingQuestion, constants: InferenceConstants): ServingPlan {
  const shape = servingShape(q.architecture);
  const workBytes = (q.engine.reserveGibibytes ?? constants.reserve ?? 3) * gibibyte;
  const base: ServingSystem = {
    shape,
    accelerator: q.accelerator,
    chip: q.chip,
    engine: q.engine,
    format: q.format,
    cacheBytesPerValue: q.cacheBytesPerValue,
    split: { devices: 1, attentionTp: 1, expertParallel: false, pipeline: 1 },
    drafted: q.drafted,
  };
  const { splits, rejected, considered } = servingLayouts(q.architecture, base, q.devices, workBytes);
  // Wide expert parallelism has a front end per rank: its published runs bear their own host and kernel constants.
  const systems = splits.map((split): ServingSystem => {
    const wide = split.expertParallel && split.devices > 8;
    return { ...base, split, engine: wide ? { ...q.engine, family: "disaggregated" } : q.engine };
  });
  const found: ServingEstimate[] = [];
  const count = (reason: string): void => {
    rejected[reason] = (rejected[reason] ?? 0) + 1;
  };
  if (q.disaggregate !== "yes") {
    for (const system of systems) {
      const estimate = aggregated(q, system, constants);
      if (estimate) found.push(estimate);
      else count("misses the latency objective with prompts and decoding together");
    }
  }
  if (q.disaggregate !== "no" && q.devices > 1) {
    const decodes = systems.flatMap((system) => decodePool(q, system, constants) ?? []);
    const prefills = systems.flatMap((system) => prefillPool(q, system, constants) ?? []);
    if (decodes.length === 0) count("no decode pool meets the time per output token");
    if (prefills.length === 0) count("no prompt pool meets the time to first token");
    const joined = bestPairs(q, prefills, decodes);
    found.push(...joined);
  }
  found.sort((a, b) => b.outputTokensPerSecond - a.outputTokensPerSecond || a.devicesUsed - b.devicesUsed);
  return { best: found[0] ?? null, alternatives: found.slice(1, 6), rejected, evaluated: considered };
}

function loadOf(q: ServingQuestion): RequestLoad {
  return {
    requests: 1,
    promptTokens: q.promptTokens,
    outputTokens: q.outputTokens,
    spread: false,
    prefixHit: q.prefixHit,
  };
}

/** Most sequences for which `good` holds, by bisection on a monotone condition; 0 when not even one is good. */
function mostSequences(limit: number, good: (n: number) => boolean): number {
  if (limit < 1 || !good(1)) return 0;
  let low = 1;
  let high = Math.floor(limit);
  if (good(high)) return high;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (good(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** Seconds to read one prompt on an otherwise idle group rank, and the mean wait of an M/D/1 queue at `utilisation`. */
function queued(serviceSeconds: number, utilisation: number): number {
  return serviceSeconds * (1 + utilisation / (2 * (1 - utilisation)));
}

function aggregated(
  q: ServingQuestion,
  system: ServingSystem,
  constants: InferenceConstants,
): ServingEstimate | undefined {
  const load = loadOf(q);
  const replicas = replicasOf(system.split);
  const room = systemCacheTokens(system, constants);
  const perSequence = q.promptTokens + q.outputTokens;
  const fresh = q.promptTokens * (1 - q.prefixHit);
  const step = systemStep(system, constants);
  const at = (n: number): { ttft: number; tpot: number; ok: boolean; perSecond: number } => {
    const settled = settledServing(system, n, load, constants);
    const budget = Math.max(1, q.engine.stepTokensMax * replicas - n * (1 + q.drafted));
    const used = (settled.promptTokensPerSecond * (1 - q.prefixHit) * settled.seconds) / budget;
    const chunk = Math.min(fresh, budget / replicas);
    const chunkStep = step({
      promptTokens: chunk,
      promptPairs: causalPairs(system.shape, 0, q.promptTokens) * (chunk / q.promptTokens),
      prompts: 1,
      sequences: n,
      meanContext: q.promptTokens + q.outputTokens / 2,
      tokensPerSequence: 1 + q.drafted,
    }).total;
    const service = Math.ceil(fresh / chunk) * chunkStep;
    const utilisation = Math.min(0.99, used);
    const ttft = queued(service, utilisation);
    return {
      ttft,
      tpot: settled.tpotSeconds,
      ok: used <= utilisationMax && ttft <= q.ttftSeconds && settled.tpotSeconds <= q.tpotSeconds,
      perSecond: settled.outputTokensPerSecond,
    };
  };
  const n = mostSequences(room / perSequence, (k) => at(k).ok);
  if (n === 0) return undefined;
  const { ttft, tpot, perSecond } = at(n);
  const groups = Math.floor(q.devices / system.split.devices);
  const parts = step({
    promptTokens: 0,
    promptPairs: 0,
    prompts: 0,
    sequences: n,
    meanContext: q.promptTokens + q.outputTokens / 2,
    tokensPerSequence: 1 + q.drafted,
  });
  return {
    mode: "aggregated",
    decode: pool(system, groups, n, room, parts),
    prefill: null,
    devicesUsed: groups * system.split.devices,
    outputTokensPerSecond: perSecond * groups,
    outputTokensPerSecondPerDevice: (perSecond * groups) / q.devices,
    requestsPerSecond: (perSecond * groups) / q.outputTokens,
    ttftSeconds: ttft,
    tpotSeconds: tpot,
  };
}

function pool(
  system: ServingSystem,
  groups: number,
  sequences: number,
  cacheTokens: number,
  parts: StepSeconds,
): ServingPool {
  return {
    groups,
    split: system.split,
    engine: system.engine.family,
    sequences,
    cacheTokens: Math.floor(cacheTokens),
    weightBytesPerDevice: weightBytesPerDevice(system.shape, system.split, system.format),
    parts,
  };
}

interface PoolRate {
  pool: ServingPool;
  requestsPerSecond: number;
  seconds: number;
}

function decodePool(q: ServingQuestion, system: ServingSystem, constants: InferenceConstants): PoolRate | undefined {
  const room = systemCacheTokens(system, constants);
  const gained = acceptedTokens(q.drafted, acceptanceOf(servingShape(q.architecture), constants));
  const step = systemStep(system, constants);
  const at = (n: number): StepSeconds =>
    step({
      promptTokens: 0,
      promptPairs: 0,
      prompts: 0,
      sequences: n,
      meanContext: q.promptTokens + q.outputTokens / 2,
      tokensPerSequence: 1 + q.drafted,
    });
  const n = mostSequences(room / (q.promptTokens + q.outputTokens), (k) => at(k).total / gained <= q.tpotSeconds);
  if (n === 0) return undefined;
  const parts = at(n);
  const seconds = parts.total / gained;
  return { pool: pool(system, 1, n, room, parts), requestsPerSecond: n / seconds / q.outputTokens, seconds };
}

function prefillPool(q: ServingQuestion, system: ServingSystem, constants: InferenceConstants): PoolRate | undefined {
  const replicas = replicasOf(system.split);
  const room = systemCacheTokens(system, constants);
  const fresh = Math.max(1, q.promptTokens * (1 - q.prefixHit));
  const step = systemStep(system, constants);
  // A rank reads whole prompts up to the engine's token budget at once; longer ones in chunks, one after the other.
  const batch = Math.max(1, Math.floor(q.engine.stepTokensMax / fresh));
  let best: PoolRate | undefined;
  for (let size = 1; size <= batch; size *= 2) {
    const prompts = size * replicas;
    if (prompts * q.promptTokens > room) break;
    const parts = step({
      promptTokens: prompts * fresh,
      promptPairs: prompts * causalPairs(system.shape, q.promptTokens - fresh, q.promptTokens),
      prompts,
      sequences: 0,
      meanContext: 0,
      tokensPerSequence: 1,
    });
    const transferSeconds =
      (q.promptTokens * system.shape.cachedValues * q.cacheBytesPerValue) /
      (Math.max(1, system.split.attentionTp) * (q.accelerator.interNodeBytesPerSecond ?? 2.5e10));
    const service = parts.total;
    const slack = q.ttftSeconds - transferSeconds - service;
    if (slack <= 0) continue;
    // M/D/1: service · u / (2 (1 − u)) = slack.
    const utilisation = Math.min(utilisationMax, (2 * slack) / (service + 2 * slack));
    const requestsPerSecond = (utilisation * prompts) / service;
    const seconds = queued(service, utilisation) + transferSeconds;
    if (!best || requestsPerSecond > best.requestsPerSecond)
      best = { pool: pool(system, 1, prompts, room, parts), requestsPerSecond, seconds };
  }
  return best;
}

/** The best pairs of prompt and decode pools: for each pair of group kinds the integer split with the largest common rate. */
function bestPairs(q: ServingQuestion, prefills: readonly PoolRate[], decodes: readonly PoolRate[]): ServingEstimate[] {
  const top = (rates: readonly PoolRate[]): PoolRate[] =>
    [...rates]
      .sort((a, b) => b.requestsPerSecond / b.pool.split.devices - a.requestsPerSecond / a.pool.split.devices)
      .slice(0, 12);
  const found: ServingEstimate[] = [];
  for (const prefill of top(prefills)) {
    for (const decode of top(decodes)) {
      const pair = bestRatio(q.devices, prefill, decode);
      if (!pair) continue;
      const { a, b, requestsPerSecond } = pair;
      const perSecond = requestsPerSecond * q.outputTokens;
      found.push({
        mode: "disaggregated",
        decode: { ...decode.pool, groups: b },
        prefill: { ...prefill.pool, groups: a },
        devicesUsed: a * prefill.pool.split.devices + b * decode.pool.split.devices,
        outputTokensPerSecond: perSecond,
        outputTokensPerSecondPerDevice: perSecond / q.devices,
        requestsPerSecond,
        ttftSeconds: prefill.seconds,
        tpotSeconds: decode.seconds,
      });
    }
  }
  return found;
}

function bestRatio(
  devices: number,
  prefill: PoolRate,
  decode: PoolRate,
): { a: number; b: number; requestsPerSecond: number } | undefined {
  const sizeA = prefill.pool.split.devices;
  const sizeB = decode.pool.split.devices;
  let best: { a: number; b: number; requestsPerSecond: number } | undefined;
  const ideal =
    (devices * decode.requestsPerSecond) / (prefill.requestsPerSecond * sizeB + decode.requestsPerSecond * sizeA);
  for (const a of [Math.floor(ideal), Math.ceil(ideal), 1]) {
    const b = Math.floor((devices - a * sizeA) / sizeB);
    if (a < 1 || b < 1) continue;
    const requestsPerSecond = Math.min(a * prefill.requestsPerSecond, b * decode.requestsPerSecond);
    if (!best || requestsPerSecond > best.requestsPerSecond) best = { a, b, requestsPerSecond };
  }
  return best;
}
