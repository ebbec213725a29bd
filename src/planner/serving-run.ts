/**
 * Plays continuous batching step by step: requests arrive, prompts are read in chunks, sequences decode until they end.
 * Knows: arrival, admission, token budget, cache room, lengths. Does not know: how long a step takes (it is asked), chips, engines.
 */
import type { StepLoad } from "../cost/inference-step.ts";

/** What the engine allows at once, over all replicas of the group. */
export interface BatchingPolicy {
  sequencesMax: number;
  stepTokensMax: number;
  cacheTokens: number;
  /** Share of the output length whose cache room must be free before a request is admitted. */
  outputReserved: number;
  /** Prompt chunks and decoding share a step; otherwise prompts go first, alone. */
  mixed: boolean;
  /** Data-parallel attention ranks that share the limits above evenly; a prompt is read by one of them. */
  ranks: number;
}

/** The offered load. `requestsPerSecond` absent: all at once. `concurrency`: a client that sends the next when one ends. */
export interface RequestLoad {
  requests: number;
  promptTokens: number;
  outputTokens: number;
  /** Output lengths follow an exponential law cut at `spreadMax` times the mean (chat traces); otherwise all are equal. */
  spread: boolean;
  /** Share of prompt tokens found in a prefix cache. */
  prefixHit: number;
  requestsPerSecond?: number;
  concurrency?: number;
}

export interface SpeculativeDecoding {
  /** Tokens gained per sequence and step, from 1 up. */
  accepted: number;
  /** Tokens verified per sequence and step. */
  verified: number;
}

export interface ServingOutcome {
  seconds: number;
  outputTokensPerSecond: number;
  promptTokensPerSecond: number;
  /** Mean time to first token, and mean time per output token after the first. */
  ttftSeconds: number;
  tpotSeconds: number;
  meanSequences: number;
  steps: number;
}

/** A run longer than this is cut and extrapolated linearly: later steps repeat earlier ones. */
const stepsMax = 60_000;
/** The same for steps that only read prompts, against absurd lengths. */
const turnsMax = 1_000_000;
const golden = 0.6180339887498949;
const spreadMax = 5;

/** Length of the i-th request: low-discrepancy quantiles, so that a short run has the law's mean and tail. */
function outputLength(load: RequestLoad, index: number): number {
  if (!load.spread) return Math.max(1, Math.round(load.outputTokens));
  const u = (0.5 + index * golden) % 1;
  const cut = -Math.expm1(-spreadMax);
  const mean = 1 - (spreadMax * Math.exp(-spreadMax)) / cut;
  return Math.max(1, Math.round((load.outputTokens * -Math.log1p(-u * cut)) / mean));
}

/** Per future step: how many sequences end there and what is needed to book them. */
interface Ending {
  count: number;
  cached: number;
  reserved: number;
  inverseLengths: number;
  firstOverLength: number;
}

/**
 * The state that an endless queue settles in: `sequences` decode while prompts arrive as fast as sequences end.
 * Shapes: one group; tokens and seconds per step. Used where a run is long against its start and end.
 */
export function steadyServing(
  secondsOf: (load: StepLoad) => number,
  sequences: number,
  load: RequestLoad,
  mixed: boolean,
  pairsOf: (from: number, to: number) => number,
  speculative: SpeculativeDecoding = { accepted: 1, verified: 1 },
  ranks = 1,
): ServingOutcome {
  const steps = Math.max(1, load.outputTokens / speculative.accepted);
  const prompts = sequences / steps;
  const offset = load.promptTokens * load.prefixHit;
  const promptTokens = prompts * (load.promptTokens - offset);
  const promptPairs = prompts * pairsOf(offset, load.promptTokens);
  // Sequences in flight are biased to long ones: the mean age of an exponential length is the whole mean, of equal ones half.
  const meanContext = load.promptTokens + load.outputTokens * (load.spread ? 1 : 0.5);
  const decode = { sequences, meanContext, tokensPerSequence: speculative.verified };
  const none = { promptTokens: 0, promptPairs: 0, prompts: 0 };
  const read = { promptTokens, promptPairs, prompts, promptSkew: randomSkew(prompts, ranks) };
  const prefill = secondsOf({ ...read, sequences: 0, meanContext: 0, tokensPerSequence: 1 });
  const seconds = mixed ? secondsOf({ ...read, ...decode }) : secondsOf({ ...none, ...decode }) + prefill;
  const perSecond = (sequences * speculative.accepted) / seconds;
  return {
    seconds,
    outputTokensPerSecond: perSecond,
    promptTokensPerSecond: (perSecond * load.promptTokens) / load.outputTokens,
    ttftSeconds: seconds + prefill / Math.max(prompts, 1),
    tpotSeconds: seconds / speculative.accepted,
    meanSequences: sequences,
    steps: 1,
  };
}

/**
 * Prompts of the busiest of `ranks` over the mean, when `prompts` a step arrive at random: about m + √(2 m ln R) for Poisson
 * counts of mean m, and no more than all of them.
 */
function randomSkew(prompts: number, ranks: number): number {
  if (ranks <= 1 || prompts <= 0) return 1;
  const mean = prompts / ranks;
  return Math.min(prompts, mean + Math.sqrt(2 * mean * Math.log(ranks))) / mean;
}

/** The state of a run: counts of requests and tokens, sums for the means, and the decode step at which sequences end. */
interface Run {
  readonly policy: BatchingPolicy;
  readonly load: RequestLoad;
  readonly speculative: SpeculativeDecoding;
  readonly pairsOf: (from: number, to: number) => number;
  /** Prompt tokens that must be read, and that occupy cache. */
  readonly fresh: number;
  readonly limit: number;
  readonly endings: Map<number, Ending>;
  time: number;
  step: number;
  arrived: number;
  admitted: number;
  /** Tokens of the request at the head that are read already. */
  partial: number;
  headSince: number;
  running: number;
  cached: number;
  reserved: number;
  done: number;
  tokensOut: number;
  ttftSum: number;
  tpotSum: number;
  sequenceSeconds: number;
}

const arrival = (load: RequestLoad, index: number): number =>
  load.requestsPerSecond ? index / load.requestsPerSecond : 0;

/** Plays the load to its end and reports means over all requests. */
export function playServing(
  secondsOf: (load: StepLoad) => number,
  policy: BatchingPolicy,
  load: RequestLoad,
  pairsOf: (from: number, to: number) => number,
  speculative: SpeculativeDecoding = { accepted: 1, verified: 1 },
): ServingOutcome {
  const run: Run = {
    policy,
    load,
    speculative,
    pairsOf,
    fresh: Math.max(1, load.promptTokens * (1 - load.prefixHit)),
    limit: Math.min(policy.sequencesMax, load.concurrency ?? Infinity),
    endings: new Map(),
    time: 0,
    step: 0,
    arrived: load.requestsPerSecond ? 0 : load.requests,
    admitted: 0,
    partial: 0,
    headSince: 0,
    running: 0,
    cached: 0,
    reserved: 0,
    done: 0,
    tokensOut: 0,
    ttftSum: 0,
    tpotSum: 0,
    sequenceSeconds: 0,
  };
  for (let turn = 0; run.done < load.requests && run.step < stepsMax && turn < turnsMax; turn++) {
    while (run.arrived < load.requests && arrival(load, run.arrived) <= run.time) run.arrived++;
    if (run.running === 0 && run.admitted >= run.arrived) run.time = arrival(load, run.arrived);
    else advance(run, secondsOf);
  }
  return outcomeOf(run);
}

/** One step, or several equal ones at once while nothing can change. */
function advance(run: Run, secondsOf: (load: StepLoad) => number): void {
  const { policy, load, speculative } = run;
  const { read, pairs, first, skew } = readPrompts(run);
  const decoding = read > 0 && !policy.mixed ? 0 : run.running;
  let stride = read === 0 && decoding > 0 ? stepsToNextEnding(run) : 1;
  const each = secondsOf({
    promptTokens: read,
    promptPairs: pairs,
    prompts: first.length,
    promptSkew: skew,
    sequences: decoding,
    meanContext: decoding > 0 ? run.cached / decoding + ((stride - 1) / 2) * speculative.accepted : 0,
    tokensPerSequence: speculative.verified,
  });
  if (run.arrived < load.requests && stride > 1)
    stride = Math.max(1, Math.min(stride, Math.ceil((arrival(load, run.arrived) - run.time) / each)));
  run.time += each * stride;
  run.sequenceSeconds += run.running * each * stride;
  if (decoding > 0) decode(run, stride, decoding);
  for (const length of first) start(run, length);
  if (first.length > 0 || read === 0) run.headSince = run.time;
}

/** Whether a request that needs `need` tokens of cache may start beside `running` others; a lone one always may. */
const admits = (run: Run, running: number, reserved: number, need: number): boolean =>
  running < run.limit && (reserved + need <= run.policy.cacheTokens || running === 0);

/** Takes prompts in order into this step's token budget: tokens and pairs read, and output lengths of those now complete. */
function readPrompts(run: Run): { read: number; pairs: number; first: number[]; skew: number } {
  const { policy, load, fresh } = run;
  const first: number[] = [];
  let budget = Math.max(0, policy.stepTokensMax - (policy.mixed ? run.running * run.speculative.verified : 0));
  let read = 0;
  let pairs = 0;
  let running = run.running;
  let reserved = run.reserved;
  let pieces = 0;
  while (budget > 0 && run.admitted + first.length < run.arrived) {
    const length = outputLength(load, run.admitted + first.length);
    const need = load.promptTokens + policy.outputReserved * length;
    if (run.partial === 0 && !admits(run, running, reserved, need)) break;
    const chunk = Math.min(budget, fresh - run.partial);
    const from = load.promptTokens - fresh + run.partial;
    pairs += run.pairsOf(from, from + chunk);
    read += chunk;
    budget -= chunk;
    pieces += Math.ceil((chunk * policy.ranks) / policy.stepTokensMax);
    run.partial += chunk;
    if (run.partial < fresh - 1e-9) break;
    run.partial = 0;
    running++;
    reserved += need;
    first.push(length);
  }
  return { read, pairs, first, skew: pieces === 0 ? 1 : (Math.ceil(pieces / policy.ranks) * policy.ranks) / pieces };
}

function stepsToNextEnding(run: Run): number {
  let next = run.step + 1;
  while (!run.endings.has(next) && next - run.step < 4096) next++;
  return next - run.step;
}

function decode(run: Run, steps: number, sequences: number): void {
  run.step += steps;
  run.cached += sequences * steps * run.speculative.accepted;
  const ending = run.endings.get(run.step);
  if (!ending) return;
  run.endings.delete(run.step);
  run.running -= ending.count;
  run.cached -= ending.cached;
  run.reserved -= ending.reserved;
  run.done += ending.count;
  run.tpotSum += run.time * ending.inverseLengths - ending.firstOverLength;
}

/** Books a request whose first token just came out. */
function start(run: Run, length: number): void {
  const { load, policy, speculative } = run;
  run.ttftSum += run.time - (load.concurrency ? run.headSince : arrival(load, run.admitted));
  run.admitted++;
  run.tokensOut += length;
  if (length <= 1) {
    run.done++;
    return;
  }
  const at = run.step + Math.max(1, Math.ceil((length - 1) / speculative.accepted));
  const slot = run.endings.get(at) ?? { count: 0, cached: 0, reserved: 0, inverseLengths: 0, firstOverLength: 0 };
  const need = load.promptTokens + policy.outputReserved * length;
  slot.count++;
  slot.cached += load.promptTokens + 1 + (at - run.step) * speculative.accepted;
  slot.reserved += need;
  slot.inverseLengths += 1 / (length - 1);
  slot.firstOverLength += run.time / (length - 1);
  run.endings.set(at, slot);
  run.running++;
  run.cached += load.promptTokens + 1;
  run.reserved += need;
}

function outcomeOf(run: Run): ServingOutcome {
  const { load, time, done } = run;
  const tokens = done < load.requests ? done * load.outputTokens : run.tokensOut;
  return {
    seconds: time,
    outputTokensPerSecond: tokens / time,
    promptTokensPerSecond: (done * load.promptTokens) / time,
    ttftSeconds: run.ttftSum / Math.max(1, run.admitted),
    tpotSeconds: run.tpotSum / Math.max(1, done),
    meanSequences: run.sequenceSeconds / time,
    steps: run.step,
  };
}
