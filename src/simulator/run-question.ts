/**
 * What the failure simulator is asked: one run, the pools it may use in order, checkpoints and the failover policy.
 * Knows: units, defaults and bounds of every input. Does not know: how a run is simulated, where a rate comes from.
 */
import * as z from "zod";
import { publishedCauses } from "../catalog/reliability.ts";
import { FaultCategory } from "../spec/vocabulary.ts";

const seconds = z.number().nonnegative().max(1e11);

/** Nodes of one platform as the simulator sees them. Rates are means over the pool's nodes in their settled life. */
export const SimulatedPool = z.strictObject({
  name: z.string().default("pool"),
  /** Nodes that the run occupies. */
  nodes: z.int().positive().max(1e7),
  failuresPerNodeDay: z.number().nonnegative().max(1e4),
  causes: z
    .array(
      z.strictObject({
        name: z.string(),
        share: z.number().nonnegative(),
        category: FaultCategory,
        nodeLeaves: z.boolean(),
      }),
    )
    .min(1)
    .default(() => [...publishedCauses]),
  /** Idle nodes that replace failed ones; left out: always enough. */
  spares: z.int().nonnegative().optional(),
  /** Mean repair time of a node (exponential) and how many are repaired at once (left out: all); others queue, first come first served. */
  repairSeconds: seconds.default(86400),
  repairCrews: z.int().positive().max(1e6).optional(),
  /** From fault to stop of all workers, and from there (or from the spare's arrival) to the first step. */
  detectSeconds: seconds.default(300),
  restartSeconds: seconds.default(600),
  /** A young node fails (1 + excess · exp(−age / decay)) times as often; all nodes start at age 0 with the run. */
  infantMortality: z.strictObject({ excess: z.number().nonnegative(), decaySeconds: z.number().positive() }).optional(),
  /** A share of nodes fails `rateFactor` times as often as the others until evicted, on average after so many failures. */
  lemons: z
    .strictObject({
      share: z.number().min(0).max(1),
      rateFactor: z.number().min(1),
      evictAfterFailures: z.number().min(1).optional(),
    })
    .optional(),
  /** A straggling node slows every synchronous rank by `slowdown` until found (exponential) and swapped at a checkpoint. */
  stragglers: z
    .strictObject({
      perNodeDay: z.number().nonnegative(),
      slowdown: z.number().min(0).max(0.99),
      detectSeconds: seconds,
    })
    .optional(),
  /** The whole pool stops: unplanned outages lose work, planned maintenance stops at a checkpoint. */
  outages: z.strictObject({ perDay: z.number().nonnegative(), seconds }).optional(),
  maintenance: z.strictObject({ perDay: z.number().nonnegative(), seconds }).optional(),
  /** Speed of the run here relative to the first pool. */
  relativeSpeed: z.number().positive().default(1),
});
export type SimulatedPool = z.infer<typeof SimulatedPool>;

export const RunQuestion = z.strictObject({
  /** Seconds that the run would take on the first pool without faults and without checkpoints. */
  productiveSeconds: z.number().positive().max(1e11),
  /** In order of preference; the run starts on the first and moves on by the failover policy, never back. */
  pools: z.array(SimulatedPool).min(1),
  checkpoint: z
    .strictObject({
      /** Training stands still for this long at each checkpoint. */
      stallSeconds: seconds.default(60),
      /** An asynchronous write is durable only this much later (0: with the end of the stall). */
      persistSeconds: seconds.default(0),
      /** Productive seconds between checkpoints; left out: √(2 · stall / λ) for the pool in use (Young 1974). */
      intervalSeconds: z.number().positive().max(1e9).optional(),
    })
    .prefault({}),
  failover: z
    .strictObject({
      /** Moves on after so many faults in a row without a new checkpoint, or after waiting so long for a node. */
      faultsWithoutProgress: z.int().positive().default(5),
      waitSeconds: z.number().positive().max(1e11).default(86400),
      /** Conversion of the checkpoint and start elsewhere. */
      switchSeconds: seconds.default(7200),
    })
    .optional(),
  deadlineSeconds: z.number().positive().max(1e12).optional(),
  /** The simulated time ends here even if the run has not (left out: the larger of 10 × productive time and 2 × deadline). */
  horizonSeconds: z.number().positive().max(1e12).optional(),
  /** The rate itself is uncertain: each replica multiplies all failure rates by one gamma variate of mean 1 and this shape. */
  rateShape: z.number().positive().optional(),
  /** The work itself is uncertain: each replica multiplies it by one lognormal variate of median 1 whose logarithm deviates so. */
  workDeviation: z.number().nonnegative().max(3).optional(),
});
export type RunQuestion = z.infer<typeof RunQuestion>;
/** What a caller writes: everything with a default may be left out. */
export type RunQuestionInput = z.input<typeof RunQuestion>;
