/**
 * A worker's life: get ready, train step by step, keep every step, say what happens.
 * Knows: the order of things. Does not know: processes, environment, exit codes (worker-main).
 */
import { checkFence, Fenced } from "../checkpoint/fence.ts";
import type { ManifestBody } from "../checkpoint/manifest.ts";
import { weightsSha256 } from "../checkpoint/weights-digest.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";
import { type Arena, tensorOf } from "./arena.ts";
import { createFaults } from "./faults.ts";
import type { Saver } from "./save.ts";
import { learningRate } from "./schedule.ts";
import type { StepHooks, StepResult } from "./trainer.ts";
import { WorkerExit } from "./worker-exit.ts";
import { type Ready, type StartOptions, startWorker } from "./worker-start.ts";

export interface WorkerOptions extends StartOptions {
  /** Throws where the worker is to end. */
  readonly goOn: () => void;
}

/** Sequences of a validation. */
const validationSequences = 32;

/** Resolves when all is trained and kept, and said. */
export async function runWorker(options: WorkerOptions): Promise<void> {
  const { spec } = options;
  const ready = await startWorker(options);
  const { injector, saver, links } = ready;
  const faults = createFaults(spec, injector, links);
  const hooks = hooksOf(options, faults, saver);
  let loss = ready.resumed?.loss;
  const first = (ready.resumed?.step ?? 0) + 1;
  for (let step = first; step <= spec.train.steps; step++) {
    checkEpoch(spec);
    faults.atStart(step);
    const from = performance.now();
    const result = await ready.trainer.step(step, hooks);
    loss = result.loss;
    await keep(options, ready, { step, result, from });
    await validateAt(options, ready, step, hooks);
  }
  // A run whose last step was kept in memory alone is only to be written out.
  if (first > spec.train.steps) await saver?.save(manifestOf(spec, ready, first - 1, loss), () => undefined);
  await finish(options, ready, loss);
}

/** A newer attempt makes this one a left-over, whether it writes or not. */
function checkEpoch({ folders, epoch }: WorkerSpec): void {
  try {
    checkFence({ epochFile: folders.epochFile, epoch });
  } catch (error) {
    if (error instanceof Fenced) throw new WorkerExit("fenced", error.message);
    throw error;
  }
}

function hooksOf(options: WorkerOptions, faults: ReturnType<typeof createFaults>, saver: Saver | undefined): StepHooks {
  const { events, status, goOn } = options;
  let microBatchFrom: number | undefined;
  return {
    betweenMicroBatches() {
      goOn();
      saver?.throwIfFailed();
      status.beat();
      const now = performance.now();
      if (microBatchFrom !== undefined) status.computed((now - microBatchFrom) / 1000);
      microBatchFrom = now;
    },
    computed: faults.computed,
    phase(phase, step) {
      microBatchFrom = undefined;
      status.phase(phase, step);
    },
    notFinite({ step, where, own, again }) {
      const what = own ? "this rank's gradient" : "the sum of all gradients";
      const detail = `NaN or Inf in ${what} of ${where}${again ? ", again after computing anew" : ""}`;
      events.say({ ev: "fault", kind: "nan", step, detail, retried: !again });
    },
  };
}

async function keep(
  { spec, events, status }: WorkerOptions,
  ready: Ready,
  { step, result, from }: { step: number; result: StepResult; from: number },
): Promise<void> {
  const { loss, gradNorm, computeSeconds, reduceSeconds, links } = result;
  const { globalBatch, seqLength } = spec.train;
  const tokens = globalBatch * seqLength;
  const seconds = (performance.now() - from) / 1000;
  const said = { ev: "step", step, loss, gradNorm, tokens, computeSeconds, reduceSeconds, links } as const;
  const { saver } = ready;
  if (saver === undefined) return events.say({ ...said, seconds });
  status.phase("save", step);
  await saver.save(manifestOf(spec, ready, step, loss), (stallSeconds) =>
    events.say({ ...said, seconds: seconds + stallSeconds, stallSeconds }),
  );
}

function manifestOf(spec: WorkerSpec, ready: Ready, step: number, loss: number | undefined): ManifestBody {
  const { train, run, epoch, model } = spec;
  return {
    ...{ v: 1, run, epoch, step, model, tokenizer: ready.tokenizer, device: ready.device },
    tokensSeen: step * train.globalBatch * train.seqLength,
    schedule: { step, learningRate: learningRate(train, step) },
    data: { seed: train.seed, step },
    ...(loss === undefined ? {} : { loss }),
  };
}

async function validateAt(
  { spec, rank, events, status, goOn }: WorkerOptions,
  { trainer }: Ready,
  step: number,
  hooks: Pick<StepHooks, "betweenMicroBatches">,
): Promise<void> {
  const { validateEvery, steps } = spec.train;
  if (rank !== 0 || (step !== steps && (validateEvery === 0 || step % validateEvery !== 0))) return;
  status.phase("validate", step);
  goOn();
  events.say({ ev: "validation", step, loss: await trainer.validate(validationSequences, hooks.betweenMicroBatches) });
}

async function finish(options: WorkerOptions, ready: Ready, loss: number | undefined): Promise<void> {
  const { spec, events, status } = options;
  const { saver, arena } = ready;
  const step = spec.train.steps;
  if (saver === undefined) return events.say({ ev: "bye", reason: "finished", step });
  status.phase("save", step);
  const checkpoint = await saver.finish();
  const sha = weightsSha256(weightsOf(arena));
  events.sayDurably({
    ...{ ev: "bye", reason: "finished", step, weightsSha256: sha, checkpoint },
    ...(loss === undefined ? {} : { loss }),
  });
}

function weightsOf(arena: Arena) {
  return arena.layout.parameters.map((slot) => {
    const { buffer, byteOffset, byteLength } = tensorOf(arena.parameters, slot);
    return {
      name: slot.name,
      dtype: "F32",
      shape: slot.shape,
      bytes: new Uint8Array(buffer, byteOffset, byteLength),
    } as const;
  });
}
