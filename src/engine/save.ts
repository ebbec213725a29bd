/**
 * Keeps what rank 0 has trained: every step in memory-backed storage, every N steps and the last on disk, beside training.
 * Knows: tiers, what a full one means, when a step counts as complete. Does not know: how files are written (checkpoint).
 */

import type { ManifestBody } from "../checkpoint/manifest.ts";
import type { StateParameter, TrainingState } from "../checkpoint/training-state.ts";
import type { Tier } from "../checkpoint/verify-checkpoint.ts";
import {
  type CheckpointWriter,
  createCheckpointWriter,
  type FailedWrite,
  type PublishedCheckpoint,
} from "../checkpoint/writer.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";
import { type Arena, tensorOf } from "./arena.ts";
import type { EventLog } from "./events.ts";
import type { Injector } from "./injector.ts";
import { WorkerExit } from "./worker-exit.ts";

export interface Saver {
  /** Stages the state after `manifest.step`; `complete` is called when it is safe. Gives the seconds for which training stopped. */
  save(manifest: ManifestBody, complete: (stallSeconds: number) => void): Promise<number>;
  /** Throws what ended saving for good: fenced off, both tiers full, a defect. */
  throwIfFailed(): void;
  /** Everything written, the last step also on disk; gives its path. */
  finish(): Promise<string>;
  /** Lets what is being written come to its end. */
  close(): Promise<void>;
}

export interface SaverOptions {
  readonly spec: WorkerSpec;
  readonly arena: Arena;
  readonly events: EventLog;
  readonly injector: Injector;
}

/** Errors of a storage that is full or that may not grow. */
const noSpaceCodes = ["ENOSPC", "EDQUOT", "EFBIG"];
const memoryKept = 3;
const lastTries = 5;
const lastTryMilliseconds = 200;

export function createSaver({ spec, arena, events, injector }: SaverOptions): Saver {
  const { folders, train, epoch } = spec;
  const state = stateOf(arena);
  const pending = new Map<number, (stallSeconds: number) => void>();
  const stalls = new Map<number, number>();
  /** Tiers whose last write found no space, with its step. */
  const full = new Map<Tier, number>();
  const struck = new Set<number>();
  let failure: Error | undefined;
  let disk: PublishedCheckpoint | undefined;
  let last: ManifestBody | undefined;

  const complete = (upTo: number): void => {
    for (const [step, done] of [...pending]) {
      if (step > upTo) continue;
      pending.delete(step);
      done(stalls.get(step) ?? 0);
      stalls.delete(step);
    }
  };
  const onPublished = (checkpoint: PublishedCheckpoint): void => {
    const { tier, step, path, bytes, seconds } = checkpoint;
    if (tier === "disk") disk = checkpoint;
    full.delete(tier);
    events.say({ ev: "checkpoint", step, tier, path, bytes, seconds });
    complete(step);
  };
  const onFailed = (failed: FailedWrite): void => {
    const { tier, step, code, message } = failed;
    if (code === "FENCED") failure ??= new WorkerExit("fenced", message);
    else if (!noSpaceCodes.includes(code)) failure ??= new Error(`${tier} tier, step ${step}: ${message}`);
    else {
      const other: Tier = tier === "disk" ? "memory" : "disk";
      const isEverywhere = full.get(other) === step;
      // The other tier holds the run; the write is tried again with the next step.
      // A tier that stays full is reported once, and again for every emulated fault, which must be seen to have struck.
      if (!full.has(tier) || isEverywhere || struck.has(step)) {
        const detail = `${tier} tier (${folders[tier]}): ${message}`;
        events.say({ ev: "fault", kind: "no-space", step, detail, retried: !isEverywhere });
      }
      full.set(tier, step);
      if (isEverywhere) failure ??= new WorkerExit("noSpace", `step ${step}: no space in either tier: ${message}`);
    }
  };
  const writer: CheckpointWriter = createCheckpointWriter({
    parameters: parametersOf(arena),
    tiers: [
      { tier: "memory", folder: folders.memory, keep: memoryKept },
      { tier: "disk", folder: folders.disk, keep: train.keepCheckpoints },
    ],
    fence: { epochFile: folders.epochFile, epoch },
    ...{ onPublished, onFailed },
  });
  const throwIfFailed = (): void => {
    if (failure !== undefined) throw failure;
  };
  const stage = (manifest: ManifestBody, tiers: readonly Tier[]): Promise<number> => {
    const strikes = tiers.includes("disk") ? injector.due(manifest.step, ["nospace"]) : [];
    for (const due of strikes) {
      injector.announce(due, manifest.step);
      struck.add(manifest.step);
    }
    return writer.stage({ manifest, state, tiers, noSpaceIn: strikes.length > 0 ? ["disk"] : [] });
  };

  return {
    throwIfFailed,
    async save(manifest, done) {
      throwIfFailed();
      const { step } = manifest;
      last = manifest;
      pending.set(step, done);
      const isDue = step % train.checkpointEvery === 0 || step === train.steps;
      const stall = await stage(manifest, isDue || full.size > 0 ? ["memory", "disk"] : ["memory"]);
      if (pending.has(step)) stalls.set(step, stall);
      return stall;
    },
    async finish() {
      await writer.flush();
      for (let tries = 0; last !== undefined && disk?.step !== last.step && tries < lastTries; tries++) {
        throwIfFailed();
        if (tries > 0) await new Promise((resolve) => setTimeout(resolve, lastTryMilliseconds));
        await stage(last, ["disk"]);
        await writer.flush();
      }
      throwIfFailed();
      if (last === undefined || disk?.step !== last.step) {
        throw new WorkerExit("noSpace", `the last step is in the memory tier alone: no space in ${folders.disk}`);
      }
      return disk.path;
    },
    close: () => writer.close(),
  };
}

export function parametersOf(arena: Arena): StateParameter[] {
  return arena.layout.parameters.map(({ name, shape, spec }) => ({
    name,
    shape,
    moments: spec.update !== "routing-bias",
  }));
}

/** The arena's tensors by name: views, not copies. */
export function stateOf(arena: Arena): TrainingState {
  const slots = arena.layout.parameters;
  const trained = slots.filter(({ spec }) => spec.update !== "routing-bias");
  return {
    weights: new Map(slots.map((slot) => [slot.name, tensorOf(arena.parameters, slot)])),
    firstMoments: new Map(trained.map((slot) => [slot.name, tensorOf(arena.m, slot)])),
    secondMoments: new Map(trained.map((slot) => [slot.name, tensorOf(arena.v, slot)])),
  };
}
