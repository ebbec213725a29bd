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
  const prefill = secondsOf({ promptTokens, promptPairs, prompts, sequences: 0, meanContext: 0, tokensPerSequence: 1 });
  const seconds = mixed
    ? secondsOf({ promptTokens, promptPairs, prompts, ...decode })
    : secondsOf({ ...none, ...decode }) + prefill;
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

/** Plays the load to its end and reports means over all requests. */
export function playServing(
  secondsOf: (load: StepLoad) => number,
  policy: BatchingPolicy,
  load: RequestLoad,
  pairsOf: (from: number, to: number) => number,
  speculative: SpeculativeDecoding = { accepted: 1, verified: 1 },
): ServingOutcome {
  const endings = new Map<number, Ending>();
  const prompt = Math.max(1, load.promptTokens * (1 - load.prefixHit));
  const cachedPrompt = load.promptTokens;
  const limit = Math.min(policy.sequencesMax, load.concurrency ?? Infinity);
  let time = 0;
  let step = 0;
  let arrived = load.requestsPerSecond ? 0 : load.requests;
  let admitted = 0;
  let partial = 0; // prompt tokens of the request at the head that are read already
  let running = 0;
  let cached = 0;
  let reserved = 0;
  let done = 0;
  let tokensOut = 0;
  let ttftSum = 0;
  let tpotSum = 0;
  let tpotCount = 0;
  let sequenceSeconds = 0;
  const arrival = (index: number): number => (load.requestsPerSecond ? index / load.requestsPerSecond : 0);
  let headSince = 0;
  while (done < load.requests && step < stepsMax) {
    while (arrived < load.requests && arrival(arrived) <= time) arrived++;
    const length = outputLength(load, admitted);
    const need = cachedPrompt + policy.outputReserved * length;
    const oneRoom = running < limit && (reserved + need <= policy.cacheTokens || running === 0);
    const canRead = admitted < arrived && (partial > 0 || oneRoom);
    if (!canRead && running === 0) {
      time = arrival(arrived);
      continue;
    }
    let budget = canRead ? Math.max(0, policy.stepTokensMax - (policy.mixed ? running * speculative.verified : 0)) : 0;
    let read = 0;
    let pairs = 0;
    const first: number[] = [];
    let fresh = running;
    let freshReserved = reserved;
    while (budget > 0 && admitted + first.length < arrived) {
      const next = outputLength(load, admitted + first.length);
      const room = cachedPrompt + policy.outputReserved * next;
      if (partial === 0 && !(fresh < limit && (freshReserved + room <= policy.cacheTokens || fresh === 0))) break;
      const chunk = Math.min(budget, prompt - partial);
      const offset = cachedPrompt - prompt;
      pairs += pairsOf(offset + partial, offset + partial + chunk);
      read += chunk;
      budget -= chunk;
      partial += chunk;
      if (partial < prompt - 1e-9) break;
      partial = 0;
      fresh++;
      freshReserved += room;
      first.push(next);
    }
    const decoding = read > 0 && !policy.mixed ? 0 : running;
    // Nothing changes until a sequence ends or a request arrives: take several decode steps at once.
    let stride = 1;
    if (read === 0 && decoding > 0) {
      let next = step + 1;
      while (!endings.has(next) && next - step < 4096) next++;
      stride = Math.max(1, next - step);
    }
    const meanContext = decoding > 0 ? cached / decoding + ((stride - 1) / 2) * speculative.accepted : 0;
    const each = secondsOf({
      promptTokens: read,
      promptPairs: pairs,
      prompts: first.length,
      sequences: decoding,
      meanContext,
      tokensPerSequence: speculative.verified,
    });
    if (arrived < load.requests && stride > 1) {
      stride = Math.max(1, Math.min(stride, Math.ceil((arrival(arrived) - time) / each)));
    }
    time += each * stride;
    sequenceSeconds += running * each * stride;
    if (decoding > 0) {
      step += stride;
      cached += decoding * stride * speculative.accepted;
      const ending = endings.get(step);
      if (ending) {
        endings.delete(step);
        running -= ending.count;
        cached -= ending.cached;
        reserved -= ending.reserved;
        done += ending.count;
        tpotSum += time * ending.inverseLengths - ending.firstOverLength;
      }
    }
    for (const [index, out] of first.entries()) {
      const id = admitted + index;
      ttftSum += time - (load.concurrency ? headSince : arrival(id));
      tokensOut += out;
      if (out <= 1) {
        done++;
        continue;
      }
      const at = step + Math.max(1, Math.ceil((out - 1) / speculative.accepted));
      const slot = endings.get(at) ?? { count: 0, cached: 0, reserved: 0, inverseLengths: 0, firstOverLength: 0 };
      slot.count++;
      slot.cached += cachedPrompt + 1 + (at - step) * speculative.accepted;
      slot.reserved += cachedPrompt + policy.outputReserved * out;
      slot.inverseLengths += 1 / (out - 1);
      slot.firstOverLength += time / (out - 1);
      endings.set(at, slot);
      tpotCount++;
      running++;
      cached += cachedPrompt + 1;
      reserved += cachedPrompt + policy.outputReserved * out;
    }
    admitted += first.length;
    if (first.length > 0 || read === 0) headSince = time;
  }
  const finished = Math.max(1, done);
  const tokens = done < load.requests ? finished * load.outputTokens : tokensOut;
  return {
    seconds: time,
    outputTokensPerSecond: tokens / time,
    promptTokensPerSecond: (finished * load.promptTokens) / time,
    ttftSeconds: ttftSum / Math.max(1, admitted),
    tpotSeconds: tpotSum / Math.max(1, tpotCount - running),
    meanSequences: sequenceSeconds / time,
    steps: step,
  };
}
