/**
 * How far two answers lie apart where only the likeliest tokens of each position are known, as servers report them.
 * Knows: tokens by their text or id, log probabilities. Does not know: servers, models.
 */
import { nearTie } from "../../catalog/parity-thresholds.ts";

export interface TokenRecord {
  /** What names the token on both sides. */
  readonly token: string;
  /** Natural log; NaN where it was not given. */
  readonly logprob: number;
  /** The likeliest tokens; empty where none were given. */
  readonly top: ReadonlyMap<string, number>;
}

export interface Answer {
  readonly text: string;
  /** The tokens' ids where they are known without asking a server. */
  readonly ids?: readonly number[];
  /** Empty where a server gives no log probabilities. */
  readonly tokens: readonly TokenRecord[];
  /** The prompt's tokens, where they were scored; the first has no probability. */
  readonly prompt: readonly TokenRecord[];
}

export interface AnswerDivergence {
  /** Index of the token, or of the character where there are no tokens, from 0. */
  readonly at: number;
  readonly a: string;
  readonly b: string;
  /** Infinity where a side does not list the other's choice. */
  readonly gapNats: number;
  readonly rank: number;
  readonly nearTie: boolean;
}

export interface AnswerMeasures {
  /** Positions whose distributions were compared. */
  readonly positions: number;
  /** KL(a ‖ b) of the tokens that both list and the rest taken as one: never more than the divergence of the whole. */
  readonly kl: readonly number[];
  readonly topOneAgreements: number;
  /** Of each position: the share of a's likeliest tokens that b lists too. */
  readonly topKShare: readonly number[];
  readonly largestLogprobDifference: number;
  readonly divergence: AnswerDivergence | undefined;
  /** Both gave one text in other tokens: their tokenizers differ, and no token of one stands for one of the other. */
  readonly otherTokens: boolean;
}

type Pair = readonly [TokenRecord, TokenRecord];

/** The tokens of a text as both sides read it; undefined where they cut it into other tokens, or name tokens otherwise. */
export function pairsOf(a: readonly TokenRecord[], b: readonly TokenRecord[]): Pair[] | undefined {
  if (a.length !== b.length) return undefined;
  const isSame = a.every(({ token }, index) => token === "" || b[index]!.token === "" || token === b[index]!.token);
  return isSame ? a.map((record, index) => [record, b[index]!]) : undefined;
}

/** Of two answers; `scored` is one text as both sides read it, which then is what probabilities are compared on. */
export function measureAnswers(a: Answer, b: Answer, scored?: readonly Pair[]): AnswerMeasures {
  const otherTokens =
    a.text === b.text && a.tokens.some(({ token }, index) => b.tokens[index] && b.tokens[index].token !== token);
  if (otherTokens) return { ...measurePairs(scored ?? []), divergence: undefined, otherTokens };
  const pairs: Pair[] = pairsOf(a.prompt, b.prompt) ?? [];
  const divergence = a.tokens.length > 0 && b.tokens.length > 0 ? tokensPart(a, b) : textsPart(a, b);
  const common = divergence ? divergence.at + 1 : Math.min(a.tokens.length, b.tokens.length);
  for (let at = 0; at < Math.min(common, a.tokens.length, b.tokens.length); at++) {
    pairs.push([a.tokens[at]!, b.tokens[at]!]);
  }
  return { ...measurePairs(scored ?? pairs), divergence, otherTokens };
}

function measurePairs(pairs: readonly Pair[]): Omit<AnswerMeasures, "divergence" | "otherTokens"> {
  const known = pairs.filter(([x, y]) => x.top.size > 0 && y.top.size > 0);
  const shared = pairs.filter(([x, y]) => x.token === y.token).map(([x, y]) => Math.abs(x.logprob - y.logprob));
  return {
    positions: known.length,
    kl: known.map(([x, y]) => coarseKl(x.top, y.top)),
    topOneAgreements: known.filter(([x, y]) => best(x.top) === best(y.top)).length,
    topKShare: known.map(([x, y]) => [...x.top.keys()].filter((token) => y.top.has(token)).length / x.top.size),
    largestLogprobDifference: shared.reduce((most, value) => (value > most ? value : most), 0),
  };
}

/** A greedy answer takes its own likeliest token; this is the first position that does not. */
export function sampledAt({ tokens }: Answer): number | undefined {
  const at = tokens.findIndex(({ token, top }) => {
    if (top.size === 0) return false;
    const most = Math.max(...top.values());
    // Equal ones may be broken either way.
    return (top.get(token) ?? Number.NEGATIVE_INFINITY) < most - 1e-6;
  });
  return at === -1 ? undefined : at;
}

function best(top: ReadonlyMap<string, number>): string | undefined {
  return [...top].reduce<[string, number] | undefined>(
    (most, one) => (most && most[1] >= one[1] ? most : one),
    undefined,
  )?.[0];
}

export function coarseKl(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let [sum, restA, restB] = [0, 1, 1];
  for (const [token, logA] of a) {
    const logB = b.get(token);
    if (logB === undefined) continue;
    const [p, q] = [Math.exp(logA), Math.exp(logB)];
    if (p > 0) sum += p * (logA - logB);
    restA -= p;
    restB -= q;
  }
  // Rounding of reported probabilities may leave a rest just below nothing.
  [restA, restB] = [Math.max(0, restA), Math.max(1e-12, restB)];
  if (restA > 0) sum += restA * Math.log(restA / restB);
  return Math.max(0, sum);
}

function tokensPart(a: Answer, b: Answer): AnswerDivergence | undefined {
  const length = Math.max(a.tokens.length, b.tokens.length);
  for (let at = 0; at < length; at++) {
    const [x, y] = [a.tokens[at], b.tokens[at]];
    if (x && y && x.token === y.token) continue;
    if (!x || !y) {
      // One side ended: it chose its last token, which servers do not list.
      return {
        at,
        a: x?.token ?? "(end)",
        b: y?.token ?? "(end)",
        gapNats: Number.NaN,
        rank: Number.NaN,
        nearTie: true,
      };
    }
    const gapNats = Math.max(gap(x, y.token), gap(y, x.token));
    const rank = Math.max(rankIn(x.top, y.token), rankIn(y.top, x.token));
    const { closeNats, gapNats: limit, rank: second } = nearTie;
    const isNear = gapNats <= closeNats.limit || (gapNats <= limit.limit && rank <= second.limit);
    return { at, a: x.token, b: y.token, gapNats, rank, nearTie: isNear };
  }
  return undefined;
}

const gap = ({ top, logprob }: TokenRecord, other: string): number =>
  logprob - (top.get(other) ?? Number.NEGATIVE_INFINITY);

function rankIn(top: ReadonlyMap<string, number>, token: string): number {
  const own = top.get(token);
  if (own === undefined) return Number.POSITIVE_INFINITY;
  return 1 + [...top.values()].filter((logprob) => logprob > own).length;
}

function textsPart(a: Answer, b: Answer): AnswerDivergence | undefined {
  if (a.text === b.text) return undefined;
  let at = 0;
  while (at < a.text.length && a.text[at] === b.text[at]) at++;
  return {
    ...{ at, a: a.text.slice(at, at + 20), b: b.text.slice(at, at + 20) },
    ...{ gapNats: Number.NaN, rank: Number.NaN, nearTie: false },
  };
}
