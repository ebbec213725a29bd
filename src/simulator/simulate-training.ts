/**
 * Replaces the closed-form completion of a planned training layout by simulated runs.
 * Knows: how a training question is asked of the simulator. Does not know: layouts' cost, which layouts deserve it.
 */
import { publishedCauses } from "../catalog/reliability.ts";
import {
  checkpointCosts,
  costOf,
  productiveSecondsOf,
  type TrainingEstimate,
  type TrainingQuestion,
} from "../planner/train.ts";
import { secondsPerDay } from "../spec/quantities.ts";
import { type CompletionDistribution, simulateCompletion } from "./simulate-completion.ts";

/** Relative standard deviation of a pool's failure rate about its class; the closed form uses the same. */
const rateDeviation = 0.5;

export interface SimulationEffort {
  /** Replicas, 1 or more; a thousand leave P(done in time) within ±1.6 % (one deviation). */
  readonly replicas: number;
  /** Faults over all replicas after which no further one starts; about 0.2 µs each. */
  readonly faults: number;
  readonly seed: number;
}

/**
 * Simulated completion of `estimate`'s layout; the rate and the step time are uncertain. A failed node is replaced by one of
 * `question.spareNodes`; with none left the run stands until a repair ends. Undefined: spares are taken to suffice.
 */
export function trainingCompletion(
  question: TrainingQuestion,
  estimate: TrainingEstimate,
  { replicas, faults, seed }: SimulationEffort,
): CompletionDistribution {
  const { checkpointSeconds } = checkpointCosts(question);
  const deadline = question.deadlineDays;
  return simulateCompletion(
    {
      productiveSeconds: productiveSecondsOf(question, estimate.stepSeconds),
      checkpoint: { stallSeconds: checkpointSeconds, persistSeconds: 0 },
      pools: [
        {
          name: question.accelerator.id,
          relativeSpeed: 1,
          causes: [...publishedCauses],
          repairSeconds: question.repairSeconds ?? secondsPerDay,
          ...(question.spareNodes === undefined ? {} : { spares: question.spareNodes }),
          nodes: Math.max(1, Math.ceil(question.devices / question.accelerator.nodeDevices)),
          failuresPerNodeDay: question.failuresPerNodeDay,
          detectSeconds: question.detectSeconds,
          restartSeconds: question.restartSeconds,
        },
      ],
      rateShape: 1 / rateDeviation ** 2,
      workDeviation: question.stepDeviation,
      ...(deadline === null || deadline <= 0 ? {} : { deadlineSeconds: deadline * secondsPerDay }),
    },
    replicas,
    seed,
    faults,
  );
}

/** The estimate with days, goodput, failures, P(deadline) and what is paid taken from simulated runs instead of the closed form. */
export function withSimulatedCompletion(
  question: TrainingQuestion,
  estimate: TrainingEstimate,
  effort: SimulationEffort,
): TrainingEstimate {
  const productive = productiveSecondsOf(question, estimate.stepSeconds);
  // A run beyond the simulator's bounds (3,000 years) keeps its closed form.
  if (productive > 1e11) return estimate;
  const done = trainingCompletion(question, estimate, effort);
  return {
    ...estimate,
    days: done.days,
    goodput: done.goodput,
    failuresExpected: done.failuresExpected,
    probabilityByDeadline: question.deadlineDays === null ? null : (done.probabilityByDeadline ?? 0),
    completion: {
      method: "simulated",
      replicas: done.replicas,
      interval: done.probabilityInterval ?? null,
      failuresWhileWaiting: done.failuresWhileWaiting,
    },
    // A run that mostly never ends has no price.
    ...costOf(question, done.probabilityCompleted < 0.5 ? Number.POSITIVE_INFINITY : productive / done.goodput),
  };
}
