/**
 * Compares predicted memory with what published runs reported on their devices.
 * Knows: the records that report memory. Does not know: time. No constant is fitted to memory.
 */
import { trainingRecords } from "../catalog/training-runs.ts";
import { predictMemory, prepareCase } from "./training-case.ts";
import { TrainingCase } from "./training-rows.ts";

export interface MemoryComparison {
  readonly id: string;
  readonly predictedBytes: number;
  readonly publishedBytes: number;
}

/** One entry per published run that reported memory and gave its whole layout. */
export function memoryComparisons(): MemoryComparison[] {
  return trainingRecords().flatMap((record) => {
    const run = TrainingCase.parse(record);
    if (run.reportedMemoryBytes === null) return [];
    const prepared = prepareCase(run);
    const predictedBytes = "reason" in prepared ? null : predictMemory(prepared);
    return predictedBytes === null ? [] : [{ id: run.id, predictedBytes, publishedBytes: run.reportedMemoryBytes }];
  });
}
