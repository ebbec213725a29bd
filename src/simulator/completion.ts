/**
 * Asks the simulator a question that somebody wrote: checks it, fills its defaults and simulates it.
 * Knows: the schema. Does not know: what happens inside a replica.
 */
import { RunQuestion, type RunQuestionInput } from "./run-question.ts";
import { type CompletionDistribution, simulateCompletion } from "./simulate-completion.ts";
import { type RunOutcome, RunSimulator } from "./simulate-run.ts";

/** {@link simulateCompletion} of a question as it is written; throws ZodError for one out of bounds. */
export function completionDistribution(
  question: RunQuestionInput,
  replicas: number,
  seed: number,
): CompletionDistribution {
  return simulateCompletion(RunQuestion.parse(question), replicas, seed);
}

/** One run; equal `question` and `seed` give equal outcomes. Throws ZodError for a question out of bounds. */
export function simulateRun(
  question: RunQuestionInput,
  seed: number,
): RunOutcome & { faultsByCause: Record<string, number> } {
  const simulator = new RunSimulator(RunQuestion.parse(question));
  return { ...simulator.run(seed), faultsByCause: simulator.faultsByCause() };
}
