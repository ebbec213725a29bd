/**
 * A cluster that exists only in memory: storage tiers, the fencing token, and attempts of simulated workers on a virtual clock.
 * Knows: what outlives an attempt and a supervisor. Does not know: how a worker behaves (simulated-attempt), the supervisor.
 */
import type { VirtualClock } from "../host/virtual-clock.ts";
import type { SimulatedAttempt } from "./simulated-attempt.ts";

/** Weights are a hash over all completed steps in order, so that a step left out, doubled or swapped shows in the end. */
export interface StoredCheckpoint {
  readonly path: string;
  readonly step: number;
  readonly tier: "memory" | "disk";
  readonly weights: string;
  corrupt: boolean;
}

/** What may make a healthy cluster look sick: pauses and jitter, all within what healthy jobs show. */
export interface Temper {
  /** Standard deviation of a step's time, as a share of it. */
  readonly jitter: number;
  /** Chance per step of a pause (validation, slow checkpoint), and its longest length. */
  readonly pauseChance: number;
  readonly pauseSeconds: number;
  /** Longest time from launch to the first step. */
  readonly startSeconds: number;
  readonly stepSeconds: number;
}

export const calm: Temper = { jitter: 0.05, pauseChance: 0, pauseSeconds: 0, startSeconds: 1, stepSeconds: 0.3 };

export interface SimulatedCluster {
  readonly clock: VirtualClock;
  readonly seed: number;
  readonly temper: Temper;
  readonly attempts: Map<number, SimulatedAttempt>;
  readonly checkpoints: Map<string, StoredCheckpoint>;
  /** The newest epoch, as the fencing token says it. */
  epoch: number;
  /** What must never happen and did. */
  readonly violations: string[];
}

export function simulatedCluster(options: { clock: VirtualClock; seed: number; temper?: Temper }): SimulatedCluster {
  const { clock, seed, temper = calm } = options;
  return { clock, seed, temper, attempts: new Map(), checkpoints: new Map(), epoch: 0, violations: [] };
}

/** Publishes a checkpoint unless a newer epoch exists; false then. Keeps the newest three of the memory tier. */
export function publish(
  cluster: SimulatedCluster,
  epoch: number,
  checkpoint: Omit<StoredCheckpoint, "path" | "corrupt">,
): StoredCheckpoint | undefined {
  if (epoch < cluster.epoch) return undefined;
  const others = [...cluster.attempts.values()].filter((other) => other.epoch !== epoch && other.isAlive());
  if (others.length > 0)
    cluster.violations.push(`attempts ${others.map((other) => other.epoch)} live while ${epoch} writes`);
  const path = `/${checkpoint.tier}/step-${String(checkpoint.step).padStart(8, "0")}`;
  const stored = { ...checkpoint, path, corrupt: false };
  cluster.checkpoints.set(path, stored);
  const memory = [...cluster.checkpoints.values()]
    .filter(({ tier }) => tier === "memory")
    .sort((a, b) => b.step - a.step);
  for (const old of memory.slice(3)) cluster.checkpoints.delete(old.path);
  return stored;
}

/** One step of "training": a chained 64-bit hash. */
export function trainedWeights(weights: string, step: number, seed: number): string {
  let low = 0x811c9dc5;
  let high = 0x9747b28c;
  const text = `${weights}|${step}|${seed}`;
  for (let i = 0; i < text.length; i++) {
    low = Math.imul(low ^ text.charCodeAt(i), 0x01000193);
    high = Math.imul(high ^ text.charCodeAt(i), 0x85ebca6b) ^ (high >>> 13);
  }
  return (low >>> 0).toString(16).padStart(8, "0") + (high >>> 0).toString(16).padStart(8, "0");
}
