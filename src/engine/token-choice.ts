/**
 * Chooses the next token from logits: greedy, or by temperature and nucleus (top-p) sampling.
 * Knows: one vector of logits and one source of randomness. Does not know: models, sequences.
 */
import type { Random } from "../spec/random.ts";

export interface TokenProbability {
  readonly token: number;
  /** Natural log of the token's probability in the model's own distribution (temperature 1, no top-p). */
  readonly logprob: number;
}

export interface Choice extends TokenProbability {
  /** The likeliest tokens, best first, where they were asked for. */
  readonly top?: readonly TokenProbability[];
}

export interface TokenChoiceOptions {
  /** ≥ 0; 0 takes the most likely token (the lower index among equals). */
  readonly temperature: number;
  /** In (0, 1]: the fewest most likely tokens whose probabilities sum to at least it (Holtzman et al. 2020, https://arxiv.org/abs/1904.09751). */
  readonly topP: number;
  /** Only so many most likely tokens. */
  readonly topK?: number;
  /** Only tokens at least so likely as a share of the most likely one (Nguyen et al. 2024, https://arxiv.org/abs/2407.01082). */
  readonly minP?: number;
  /** How many of the likeliest tokens are reported in `top` (default none). */
  readonly topLogprobs?: number;
}

/**
 * Chooses from `logits`, and reports probabilities of `model`, the logits before anybody's bias (default: the same). `minP`, then
 * `topK`, then `topP` narrow what is drawn from. Throws Error on logits that are not finite, because what follows would be noise.
 */
export function chooseToken(
  logits: Float32Array,
  options: TokenChoiceOptions,
  draw: Random,
  model: Float32Array = logits,
): Choice {
  const { temperature, topP, topK = logits.length, minP = 0 } = options;
  let best = 0;
  for (let token = 0; token < logits.length; token++) {
    const logit = logits[token]!;
    if (!Number.isFinite(logit)) throw new Error(`the logit of token ${token} is ${logit}`);
    if (logit > logits[best]!) best = token;
  }
  if (temperature === 0) return readToken(model, best, options);

  const max = logits[best]!;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - max) / temperature));
  const narrow = topP < 1 || topK < logits.length || minP > 0;
  const token = narrow ? fromNucleus(weights, { topP, topK, minP }, draw) : fromWeights(weights, draw);
  return readToken(model, token, options);
}

/** How likely `token` is by `logits`, with the likeliest tokens where asked for. */
export function readToken(
  logits: Float32Array,
  token: number,
  { topLogprobs = 0 }: Pick<TokenChoiceOptions, "topLogprobs">,
): Choice {
  let max = Number.NEGATIVE_INFINITY;
  for (const logit of logits) max = Math.max(max, logit);
  let total = 0;
  for (const logit of logits) total += Math.exp(logit - max);
  const logprobOf = (other: number): number => logits[other]! - max - Math.log(total);
  return {
    token,
    logprob: logprobOf(token),
    ...(topLogprobs > 0 && {
      top: likeliest(logits, topLogprobs).map((other) => ({ token: other, logprob: logprobOf(other) })),
    }),
  };
}

/** The `count` tokens of the highest logits, best first, the lower index among equals. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let token = 0; token < logits.length; token++) {
    if (best.length === count && logits[token]! <= logits[best.at(-1)!]!) continue;
    const place = best.findIndex((other) => logits[token]! > logits[other]!);
    best.splice(place === -1 ? best.length : place, 0, token);
    if (best.length > count) best.pop();
  }
  return best;
}

function fromWeights(weights: Float64Array, draw: Random): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let rest = draw.uniform() * total;
  let last = 0;
  for (let token = 0; token < weights.length; token++) {
    if (weights[token] === 0) continue;
    last = token;
    rest -= weights[token]!;
    if (rest < 0) return token;
  }
  return last; // rounding left a crumb of `rest`
}

function fromNucleus(
  weights: Float64Array,
  { topP, topK, minP }: { readonly topP: number; readonly topK: number; readonly minP: number },
  draw: Random,
): number {
  const all = weights.reduce((sum, weight) => sum + weight, 0);
  // All tokens below this floor together weigh less than 1 − topP, so none is in the nucleus; that spares a full sort. The
  // likeliest weighs 1.
  const floor = Math.max(((1 - topP) * all) / weights.length, minP);
  const candidates: number[] = [];
  weights.forEach((weight, token) => {
    if (weight >= floor) candidates.push(token);
  });
  candidates.sort((a, b) => weights[b]! - weights[a]! || a - b);
  candidates.splice(topK);
  const isNarrowed = topK < weights.length || minP > 0;
  const total = isNarrowed ? candidates.reduce((sum, token) => sum + weights[token]!, 0) : all;
  let mass = 0;
  let size = 0;
  while (size < candidates.length && mass < topP * total) mass += weights[candidates[size++]!]!;
  let rest = draw.uniform() * mass;
  for (let i = 0; i < size; i++) {
    rest -= weights[candidates[i]!]!;
    if (rest < 0) return candidates[i]!;
  }
  return candidates[size - 1]!;
}
