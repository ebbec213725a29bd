/**
 * Writes checkpoints beside training: staging is one copy in memory, hashing and writing happen in a thread per tier.
 * Knows: slots, threads, back-pressure. Does not know: the trainer's memory, what a failed write means for the run.
 */
import { Worker } from "node:worker_threads";
import { cleanLeftovers } from "./checkpoint-folder.ts";
import type { EpochFence } from "./fence.ts";
import type { ManifestBody } from "./manifest.ts";
import type { ThreadSetup, WriteRequest, WriteResult } from "./thread-protocol.ts";
import { layoutState, type StateLayout, type StateParameter, type TrainingState } from "./training-state.ts";
import type { Tier } from "./verify-checkpoint.ts";

export interface WriterTier {
  readonly tier: Tier;
  readonly folder: string;
  /** How many of the newest checkpoints stay in the folder. */
  readonly keep: number;
}

export interface PublishedCheckpoint {
  readonly tier: Tier;
  readonly step: number;
  readonly path: string;
  readonly bytes: number;
  /** From the start of writing to published, in the thread. */
  readonly seconds: number;
}

export interface FailedWrite {
  readonly tier: Tier;
  readonly step: number;
  /** The system's error code, e.g. `ENOSPC`; `FENCED` when a newer epoch exists and this process must end. */
  readonly code: string;
  readonly message: string;
}

export interface WriterOptions {
  readonly parameters: readonly StateParameter[];
  /** In the order in which they are served; each gets a thread, so that a slow disk delays no memory-backed step. */
  readonly tiers: readonly WriterTier[];
  /** Checked by the thread just before a checkpoint becomes visible. */
  readonly fence?: EpochFence;
  readonly onPublished: (checkpoint: PublishedCheckpoint) => void;
  /** The checkpoint is not there and the staged copy is released; stage again to retry. */
  readonly onFailed: (failure: FailedWrite) => void;
}

export interface StageRequest {
  readonly manifest: ManifestBody;
  readonly state: TrainingState;
  readonly tiers: readonly Tier[];
  /** Emulated fault: this write meets a full device in the given tiers (real ENOSPC, from `/dev/full`). */
  readonly noSpaceIn?: readonly Tier[];
}

export interface CheckpointWriter {
  /**
   * Copies the state and returns; gives the seconds for which training stood still (the copy, and the wait for a slot while both are
   * still being written). RangeError when the state lacks a parameter; one call at a time.
   */
  stage(request: StageRequest): Promise<number>;
  /** Resolves when everything staged is published or has failed. */
  flush(): Promise<void>;
  /** Flushes and ends the threads. */
  close(): Promise<void>;
}

const slotCount = 2;

/** Cleans what an earlier writer left in the folders, and starts the threads. Call it only for the folders' one writer. */
export function createCheckpointWriter(options: WriterOptions): CheckpointWriter {
  const layout = layoutState(options.parameters);
  const slots = Array.from({ length: slotCount }, () => new SharedArrayBuffer(Math.max(layout.bytes, 4)));
  for (const { folder } of options.tiers) cleanLeftovers(folder);
  /** Writes still to come for each slot; a slot with none is free. */
  const pending = slots.map(() => 0);
  let waiting: (() => void)[] = [];
  /** Started with a tier's first write: a restarted worker needs its processor time for something else than a disk that is not due. */
  const threads = new Map<Tier, ReturnType<typeof startThread>>();

  function release(slot: number): void {
    pending[slot] = (pending[slot] ?? 0) - 1;
    const woken = waiting;
    waiting = [];
    for (const wake of woken) wake();
  }
  const threadOf = (name: Tier): ReturnType<typeof startThread> => {
    const tier = options.tiers.find((one) => one.tier === name);
    if (!tier) throw new RangeError(`the writer has no ${name} tier`);
    const thread = threads.get(name) ?? startThread(tier, options, layout, slots, release);
    threads.set(name, thread);
    return thread;
  };
  // The first tier is written with every step.
  if (options.tiers[0] !== undefined) threadOf(options.tiers[0].tier);
  const changed = (): Promise<void> => new Promise((resolve) => waiting.push(resolve));

  return {
    async stage({ manifest, state, tiers, noSpaceIn = [] }) {
      const start = performance.now();
      let slot = pending.indexOf(0);
      for (; slot < 0; slot = pending.indexOf(0)) await changed();
      copyState(state, layout, slots[slot]);
      pending[slot] = tiers.length;
      for (const tier of tiers) {
        threadOf(tier).send({ slot, manifest, noSpace: noSpaceIn.includes(tier) });
      }
      return (performance.now() - start) / 1000;
    },
    async flush() {
      while (pending.some((writes) => writes > 0)) await changed();
    },
    async close() {
      await this.flush();
      for (const thread of threads.values()) await thread.worker.terminate();
    },
  };
}

function startThread(
  { tier, folder, keep }: WriterTier,
  { fence, onPublished, onFailed }: WriterOptions,
  { files }: StateLayout,
  slots: readonly SharedArrayBuffer[],
  release: (slot: number) => void,
): { worker: Worker; send: (request: WriteRequest) => void } {
  const setup: ThreadSetup = { tier, folder, keep, slots, files, fence };
  const worker = new Worker(threadEntry(), { workerData: setup, execArgv: [] });
  /** Requests under way; the thread answers in order. */
  const underWay: WriteRequest[] = [];
  let ended: string | undefined;
  const fail = ({ slot, manifest }: WriteRequest, why: string): void => {
    onFailed({ tier, step: manifest.step, code: "THREAD", message: why });
    release(slot);
  };
  /** A defect, not a failed write: whoever waits is told, and so is every later request. */
  const end = (why: string): void => {
    ended ??= why;
    for (const request of underWay.splice(0)) fail(request, why);
  };
  worker.unref();
  worker.on("message", (result: WriteResult) => {
    const step = underWay.shift()?.manifest.step ?? 0;
    // The process may end while nothing is being written, and not before.
    if (underWay.length === 0) worker.unref();
    if (result.ok) onPublished({ tier, step, path: result.path, bytes: result.bytes, seconds: result.seconds });
    else onFailed({ tier, step, code: result.code, message: result.message });
    release(result.slot);
  });
  worker.on("error", (error) => end(`checkpoint thread failed: ${error.message}`));
  worker.on("exit", () => end("checkpoint thread ended"));
  return {
    worker,
    send(request) {
      if (ended !== undefined) return fail(request, ended);
      if (underWay.push(request) === 1) worker.ref();
      worker.postMessage(request);
    },
  };
}

function copyState(state: TrainingState, { tensors }: StateLayout, slot: SharedArrayBuffer | undefined): void {
  if (!slot) throw new RangeError("no staging slot");
  for (const { part, parameter, begin, elements } of tensors) {
    const source = state[part].get(parameter);
    if (source?.length !== elements) {
      throw new RangeError(`${part} of ${parameter}: ${source?.length ?? "no"} values, expected ${elements}`);
    }
    new Float32Array(slot, begin, elements).set(source);
  }
}

/** A thread starts from built JavaScript; under a test runner that executes the sources it is the built copy beside them. */
function threadEntry(): URL {
  const built = import.meta.url.endsWith(".ts") ? "../../dist/checkpoint/" : "./";
  return new URL(`${built}writer-thread.js`, import.meta.url);
}
