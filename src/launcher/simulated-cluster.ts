/**
 * A cluster that exists only in memory: storage tiers, the fencing token, and attempts of simulated workers on a virtual clock.
 * Knows: what outlives an attempt and a supervisor. Does not know: how a worker behaves (simulated-attempt), the supervisor.
 */
import type { VirtualClock } from "../host/virtual-clock.ts";
import type { SimulatedAttempt } from "./simulated-attempt.ts";
import type { Mishap } from "./simulated-mishap.ts";

/** Weights are a hash over all completed steps in order, so that a step left out, doubled or swapped shows in the end. */
export interface StoredCheckpoint {
  readonly path: string;
  readonly step: number;
  readonly tier: "memory" | "disk";
  readonly weights: string;
  /** Why it does not verify. */
  corrupt: string | undefined;
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
  /** Between heartbeats of a rank; absent: 0.5, Infinity: none come. */
  readonly heartbeatSeconds?: number;
  /** Only rank 0 says anything while all is well, as programs do that know nothing of a supervisor. */
  readonly onlyFirstSpeaks?: boolean;
  /** What ranks hold in common at most in the disk tier; absent: everything. */
  readonly keepOnDisk?: number;
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
  /** What befalls attempts beside their run file's faults, in order. */
  readonly mishaps: Mishap[];
  /** Nodes that start no worker. */
  readonly broken: Set<string>;
  /** When they struck, in monotonic seconds. */
  readonly struckAt: number[];
  /** Writers of older attempts that were turned away. */
  fenced: number;
  /** What must never happen and did. */
  readonly violations: string[];
}

export function simulatedCluster(options: { clock: VirtualClock; seed: number; temper?: Temper }): SimulatedCluster {
  const { clock, seed, temper = calm } = options;
  return {
    clock,
    seed,
    temper,
    attempts: new Map(),
    checkpoints: new Map(),
    epoch: 0,
    mishaps: [],
    struckAt: [],
    broken: new Set(),
    fenced: 0,
    violations: [],
  };
}

/** Publishes a checkpoint unless a newer epoch exists; false then. Keeps the newest three of the memory tier. */
export function publish(
  cluster: SimulatedCluster,
  epoch: number,
  checkpoint: Omit<StoredCheckpoint, "path" | "corrupt">,
): StoredCheckpoint | undefined {
  if (epoch < cluster.epoch) {
    cluster.fenced++;
    return undefined;
  }
  for (const other of cluster.attempts.values()) {
    if (other.epoch !== epoch && other.isAlive())
      cluster.violations.push(`attempt ${other.epoch} lives while ${epoch} writes`);
  }
  const path = `/${checkpoint.tier}/step-${String(checkpoint.step).padStart(8, "0")}`;
  const stored = { ...checkpoint, path, corrupt: undefined };
  cluster.checkpoints.set(path, stored);
  retain(cluster, "memory", 3);
  if (cluster.temper.keepOnDisk !== undefined) retain(cluster, "disk", cluster.temper.keepOnDisk);
  return stored;
}

function retain({ checkpoints }: SimulatedCluster, tier: StoredCheckpoint["tier"], count: number): void {
  const stored = [...checkpoints.values()].filter((one) => one.tier === tier);
  if (stored.length <= count) return;
  stored.sort((a, b) => b.step - a.step);
  for (const old of stored.slice(count)) checkpoints.delete(old.path);
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
