/**
 * One rank's part of a training step: gradients of its micro-batches, the sum over all ranks, the update.
 * Knows: programs, arena, tree, optimizer. Does not know: processes, checkpoints, who supervises.
 */
import type { Train } from "../spec/run-file.ts";
import type { LinkReading } from "../spec/worker-event.ts";
import { type Arena, createArena, layOut, type Stretch, tensorOf } from "./arena.ts";
import { type BatchOrder, batchOrder } from "./batch-order.ts";
import type { Corpus } from "./corpus.ts";
import { type Kernels, loadKernels } from "./kernels.ts";
import type { Link } from "./link.ts";
import { gradientNorm, update } from "./optimizer.ts";
import type { ModelPrograms, Program } from "./program.ts";
import { createReducer, type Reducer } from "./reduce.ts";
import { learningRate } from "./schedule.ts";
import type { HostTensor, Session } from "./session.ts";
import { type SumAction, sumActions, sumLevels, workerNodes } from "./tree.ts";
import { WorkerExit } from "./worker-exit.ts";

/** What a worker does around the parts of a step. */
export interface StepHooks {
  /** Before and after each micro-batch; may throw to end the step. */
  readonly betweenMicroBatches: () => void;
  /** This rank has its partial sum; `seconds` is what it took. Faults strike here. */
  readonly computed: (step: number, seconds: number, sum: Stretch) => Promise<void>;
  readonly phase: (phase: "compute" | "reduce" | "update", step: number) => void;
  /** NaN or Inf, in this rank's own sum or (`own` false) only in the sum over all. */
  readonly notFinite: (told: { step: number; where: string; own: boolean; again: boolean }) => void;
}

export interface StepResult {
  /** Mean next-token cross entropy of the global batch in nats. */
  readonly loss: number;
  readonly gradNorm: number;
  readonly learningRate: number;
  readonly computeSeconds: number;
  readonly reduceSeconds: number;
  readonly updateSeconds: number;
  readonly links: LinkReading[];
}

export interface Trainer {
  /** Steps from 1; the state is that after step - 1. */
  step(step: number, hooks: StepHooks): Promise<StepResult>;
  /** Mean next-token loss over at most `sequences` of the validation part, nothing learnt from it. */
  validate(sequences: number, betweenMicroBatches: () => void): Promise<number>;
}

export interface TrainerShape {
  readonly train: Train;
  readonly programs: Pick<ModelPrograms, "parameters">;
  readonly grad: Program;
  readonly rank: number;
  readonly worldSize: number;
}

export interface TrainerOptions extends TrainerShape {
  /** `createTrainerArena` of the same shape. */
  readonly arena: Arena;
  readonly session: Session;
  readonly corpus: Corpus;
  readonly links: readonly Link[];
  /** Told around each wait for another rank. */
  readonly waiting: (link: Link | undefined) => void;
}

/** Micro-batches of a step and the part of the tree that a rank sums. */
function partOf({ train, rank, worldSize }: TrainerShape) {
  const microBatches = train.globalBatch / train.microBatch;
  const nodes = workerNodes({ leaves: microBatches, workers: worldSize });
  const node = nodes[rank]!;
  return { microBatches, nodes, node, levels: sumLevels(node.end - node.begin) };
}

/** Zeroed state, to be filled from the seed or a checkpoint. RangeError where it does not fit. */
export function createTrainerArena(shape: TrainerShape): Arena {
  const received = shape.rank === 0 ? shape.worldSize - 1 : 0;
  return createArena(layOut(shape.programs.parameters, shape.grad), partOf(shape).levels + received);
}

export function createTrainer(options: TrainerOptions): Trainer {
  const { train, rank, links, arena } = options;
  const { microBatches, nodes, node, levels } = partOf(options);
  const kernels = loadKernels(arena.memory);
  const own = arena.accumulators[0]!;
  const others = arena.accumulators.slice(levels);
  const reducer = createReducer({ rank, nodes, links, kernels, own, others, waiting: options.waiting });
  const batch = createBatch(options, levels);
  const parts: StepParts = { train, microBatches, arena, kernels, own, reducer, batch, actions: sumActions(node) };
  return {
    step: (step, hooks) => runStep(parts, step, hooks),
    validate: (sequences, between) => validate(options, batch, sequences, between),
  };
}

interface StepParts {
  readonly train: Train;
  readonly microBatches: number;
  readonly arena: Arena;
  readonly kernels: Kernels;
  readonly own: Stretch;
  readonly reducer: Reducer;
  readonly batch: Batch;
  readonly actions: readonly SumAction[];
}

async function runStep(parts: StepParts, step: number, hooks: StepHooks): Promise<StepResult> {
  const { train, microBatches, arena, kernels, own, reducer } = parts;
  let computeSeconds = 0;
  let reduceSeconds = 0;
  for (let round = 0; ; round++) {
    const tag = { step, round };
    reducer.begin(tag);
    computeSeconds += await computeOwn(parts, step, hooks);
    hooks.phase("reduce", step);
    const reduceFrom = performance.now();
    const links = await reducer.finish(tag);
    reduceSeconds += secondsSince(reduceFrom);
    const { sumNorm, notFinite } = gradientNorm(kernels, arena, own);
    if (notFinite !== undefined) {
      // Every rank sees the same sum, so every rank computes anew.
      hooks.notFinite({ step, where: notFinite, own: false, again: round > 0 });
      if (round > 0)
        throw new WorkerExit("numerics", `step ${step}: NaN or Inf in ${notFinite}, again after computing anew`);
      continue;
    }
    hooks.phase("update", step);
    const updateFrom = performance.now();
    const { gradNorm } = update({ kernels, arena }, own, { train, step, microBatches, sumNorm });
    return {
      loss: sumOf(arena, own, "nextTokenLoss") / microBatches,
      ...{ gradNorm, learningRate: learningRate(train, step), computeSeconds, reduceSeconds, links },
      updateSeconds: secondsSince(updateFrom),
    };
  }
}

/** This rank's partial sum; a NaN or Inf in it is computed anew once. Gives the seconds computed. */
async function computeOwn(parts: StepParts, step: number, hooks: StepHooks): Promise<number> {
  const { actions, batch, arena, kernels, own } = parts;
  let total = 0;
  for (let again = false; ; again = true) {
    hooks.phase("compute", step);
    const from = performance.now();
    for (const action of actions) {
      if (action.do === "compute") {
        hooks.betweenMicroBatches();
        await batch.compute(step, action.leaf, action.level);
      } else {
        const [into, other] = [arena.accumulators[action.level]!, arena.accumulators[action.level + 1]!];
        kernels.add(into.bytes, other.bytes, into.floats.length);
      }
    }
    hooks.betweenMicroBatches();
    await hooks.computed(step, secondsSince(from), own);
    total += secondsSince(from);
    const { notFinite } = gradientNorm(kernels, arena, own);
    if (notFinite === undefined) return total;
    hooks.notFinite({ step, where: notFinite, own: true, again });
    if (again) throw new WorkerExit("numerics", `step ${step}: NaN or Inf in ${notFinite}, again after computing anew`);
  }
}

interface Batch {
  /** Runs the gradient program on a micro-batch of a step, into the accumulator of `level`. */
  compute(step: number, leaf: number, level: number): Promise<void>;
  /** The token input, to be filled and run by hand, and the program's inputs. */
  readonly tokens: BigInt64Array;
  readonly inputs: Readonly<Record<string, HostTensor>>;
}

function createBatch({ train, grad, session, corpus, arena }: TrainerOptions, levels: number): Batch {
  const { microBatch, seqLength, globalBatch, seed } = train;
  const order: BatchOrder = batchOrder({ tokens: corpus.trainTokens, seqLength, seed });
  const width = seqLength + 1;
  const tokens = new BigInt64Array(microBatch * width);
  const inputs: Record<string, HostTensor> = { tokens: { shape: [microBatch, width], data: tokens } };
  for (const slot of arena.layout.parameters) {
    if (!grad.parameters.includes(slot.name)) continue;
    inputs[slot.name] = { shape: slot.shape, data: tensorOf(arena.parameters, slot) };
  }
  const outputs = arena.accumulators.slice(0, levels).map((accumulator) => {
    const into: Record<string, HostTensor> = {};
    for (const slot of arena.layout.parameters) {
      if (slot.spec.update === "routing-bias") continue;
      into[`grad/${slot.name}`] = { shape: slot.shape, data: tensorOf(accumulator, slot) };
    }
    for (const slot of arena.layout.sums) into[slot.name] = { shape: slot.shape, data: tensorOf(accumulator, slot) };
    return into;
  });
  return {
    ...{ tokens, inputs },
    async compute(step, leaf, level) {
      const first = (step - 1) * globalBatch + leaf * microBatch;
      for (let row = 0; row < microBatch; row++) {
        corpus.read(order.position(first + row), tokens.subarray(row * width, (row + 1) * width));
      }
      await session.run(inputs, outputs[level]!);
    },
  };
}

async function validate(
  { train, session, corpus, arena }: TrainerOptions,
  { tokens, inputs }: Batch,
  sequences: number,
  between: () => void,
): Promise<number> {
  const { microBatch, seqLength } = train;
  const width = seqLength + 1;
  const there = Math.floor((corpus.validationTokens - 1) / seqLength);
  const batches = Math.max(1, Math.floor(Math.min(sequences, there) / microBatch));
  const slot = arena.layout.sums.find(({ name }) => name === "nextTokenLoss");
  if (slot === undefined) throw new Error("the gradient program gives no nextTokenLoss");
  let sum = 0;
  for (let index = 0; index < batches; index++) {
    between();
    for (let row = 0; row < microBatch; row++) {
      // Fewer sequences than a micro-batch holds: they are read again.
      const sequence = (index * microBatch + row) % there;
      corpus.read(corpus.trainTokens + sequence * seqLength, tokens.subarray(row * width, (row + 1) * width));
    }
    const { nextTokenLoss } = await session.run(inputs);
    sum += Number(nextTokenLoss?.data[0]);
  }
  return sum / batches;
}

function sumOf(arena: Arena, accumulator: Stretch, name: string): number {
  const slot = arena.layout.sums.find((sum) => sum.name === name);
  if (slot === undefined) throw new Error(`the gradient program gives no ${name}`);
  return tensorOf(accumulator, slot)[0]!;
}

const secondsSince = (from: number): number => (performance.now() - from) / 1000;
