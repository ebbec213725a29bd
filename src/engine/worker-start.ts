/**
 * Makes a worker ready to train: what its platform refuses, its data, its program, its state, its links.
 * Knows: the worker spec. Does not know: steps, processes.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { refusals } from "../catalog/platform-support.ts";
import { CorruptCheckpoint } from "../checkpoint/corrupt-checkpoint.ts";
import { deviceTraits } from "../checkpoint/device-traits.ts";
import { type LoadedCheckpoint, loadCheckpoint } from "../checkpoint/load-checkpoint.ts";
import type { DeviceTraits, Manifest, TokenizerReference } from "../checkpoint/manifest.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";
import { type Arena, initialise } from "./arena.ts";
import { type Corpus, openCorpus } from "./corpus.ts";
import type { EventLog } from "./events.ts";
import { createInjector, type Injector } from "./injector.ts";
import type { Link } from "./link.ts";
import { deepseekV3 } from "./model/deepseek.ts";
import type { ModelPrograms, Program } from "./program.ts";
import { cachedProgram } from "./program-cache.ts";
import { createSaver, type Saver, stateOf } from "./save.ts";
import { openSession, runtimeVersion } from "./session.ts";
import { createTrainer, createTrainerArena, type Trainer } from "./trainer.ts";
import { WorkerExit } from "./worker-exit.ts";
import type { WorkerStatus } from "./worker-status.ts";

export interface Ready {
  readonly trainer: Trainer;
  readonly arena: Arena;
  readonly injector: Injector;
  /** Rank 0 alone keeps what is trained. */
  readonly saver: Saver | undefined;
  readonly corpus: Corpus;
  readonly links: readonly Link[];
  /** The checkpoint that training goes on from. */
  readonly resumed: Manifest | undefined;
  readonly device: DeviceTraits;
  readonly tokenizer: TokenizerReference;
}

export interface StartOptions {
  readonly spec: WorkerSpec;
  readonly rank: number;
  readonly worldSize: number;
  readonly status: WorkerStatus;
  readonly events: EventLog;
  /** Under way since the worker began; awaited last. */
  readonly meeting: Promise<readonly Link[]>;
  /** What must come to its end before the process ends. */
  readonly onOpen: (closing: () => Promise<void>) => void;
}

/** BadInput, WorkerExit (unsupported, corruptCheckpoint) or what the meeting rejects with. */
export async function startWorker(options: StartOptions): Promise<Ready> {
  const { spec, rank, worldSize, status, events, meeting, onOpen } = options;
  const { train, model, folders, emulate } = spec;
  const step = spec.resume?.step ?? 0;
  status.phase("load", step);
  const programs = deepseekV3(model);
  const grad = gradProgram(programs, spec);
  refuseUnsupported(spec, grad, events);
  const shape = { train, programs, grad, rank, worldSize };
  const arena = createTrainerArena(shape);
  const injector = createInjector({
    ...{ pool: spec.pool, faults: emulate.faults, rank, seed: train.seed, struck: spec.struck, events },
  });
  // Its threads start while this one compiles.
  const saver = rank === 0 ? createSaver({ spec, arena, events, injector }) : undefined;
  if (saver !== undefined) onOpen(() => saver.close());
  const corpus = openCorpus({ data: spec.data, seqLength: train.seqLength, model }, folders.cache);
  const resumed = spec.resume === null ? undefined : await restore(arena, spec.resume.path, events);
  if (resumed === undefined) initialise(arena, train.seed);
  status.phase("compile", step);
  const session = await openSession(grad, { threads: 1, cacheDirectory: folders.cache });
  status.phase("idle", step);
  const links = await meeting;
  onOpen(async () => void (await Promise.all(links.map((link) => link.close()))));
  status.links(links);
  const trainer = createTrainer({ ...shape, arena, session, corpus, links, waiting: status.waiting });
  const platform = emulate.platform === "cpu" ? "cpu" : `cpu (emulating ${emulate.platform})`;
  const device = deviceTraits({ platform, threads: 1, onnxRuntime: await runtimeVersion() });
  return { trainer, arena, injector, saver, corpus, links, resumed, device, tokenizer: tokenizerOf(spec) };
}

/** Built once per run and kept: a restarted worker has no time to build it again. */
function gradProgram(programs: ModelPrograms, { train, model, folders }: WorkerSpec): Program {
  const { microBatch, seqLength, mtpLossWeight } = train;
  const shape = { microBatch, seqLength, mtpLossWeight };
  return cachedProgram(folders.cache, { graph: "grad", model, shape }, () => programs.grad(shape));
}

function refuseUnsupported(spec: WorkerSpec, grad: Program, events: EventLog): void {
  const { platform, unsupportedOps, precision: precisions } = spec.emulate;
  const { operators } = grad;
  const found = refusals(platform, { operators, precision: spec.train.precision, unsupportedOps, precisions });
  if (found.length === 0) return;
  for (const { kind, message } of found) {
    events.say({ ev: "fault", kind, step: spec.resume?.step ?? 0, detail: message, retried: false });
  }
  throw new WorkerExit("unsupported", found.map(({ message }) => message).join("\n"));
}

/** Fills the arena from a checkpoint and gives its manifest. */
async function restore(arena: Arena, path: string, events: EventLog): Promise<Manifest> {
  const { manifest, state: saved } = await load(path, events);
  const state = stateOf(arena);
  for (const part of ["weights", "firstMoments", "secondMoments"] as const) {
    for (const [name, values] of state[part]) {
      const from = saved[part].get(name);
      if (from?.length !== values.length) {
        throw new BadInput(
          `${path}: ${part} of ${name} has ${from?.length ?? "no"} values, the model ${values.length}; name a checkpoint of this model`,
        );
      }
      values.set(from);
    }
  }
  return manifest;
}

async function load(path: string, events: EventLog): Promise<LoadedCheckpoint> {
  try {
    return await loadCheckpoint(path);
  } catch (error) {
    if (!(error instanceof CorruptCheckpoint)) throw error;
    const detail = error.message.slice(0, 2000);
    events.say({ ev: "fault", kind: "corrupt-checkpoint", step: 0, detail, retried: false });
    throw new WorkerExit("corruptCheckpoint", detail);
  }
}

function tokenizerOf({ data }: WorkerSpec): TokenizerReference {
  const { tokenizer } = data.text;
  if (tokenizer === "byte") return { kind: "byte" };
  return { kind: "file", path: tokenizer, sha256: createHash("sha256").update(readFileSync(tokenizer)).digest("hex") };
}
