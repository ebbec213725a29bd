/**
 * How often a pool faults and how often a run on it should take a checkpoint.
 * Knows: rates and stalls of a checked question. Does not know: draws, events.
 */
import { secondsPerDay } from "../spec/quantities.ts";
import type { RunQuestion, SimulatedPool } from "./run-question.ts";

/** Faults per second that interrupt the run on this pool in its settled life; outages included, infancy and planned stops not. */
export function settledHazard(pool: SimulatedPool): number {
  return (pool.nodes * pool.failuresPerNodeDay + (pool.outages?.perDay ?? 0)) / secondsPerDay;
}

/** Productive seconds between checkpoints on `pool`: as asked, else Young's optimum; never shorter than a write takes. */
export function checkpointInterval({ checkpoint }: RunQuestion, pool: SimulatedPool): number {
  if (checkpoint.intervalSeconds !== undefined) return Math.max(checkpoint.intervalSeconds, checkpoint.persistSeconds);
  const hazard = settledHazard(pool);
  const optimum = hazard === 0 ? 1e9 : Math.sqrt((2 * checkpoint.stallSeconds) / hazard);
  // A free checkpoint would be taken endlessly often; every 10 s is as good and finite.
  return Math.max(10, checkpoint.persistSeconds, optimum);
}
