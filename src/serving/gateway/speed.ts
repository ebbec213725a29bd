/**
 * Remembers how fast a backend has lately answered, and what is usual for it.
 * Knows: exponentially weighted means whose memory fades. Does not know: clocks, health, routing.
 */

export interface Answered {
  /** Monotonic seconds at the end. */
  readonly now: number;
  /** Absent when the answer came in one piece. */
  readonly firstTokenSeconds: number | undefined;
  readonly seconds: number;
  readonly tokens: number;
}

export interface Speed {
  /** Lately, fading to what is usual for it when nothing was measured for a while: a backend once slow gets another chance. */
  firstTokenSeconds(now: number): number;
  secondsPerToken(now: number): number;
  /** Times the usual that an answer of so many tokens took; 1 before enough answers. */
  slowness(answer: Answered): number;
  /** Usual seconds to the first token; undefined before enough answers. */
  readonly usualFirstTokenSeconds: number | undefined;
  /** Usual seconds of an answer of so many tokens; undefined before enough answers. */
  usualSeconds(tokens: number): number | undefined;
  readonly answerTokens: number;
  /** Monotonic seconds; undefined before the first answer, when all else is a guess. */
  readonly measuredAt: number | undefined;
  measured(answer: Answered): void;
}

const prior = { firstTokenSeconds: 0.2, secondsPerToken: 0.02, answerTokens: 128 };
const lately = 0.2;
const usually = 0.01;
const fadeSeconds = 30;
const enoughAnswers = 20;
/** Below it nobody minds, and scheduling of the machine decides. */
const unnoticedSeconds = 0.2;

export function createSpeed(): Speed {
  let last = Number.NEGATIVE_INFINITY;
  let answers = 0;
  const first = { lately: prior.firstTokenSeconds, usual: prior.firstTokenSeconds, count: 0 };
  const perToken = { lately: prior.secondsPerToken, usual: prior.secondsPerToken, count: 0 };
  let answerTokens = prior.answerTokens;
  const faded = (mean: typeof first, now: number): number =>
    mean.usual + (mean.lately - mean.usual) * 2 ** (-Math.max(0, now - last) / fadeSeconds);
  /** The first answers count fully, so that the priors are gone soon. */
  const learn = (mean: typeof first, value: number): void => {
    mean.count++;
    mean.lately += Math.max(lately, 1 / mean.count) * (value - mean.lately);
    // One answer far out of the usual is not the new usual.
    const bounded = mean.count <= enoughAnswers ? value : Math.min(value, 4 * mean.usual);
    mean.usual += Math.max(usually, 1 / mean.count) * (bounded - mean.usual);
  };
  return {
    firstTokenSeconds: (now) => faded(first, now),
    secondsPerToken: (now) => faded(perToken, now),
    slowness({ firstTokenSeconds, seconds, tokens }) {
      if (answers < enoughAnswers) return 1;
      const whole = seconds / Math.max(unnoticedSeconds, first.usual + tokens * perToken.usual);
      return Math.max(whole, (firstTokenSeconds ?? 0) / Math.max(unnoticedSeconds, first.usual));
    },
    get usualFirstTokenSeconds() {
      return answers < enoughAnswers ? undefined : first.usual;
    },
    usualSeconds: (tokens) => (answers < enoughAnswers ? undefined : first.usual + tokens * perToken.usual),
    get measuredAt() {
      return answers === 0 ? undefined : last;
    },
    get answerTokens() {
      return answerTokens;
    },
    measured({ now, firstTokenSeconds, seconds, tokens }) {
      answers++;
      last = now;
      if (firstTokenSeconds === undefined) {
        // One figure for two unknowns: in proportion to what was expected.
        const ratio = seconds / Math.max(1e-9, first.lately + tokens * perToken.lately);
        learn(first, first.lately * ratio);
        learn(perToken, perToken.lately * ratio);
      } else {
        learn(first, firstTokenSeconds);
        if (tokens > 1) learn(perToken, Math.max(0, seconds - firstTokenSeconds) / (tokens - 1));
      }
      answerTokens += lately * (Math.max(1, tokens) - answerTokens);
    },
  };
}
