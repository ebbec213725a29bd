/**
 * Makes a worker ready to train: what its platform refuses, its data, its program, its state, its links.
 * Knows: the worker spec. Does not know: steps, processes.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { refusals } from "../catalog/platform-support.ts";
import { CorruptCheckpoint } from "../checkpoint/corrupt-checkpoint.ts";
import { deviceTraits } from "../checkpoint/device-traits.ts";
import { loadCheckpoint } from "../checkpoint/load-checkpoint.ts";
import type { DeviceTraits, Manifest, TokenizerReference } from "../checkpoint/manifest.ts";
import type { TrainingState } from "../checkpoint/training-state.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";
import { type Arena, initialise } from "./arena.ts";
import { type Corpus, openCorpus } from "./corpus.ts";
import type { EventLog } from "./events.ts";
import type { Link } from "./link.ts";
import { deepseekV3 } from "./model/deepseek.ts";
import type { Program } from "./program.ts";
import { stateOf } from "./save.ts";
import { openSession, runtimeVersion } from "./session.ts";
import { createTrainer, type Trainer } from "./trainer.ts";
import { WorkerExit } from "./worker-exit.ts";
import type { WorkerStatus } from "./worker-status.ts";

export interface Ready {
  readonly trainer: Trainer;
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
}

/** BadInput, WorkerExit (unsupported, corruptCheckpoint) or what the meeting rejects with. */
export async function startWorker(options: StartOptions): Promise<Ready> {
  const { spec, rank, worldSize, status, events, meeting } = options;
  const { train, model, folders, emulate } = spec;
  status.phase("load", spec.resume?.step ?? 0);
  const programs = deepseekV3(model);
  const { microBatch, seqLength, mtpLossWeight } = train;
  const grad = programs.grad({ microBatch, seqLength, mtpLossWeight });
  refuseUnsupported(spec, grad, events);
  const corpus = openCorpus({ data: spec.data, seqLength, model }, folders.cache);
  const loaded = spec.resume === null ? undefined : await load(spec.resume.path, events);
  status.phase("compile", spec.resume?.step ?? 0);
  const session = await openSession(grad, { threads: 1, cacheDirectory: folders.cache });
  status.phase("idle", spec.resume?.step ?? 0);
  const links = await meeting;
  status.links(links);
  const trainer = createTrainer({
    ...{ train, programs, grad, session, corpus, rank, worldSize, links },
    waiting: status.waiting,
  });
  if (loaded === undefined) initialise(trainer.arena, train.seed);
  else restore(trainer.arena, loaded.state, spec.resume!.path);
  const platform = emulate.platform === "cpu" ? "cpu" : `cpu (emulating ${emulate.platform})`;
  const device = deviceTraits({ platform, threads: 1, onnxRuntime: await runtimeVersion() });
  return { trainer, corpus, links, resumed: loaded?.manifest, device, tokenizer: tokenizerOf(spec) };
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

async function load(path: string, events: EventLog): Promise<{ manifest: Manifest; state: TrainingState }> {
  try {
    return await loadCheckpoint(path);
  } catch (error) {
    if (!(error instanceof CorruptCheckpoint)) throw error;
    const detail = error.message.slice(0, 2000);
    events.say({ ev: "fault", kind: "corrupt-checkpoint", step: 0, detail, retried: false });
    throw new WorkerExit("corruptCheckpoint", detail);
  }
}

function restore(arena: Arena, saved: TrainingState, path: string): void {
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
}

function tokenizerOf({ data }: WorkerSpec): TokenizerReference {
  const { tokenizer } = data.text;
  if (tokenizer === "byte") return { kind: "byte" };
  return { kind: "file", path: tokenizer, sha256: createHash("sha256").update(readFileSync(tokenizer)).digest("hex") };
}
