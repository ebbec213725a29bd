/**
 * Runs the real supervisor in a simulated world: virtual clock, simulated launcher, storage in memory, seeded faults.
 * Knows: how the parts are put together, what must never happen. Does not know: what a single test asserts beyond that.
 */
import { virtualClock } from "../../src/host/virtual-clock.ts";
import { type EventData, parseEvent, type RunEvent } from "../../src/journal/event.ts";
import { illegal } from "../../src/journal/legal.ts";
import { reduce } from "../../src/journal/reduce.ts";
import { initialState, type RunState } from "../../src/journal/state.ts";
import { simulatedLauncher } from "../../src/launcher/simulated.ts";
import { calm, type SimulatedCluster, simulatedCluster, type Temper } from "../../src/launcher/simulated-cluster.ts";
import { RunFile } from "../../src/spec/run-file.ts";
import { openLog } from "../../src/store/log.ts";
import { createdEvent } from "../../src/supervisor/created.ts";
import { policyOf } from "../../src/supervisor/policy.ts";
import { supervise } from "../../src/supervisor/supervise.ts";
import type { Tiers } from "../../src/supervisor/tiers.ts";
import { workerSpec } from "../../src/supervisor/worker-spec.ts";
import type { World } from "../../src/supervisor/world.ts";

/** Stands for kill -9 of the supervisor: nothing of it runs afterwards, the cluster goes on. */
class Killed extends Error {}

export interface Simulation {
  readonly seed: number;
  readonly file: RunFile;
  readonly temper?: Temper;
  /**
   * The supervisor is killed at these appends, counted over all supervisors, and a new one comes a little later: `after` the
   * append (an intent is stored and not acted on), or `before` it (something was done and its outcome is not stored).
   */
  readonly kills?: readonly { readonly append: number; readonly when: "before" | "after" }[];
  /** From when to when, in seconds since the start, the journal's disk is full. */
  readonly diskFull?: { readonly from: number; readonly to: number };
  /** Virtual seconds after which the run counts as stuck. */
  readonly limitSeconds?: number;
}

export interface SimulationResult {
  readonly state: RunState;
  readonly events: readonly RunEvent[];
  readonly cluster: SimulatedCluster;
  readonly appends: number;
  /** How often the supervisor was killed. */
  readonly killed: number;
  readonly seconds: number;
  /** Everything that must never happen and did; empty in a good run. */
  readonly violations: readonly string[];
}

export async function simulate(options: Simulation): Promise<SimulationResult> {
  const { seed, file, temper = calm, kills = [], diskFull, limitSeconds = 20_000 } = options;
  const clock = virtualClock();
  const cluster = simulatedCluster({ clock, seed, temper });
  const lines: string[] = [];
  const never = new AbortController().signal;
  let appends = 0;
  let killed = 0;
  let end: RunState | undefined;
  while (end === undefined) {
    const events = replay(lines);
    const world = simulatedWorld({ file, cluster, events }, (text) => {
      const since = clock.monotonicSeconds() - 1_000;
      if (diskFull !== undefined && since >= diskFull.from && since < diskFull.to) {
        throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      }
      appends++;
      const kill = kills.find(({ append }) => append === appends);
      if (kill?.when === "before") throw new Killed();
      lines.push(...text.split("\n").filter((line) => line !== ""));
      if (clock.monotonicSeconds() > 1_000 + limitSeconds)
        throw new Error(`not over after ${limitSeconds} simulated seconds`);
      if (kill !== undefined) throw new Killed();
    });
    try {
      end = await supervise(world, never);
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      killed++;
      await clock.wait(0.05 + (appends % 7) * 0.4);
    }
  }
  const seconds = clock.monotonicSeconds() - 1_000;
  await clock.wait(30);
  const events = replay(lines);
  return { state: end, events, cluster, appends, killed, seconds, violations: violationsOf({ end, events, cluster }) };
}

function violationsOf({
  end,
  events,
  cluster,
}: {
  end: RunState;
  events: readonly RunEvent[];
  cluster: SimulatedCluster;
}): string[] {
  const found = [...cluster.violations];
  if (JSON.stringify(reduce(events)) !== JSON.stringify(end))
    found.push("the journal does not replay to the same state");
  if (end.phase !== "finished" && end.phase !== "failed") found.push(`ended while ${end.phase}`);
  if (end.phase === "failed" && end.reasons.length === 0) found.push("failed without a reason");
  const living = [...cluster.attempts.values()].filter((attempt) => attempt.isAlive());
  if (living.length > 0) found.push(`attempts ${living.map(({ epoch }) => epoch)} live after the end`);
  const launches = events.filter(({ type }) => type === "launch-intended");
  launches.forEach((event, index) => {
    if (event.epoch !== index + 1) found.push(`launch ${index + 1} has epoch ${event.epoch}`);
  });
  if (cluster.attempts.size > launches.length) found.push("an attempt was launched without an intent");
  if ([...cluster.checkpoints.values()].some(({ tier }) => tier === "memory") && end.phase === "finished") {
    found.push("the memory tier is left over");
  }
  return found;
}

/** The events of stored lines; throws when one is illegal. */
function replay(lines: readonly string[]): RunEvent[] {
  let state = initialState;
  return lines.map((line) => {
    const parsed = parseEvent(JSON.parse(line));
    if ("problem" in parsed) throw new Error(parsed.problem);
    const why = illegal(state, parsed.event);
    if (why !== undefined) throw new Error(`${parsed.event.type}: ${why}`);
    state = reduce([parsed.event], state);
    return parsed.event;
  });
}

function simulatedWorld(
  { file, cluster, events }: { file: RunFile; cluster: SimulatedCluster; events: readonly RunEvent[] },
  store: (text: string) => void,
): World {
  const { clock } = cluster;
  const created: EventData["run-created"] = createdEvent(file, {
    identity: "simulated",
    folder: "/",
    memory: { folder: "/memory", memoryBacked: true },
  });
  const folders = { memory: "/memory", disk: "/disk", cache: "/cache", epochFile: "/epoch" };
  return {
    log: openLog({ run: file.name, state: reduce(events), now: clock.wallSeconds, write: store }),
    launcher: simulatedLauncher(cluster),
    tiers: simulatedTiers(cluster),
    clock,
    policy: policyOf(file),
    created,
    supervisor: { process: { pid: 1, startTicks: 1 }, host: "simulated", version: "0" },
    raiseEpoch: (epoch) => {
      if (epoch <= cluster.epoch) cluster.violations.push(`the fencing token went from ${cluster.epoch} to ${epoch}`);
      cluster.epoch = epoch;
    },
    workerSpec: (state) => workerSpec(state, file, folders),
    checkLease: () => undefined,
  };
}

function simulatedTiers({ checkpoints }: SimulatedCluster): Tiers {
  return {
    async newest(beforeStep) {
      const sorted = [...checkpoints.values()].sort((a, b) => b.step - a.step || (a.tier === "disk" ? -1 : 1));
      const rejected = [];
      for (const { path, step, tier, corrupt } of sorted) {
        const checkpoint = { path, step, tier };
        if (beforeStep !== null && step >= beforeStep)
          rejected.push({ checkpoint, why: `is of step ${step}, before ${beforeStep} is wanted` });
        else if (corrupt) rejected.push({ checkpoint, why: "a hash differs" });
        else return { newest: checkpoint, rejected };
      }
      return { newest: undefined, rejected };
    },
    async quarantine(checkpoint) {
      checkpoints.delete(checkpoint.path);
      return `/quarantine${checkpoint.path}`;
    },
    async promote(checkpoint) {
      const stored = checkpoints.get(checkpoint.path);
      if (stored === undefined || stored.corrupt) throw new Error(`${checkpoint.path} does not verify`);
      const path = checkpoint.path.replace("/memory/", "/disk/");
      checkpoints.set(path, { ...stored, path, tier: "disk" });
      return { path, step: checkpoint.step, tier: "disk" };
    },
    async weightsSha256(checkpoint) {
      return checkpoints.get(checkpoint.path)?.weights ?? "gone";
    },
    clearMemory() {
      for (const [path, { tier }] of checkpoints) if (tier === "memory") checkpoints.delete(path);
    },
  };
}

/** A small run of two pools, with its faults. */
export function simulatedRun(options: {
  steps?: number;
  workers?: number;
  spares?: number;
  faults?: Record<string, object[]>;
  failover?: object;
}): RunFile {
  const { steps = 30, workers = 2, spares = 1, faults = {}, failover = {} } = options;
  return RunFile.parse({
    name: "simulated",
    model: {
      ...{ vocab_size: 260, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64 },
      ...{ kv_lora_rank: 16, qk_nope_head_dim: 16, qk_rope_head_dim: 8, v_head_dim: 16 },
    },
    data: { text: { files: ["text.txt"] } },
    train: { steps, globalBatch: 8, seqLength: 16, learningRate: 0.001, checkpointEvery: 10 },
    pools: [
      { name: "ascend", workers, spares, emulate: { platform: "ascend", faults: faults.ascend ?? [] } },
      { name: "nvidia", workers, spares: 0, emulate: { platform: "nvidia", faults: faults.nvidia ?? [] } },
    ],
    failover,
  });
}
