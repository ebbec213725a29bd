/**
 * Runs the real supervisor in a simulated world: virtual clock, simulated launcher, storage in memory, seeded faults.
 * Knows: how the parts are put together, what must never happen. Does not know: what a single test asserts beyond that.
 */
import type { Clock } from "../../src/host/clock.ts";
import { type VirtualClock, virtualClock } from "../../src/host/virtual-clock.ts";
import { type EventData, parseEvent, type RunEvent } from "../../src/journal/event.ts";
import { illegal } from "../../src/journal/legal.ts";
import { reduce } from "../../src/journal/reduce.ts";
import { initialState, type RunState } from "../../src/journal/state.ts";
import { channelView, type Launcher } from "../../src/launcher/launcher.ts";
import { simulatedLauncher } from "../../src/launcher/simulated.ts";
import { calm, type SimulatedCluster, simulatedCluster, type Temper } from "../../src/launcher/simulated-cluster.ts";
import type { Mishap } from "../../src/launcher/simulated-mishap.ts";
import { type EngineRunFile, isEngineRun, RunFile } from "../../src/spec/run-file.ts";
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
  readonly file: EngineRunFile;
  readonly temper?: Temper;
  /** What befalls attempts beside the run file's faults; `fired` of each counts up. */
  readonly mishaps?: readonly Mishap[];
  /**
   * The supervisor is killed at these appends, counted over all supervisors, and a new one comes a little later: `after` the
   * append (an intent is stored and not acted on), `before` it (something was done and its outcome is not stored), or in the
   * middle of writing it (`torn`: half of its bytes are stored).
   */
  readonly kills?: readonly Kill[];
  /** From when to when, in seconds since the start, the journal's disk answers with an error. */
  readonly diskFull?: DiskFull;
  /** From when to when the supervisor can open no file: it sees nothing and can do nothing. */
  readonly noDescriptors?: { readonly from: number; readonly to: number };
  /** How long a durable append blocks the supervisor. */
  readonly fsyncSeconds?: number;
  /** What stands between the supervisor and the launcher. */
  readonly between?: (launcher: Launcher, clock: VirtualClock) => Launcher;
  /** The supervisor's clock, when somebody wants to see how long it works between two waits. */
  readonly watchClock?: (clock: Clock) => Clock;
  /** When, in seconds since the start, the supervisor is asked to stop; another one comes 5 s later. */
  readonly stops?: readonly { readonly at: number; readonly signal: string }[];
  /** When another supervisor takes the lease; the first finds out by itself. */
  readonly rivalAt?: number;
  /** When the wall clock is set, and by how much. */
  readonly wallJumps?: readonly { readonly at: number; readonly bySeconds: number }[];
  /** Virtual seconds after which the run counts as stuck. */
  readonly limitSeconds?: number;
  /** Ranks and accelerators beyond what a run file may ask for. */
  readonly workers?: number;
  readonly spares?: number;
}

export interface DiskFull {
  readonly from: number;
  readonly to: number;
  readonly code?: string;
  /** What the journal still finds space for, in the page that it has begun. */
  readonly leftoverBytes?: number;
  /** Workers and agent write to the same disk: what they say waits, and comes half a second after there is space again. */
  readonly silencesWorkers?: boolean;
}

export interface Kill {
  readonly append: number;
  readonly when: "before" | "after" | "torn";
}

export interface SimulationResult {
  readonly state: RunState;
  readonly events: readonly RunEvent[];
  readonly cluster: SimulatedCluster;
  readonly appends: number;
  /** How often the supervisor was killed, stopped, and turned away by a rival. */
  readonly killed: number;
  readonly stopped: number;
  readonly refused: number;
  readonly seconds: number;
  /** Seconds that the journal's storage refused to write. */
  readonly refusals: number;
  /** Everything that must never happen and did; empty in a good run. */
  readonly violations: readonly string[];
}

const start = 1_000;

export async function simulate(options: Simulation): Promise<SimulationResult> {
  const { seed, temper = calm, kills = [], stops = [], wallJumps = [], limitSeconds = 20_000 } = options;
  const file = withWorkers(options.file, options.workers, options.spares ?? 1);
  const clock = virtualClock(start);
  const cluster = simulatedCluster({ clock, seed, temper });
  cluster.mishaps.push(...(options.mishaps ?? []));
  const killAt = new Map(kills.map((kill) => [kill.append, kill.when]));
  const since = (): number => clock.monotonicSeconds() - start;
  let journal = "";
  let leftoverBytes = options.diskFull?.leftoverBytes ?? 0;
  const counts = { appends: 0, killed: 0, stopped: 0, refused: 0, refusals: 0 };
  for (const { at, bySeconds } of wallJumps) clock.schedule(at, () => clock.setWall(bySeconds));

  const store = (text: string, durable: boolean): void => {
    const { diskFull, fsyncSeconds } = options;
    const isFull = diskFull !== undefined && since() >= diskFull.from && since() < diskFull.to;
    if (isFull && leftoverBytes >= text.length) leftoverBytes -= text.length;
    else if (isFull) {
      counts.refusals++;
      throw Object.assign(new Error("the journal cannot be written"), { code: diskFull.code ?? "ENOSPC" });
    }
    const when = killAt.get(++counts.appends);
    if (when === "before") throw new Killed();
    journal += when === "torn" ? text.slice(0, text.length >> 1) : text;
    if (since() > limitSeconds) throw new Error(`not over after ${limitSeconds} simulated seconds`);
    if (durable && fsyncSeconds !== undefined) clock.block(fsyncSeconds);
    if (when !== undefined) throw new Killed();
  };

  const between = (launcher: Launcher): Launcher => {
    const { diskFull, noDescriptors } = options;
    const held = diskFull?.silencesWorkers ? heldBack(launcher, clock, { since, ...diskFull }) : launcher;
    const seen =
      noDescriptors === undefined ? held : heldBack(held, clock, { since, ...noDescriptors, code: "EMFILE" });
    return options.between?.(seen, clock) ?? seen;
  };
  const shortage = (): string | undefined => {
    const { noDescriptors } = options;
    return noDescriptors !== undefined && since() >= noDescriptors.from && since() < noDescriptors.to
      ? "EMFILE"
      : undefined;
  };
  let lease = 0;
  const once = async (): Promise<RunState> => {
    const { events, whole } = replay(journal);
    journal = journal.slice(0, whole);
    const own = ++lease;
    const holdsLease = (): boolean => own === lease;
    const world = simulatedWorld({
      file,
      cluster,
      events,
      store,
      holdsLease,
      between,
      shortage,
      watchClock: options.watchClock,
    });
    const control = new AbortController();
    const stop = stops[counts.stopped];
    const takeBack =
      stop === undefined
        ? undefined
        : clock.schedule(stop.at - since(), () => {
            control.abort(stop.signal);
            clock.wakeUp();
          });
    try {
      return await supervise(world, control.signal);
    } finally {
      takeBack?.();
    }
  };
  if (options.rivalAt !== undefined) clock.schedule(options.rivalAt, () => lease++);
  let end: RunState | undefined;
  while (end === undefined) {
    try {
      const state = await once();
      if (state.phase === "interrupted") {
        counts.stopped++;
        await clock.wait(5);
      } else end = state;
    } catch (error) {
      if (error instanceof Killed) counts.killed++;
      else if (error instanceof Refused) counts.refused++;
      else throw error;
      await clock.wait(0.05 + (counts.appends % 7) * 0.4);
    }
  }
  const seconds = since();
  await clock.wait(30);
  const { events, state } = replay(journal);
  return { state: end, events, cluster, seconds, ...counts, violations: violationsOf({ end, state, events, cluster }) };
}

/** Nothing of an attempt is seen for a while, and that is known; all that was missed comes afterwards. */
function heldBack(
  launcher: Launcher,
  clock: VirtualClock,
  { from, to, code, since }: { from: number; to: number; code?: string; since: () => number },
): Launcher {
  const [view, later] = code === "EMFILE" ? ["attempt", 0] : [channelView, 0.5];
  return {
    ...launcher,
    observe(epoch) {
      if (since() < from || since() >= to + later) return launcher.observe(epoch);
      const nothing = { records: [], events: [], processes: [], malformed: {} };
      const blind = since() < to ? [{ view, why: code ?? "ENOSPC" }] : [];
      return { monotonicSeconds: clock.monotonicSeconds(), agent: "unknown", blind, ...nothing };
    },
  };
}

/** Another supervisor holds the lease. */
class Refused extends Error {}

function withWorkers(file: EngineRunFile, workers: number | undefined, spares: number): EngineRunFile {
  if (workers === undefined) return file;
  return {
    ...file,
    train: { ...file.train, globalBatch: workers * file.train.microBatch },
    pools: file.pools.map((pool) => ({ ...pool, workers, spares: pool.spares > 0 ? spares : 0 })),
  };
}

function violationsOf({
  end,
  state,
  events,
  cluster,
}: {
  end: RunState;
  state: RunState;
  events: readonly RunEvent[];
  cluster: SimulatedCluster;
}): string[] {
  const found = [...cluster.violations];
  if (JSON.stringify(state) !== JSON.stringify(end)) found.push("the journal does not replay to the same state");
  if (end.phase !== "finished" && end.phase !== "failed") found.push(`ended while ${end.phase}`);
  if (end.phase === "failed" && end.reasons.length === 0) found.push("failed without a reason");
  const living = [...cluster.attempts.values()].filter((attempt) => attempt.isAlive());
  if (living.length > 0) found.push(`attempts ${living.map(({ epoch }) => epoch)} live after the end`);
  const launches = events.filter(({ type }) => type === "launch-intended");
  launches.forEach((event, index) => {
    if (event.epoch !== index + 1) found.push(`launch ${index + 1} has epoch ${event.epoch}`);
  });
  if (events.some((event, index) => event.at < (events[index - 1]?.at ?? 0))) found.push("time falls");
  if (cluster.attempts.size > launches.length) found.push("an attempt was launched without an intent");
  if ([...cluster.checkpoints.values()].some(({ tier }) => tier === "memory") && end.phase === "finished") {
    found.push("the memory tier is left over");
  }
  return found;
}

/** The events of whole stored lines, as a journal's reader takes them: what is torn at the end is cut. Throws when one is illegal. */
function replay(journal: string): { events: RunEvent[]; state: RunState; whole: number } {
  const whole = journal.lastIndexOf("\n") + 1;
  const events = journal
    .slice(0, whole)
    .split("\n")
    .flatMap((line) => {
      if (line === "") return [];
      const parsed = parseEvent(JSON.parse(line));
      if ("problem" in parsed) throw new Error(parsed.problem);
      return [parsed.event];
    });
  const state = reduce(events, initialState, (before, event) => {
    const why = illegal(before, event);
    if (why !== undefined) throw new Error(`${event.type}: ${why}`);
  });
  return { events, state, whole };
}

function simulatedWorld(options: {
  file: RunFile;
  cluster: SimulatedCluster;
  events: readonly RunEvent[];
  store: (text: string, durable: boolean) => void;
  holdsLease: () => boolean;
  between: (launcher: Launcher) => Launcher;
  shortage: () => string | undefined;
  watchClock: Simulation["watchClock"];
}): World {
  const { file, cluster, events, store, holdsLease, between, shortage, watchClock } = options;
  const { clock } = cluster;
  const state = reduce(events);
  const startedAt = Math.max(clock.wallSeconds(), state.at) - clock.monotonicSeconds();
  const launcher = simulatedLauncher(cluster);
  const created: EventData["run-created"] = createdEvent(file, {
    identity: "simulated",
    folder: "/",
    memory: { folder: "/memory", memoryBacked: true },
  });
  const folders = { memory: "/memory", disk: "/disk", cache: "/cache", epochFile: "/epoch" };
  return {
    log: openLog({ run: file.name, state, now: () => startedAt + clock.monotonicSeconds(), write: store }),
    launcher: between(launcher),
    tiers: simulatedTiers(cluster),
    clock: watchClock?.(clock) ?? clock,
    policy: policyOf(file),
    created,
    supervisor: { process: { pid: 1, startTicks: 1 }, host: "simulated", version: "0" },
    raiseEpoch: (epoch) => {
      if (epoch <= cluster.epoch) cluster.violations.push(`the fencing token went from ${cluster.epoch} to ${epoch}`);
      cluster.epoch = epoch;
    },
    workerSpec: (state) => workerSpec(state, file, folders),
    shortage,
    checkLease() {
      if (!holdsLease()) throw new Refused();
    },
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
        else if (corrupt !== undefined) rejected.push({ checkpoint, why: corrupt });
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
      if (stored === undefined || stored.corrupt !== undefined) throw new Error(`${checkpoint.path} does not verify`);
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
}): EngineRunFile {
  const { steps = 30, workers = 2, spares = 1, faults = {}, failover = {} } = options;
  const file = RunFile.parse({
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
  if (!isEngineRun(file)) throw new TypeError("a run of the engine");
  return file;
}
