/**
 * How far two runs of one model may lie apart and still count as the same model, as the vendors and serving projects publish it.
 * Knows: limits with their sources (read 2026-11-23). Does not know: how anything is measured or judged.
 */

export interface ParityThreshold {
  readonly limit: number;
  readonly source: string;
}

/**
 * Bound on the error that one operator may accumulate in a number format, relative to the result's size. A model adds its blocks'
 * errors, which are independent, so that they grow with the square root of their number.
 */
export const accumulatedRelativeError = {
  fp32: { limit: 2 ** -11, source: "msprobe API checker, standard_config.py: accumulative error bound of float32" },
  bf16: { limit: 2 ** -7, source: "msprobe API checker, standard_config.py: accumulative error bound of bfloat16" },
  fp8: {
    limit: 3 * 10 ** (-37.8 / 20),
    source: "ours, no published bound: E4M3 weights and activations err by 0.026 each on random models, together 0.037",
  },
  w8a8: {
    limit: 3 * 10 ** (-37.8 / 20),
    source:
      "ours: three times the weight error published for FP8 to INT8 by row (37.8 dB, GLM-5.2 q_a_proj), for activations are rounded too",
  },
} as const satisfies Record<string, ParityThreshold>;

const hiascendRule = "hiascend accuracy comparison guide and msprobe const.py";

/**
 * The vendor's rule for one tensor: it fails with a cosine below `fairCosine` and an error above `smallError`, with a cosine below
 * `poorCosine`, or with an error above `largeError`.
 */
export const tensorComparison = {
  fairCosine: { limit: 0.99, source: hiascendRule },
  smallError: { limit: 0.001, source: hiascendRule },
  poorCosine: { limit: 0.9, source: hiascendRule },
  largeError: { limit: 1, source: hiascendRule },
} as const satisfies Record<string, ParityThreshold>;

/**
 * Where greedy answers part, each side's token must be nearly as likely on the other side: within `closeNats` whatever its rank, or
 * within `gapNats` and the other side's second choice.
 */
export const nearTie = {
  closeNats: {
    limit: 0.125,
    source: "serving projects' tightening of vLLM's check_logprobs_close: gap of 0.125 to 0.5 nats",
  },
  gapNats: {
    limit: 0.5,
    source: "serving projects' tightening of vLLM's check_logprobs_close: gap of 0.125 to 0.5 nats",
  },
  rank: {
    limit: 2,
    source: "the same: rank of the other side's token at most 2 (vLLM's own test allows its top-N list)",
  },
} as const satisfies Record<string, ParityThreshold>;

/**
 * A token whose next-best expert scores within rounding of its best goes to another expert on the other side, and its logits differ by
 * far more than rounding. Such a position is one with `factor` times the accumulated error; a model without experts has none.
 */
export const routerTies = {
  factor: { limit: 4, source: "ours: between rounding and changed routing on 16 models with random weights" },
  share: {
    limit: 0.05,
    source: "ours, no published limit: 0 to 1.4 % were seen on 16 models with random weights and 4 experts",
  },
} as const satisfies Record<string, ParityThreshold>;

/** Nobody publishes a limit on KL divergence; llama.cpp prints it without one. This one is ours. */
export const meanKl: ParityThreshold = {
  limit: 0.05,
  source:
    "ours, no published limit: 0.0002 without and 0.01 with changed routing were seen on models with random weights",
};

/**
 * What one linear map may add to the relative error of what it reads, by number format; ours, seen on four of the random
 * models of bench/parity-models.mjs: medians of about 0.004 (bf16), 0.013 (w8a8; 0.03 with its activations) and 0.026 (fp8).
 */
export const addedRelativeError = { fp32: 2 ** -11, bf16: 2 ** -8, w8a8: 0.026, fp8: 0.026 } as const;

/**
 * Where a module parts: its error is held against the largest error among what it reads plus what its own linear maps may add
 * (addedRelativeError), so that rounding which upstream layers have already multiplied is not blamed on it.
 */
export const layerDivergence = {
  /** For one token. */
  rowFactor: {
    limit: 6,
    source:
      "ours: healthy tokens stay below 5 on random models; msprobe's finder calls an error that grows 10 times an operator's",
  },
  /** For the median of all tokens: a small error that every token has. */
  medianFactor: { limit: 1.6, source: "ours: healthy medians stay below 1.2 on random models" },
  /** A cache's row against what reading gave, in multiples of the accumulated error. */
  cacheFactor: { limit: 4, source: "ours: the factor that parts rounding from changed routing" },
  /** Share of a module's tokens beyond it, once routing has tipped over upstream; without that none may be. */
  share: routerTies.share,
} as const satisfies Record<string, ParityThreshold>;

/** Below this probability, right and wrong answers are not spread over two equal sides by chance. */
export const taskDifference: ParityThreshold = {
  limit: 0.05,
  source: "exact test of McNemar 1947 (doi 10.1007/BF02295996) at the conventional 5 %",
};
