/**
 * `run.yaml`: everything that one run is, from the model to where it may fail over.
 * Knows: keys, defaults, which values contradict each other. Does not know: YAML, files, line numbers (store/read-run-file).
 */
import * as z from "zod";
import { DeepseekConfig } from "./deepseek-config.ts";
import { Emulation } from "./emulation.ts";
import { Program, ProgramCommand, ProgramEnv } from "./program.ts";
import { Precision } from "./vocabulary.ts";

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, "use lower-case letters, digits and dashes, at most 63");
const seconds = z.number().positive().max(86_400);

export const DataSource = z.strictObject({
  text: z.strictObject({
    /** `.txt`, `.jsonl` (field `text`) or folders of them, relative to the run file; `npm:<package>/<path>` names a file of an installed package. */
    files: z.array(z.string().min(1)).min(1).max(10_000),
    /** `byte` (256 bytes + 4 special tokens) or the path of a Hugging Face `tokenizer.json`. */
    tokenizer: z.string().min(1).default("byte"),
    /** Share of the corpus, from its end, kept for validation. */
    validationShare: z.number().gt(0).lt(0.5).default(0.05),
  }),
});
export type DataSource = z.infer<typeof DataSource>;

export const Train = z.strictObject({
  /** Optimizer steps of the whole run. */
  steps: z.int().positive().max(100_000_000),
  /** Sequences per optimizer step; a multiple of `microBatch`. */
  globalBatch: z.int().positive().max(1_048_576),
  /** Sequences per graph execution. */
  microBatch: z.int().positive().max(65_536).default(1),
  /** Tokens per sequence. */
  seqLength: z.int().positive().max(1_048_576),
  seed: z.int().nonnegative().max(0xffffffff).default(0),
  /** Peak learning rate, reached after `warmupSteps`, then a cosine down to `minLearningRate` at the last step. */
  learningRate: z.number().positive().max(10),
  minLearningRate: z.number().nonnegative().optional(),
  warmupSteps: z.int().nonnegative().default(10),
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.95),
  epsilon: z.number().positive().default(1e-8),
  weightDecay: z.number().nonnegative().default(0.1),
  /** Largest global L2 norm of the gradient; 0 does not clip. */
  gradientClip: z.number().nonnegative().default(1),
  /** Step of the routing bias per optimizer step (auxiliary-loss-free balancing). */
  routingBiasSpeed: z.number().nonnegative().default(0.001),
  /** Weight of the multi-token-prediction loss, with `num_nextn_predict_layers: 1`. */
  mtpLossWeight: z.number().nonnegative().default(0.3),
  /** The embedded engine trains in float32. */
  precision: z.literal("fp32").default("fp32"),
  /** Steps between checkpoints on disk; the memory tier keeps every step. */
  checkpointEvery: z.int().positive().default(50),
  keepCheckpoints: z.int().min(2).default(3),
  /** Steps between validations; 0 validates only at the end. */
  validateEvery: z.int().nonnegative().default(0),
});
export type Train = z.infer<typeof Train>;

export const PoolSpec = z.strictObject({
  name,
  launcher: z.literal("local").default("local"),
  /** Ranks of an attempt on this pool; each is one node of the pool. */
  workers: z.int().positive().max(256),
  /** Nodes that may take an evicted node's place. */
  spares: z.int().nonnegative().max(256).default(0),
  /** Absent: this machine's CPU as it is. */
  emulate: Emulation.prefault({ platform: "cpu" }),
  /** With `program` only: what this pool's nodes start instead of `program.command`, another vendor's fork of it for example. */
  command: ProgramCommand.optional(),
  /** With `program` only: added to `program.env`. */
  env: ProgramEnv.optional(),
});
export type PoolSpec = z.infer<typeof PoolSpec>;

export const Failover = z.strictObject({
  /** Pools in the order in which the run may use them; absent: as listed under `pools`. */
  order: z.array(name).min(1).optional(),
  /**
   * How many faults of the same root (kind and node) without a step completed between make the node leave, or the run its
   * pool: with 2 the first is restarted and the second is not.
   */
  maxFaultsPerRoot: z.int().positive().default(2),
  /** Restarting faults that a pool may show before the run leaves it. */
  maxFaultsPerPool: z.int().positive().default(8),
  /** The same as a rate, counted once `minProductiveSeconds` have been productive on the pool. */
  maxFaultsPerProductiveHour: z.number().positive().default(120),
  minProductiveSeconds: z.number().nonnegative().default(60),
  /** Attempts of the whole run before it fails with its reasons. */
  maxAttempts: z.int().positive().max(100_000).default(50),
  /** No completed step for max(hangSeconds, hangStepFactor × p99 step) is a hang. */
  hangSeconds: seconds.default(3),
  hangStepFactor: z.number().min(1).default(5),
  /** A launch must complete its first step in this time. */
  startSeconds: seconds.default(120),
  /** Silence on a link between two ranks that are both alive. */
  linkSilentSeconds: seconds.default(2),
  /** A rank that computes this many times slower than the median of the others, `stragglerSteps` in a row. */
  stragglerFactor: z.number().gt(1).default(2),
  stragglerSteps: z.int().positive().default(4),
  /** A link that carries less than this share of its pool's usual rate, `stragglerSteps` in a row. */
  slowLinkShare: z.number().gt(0).lt(1).default(0.25),
  /** A loss above this multiple of the median of the last 32 steps. */
  lossSpikeFactor: z.number().gt(1).default(3),
  /** SIGTERM grace before SIGKILL when an attempt is stopped. */
  stopGraceSeconds: seconds.default(2),
  /** What SIGTERM or SIGHUP to the supervisor does to the workers; absent: `stop`. Ctrl-C always stops. */
  onSupervisorStop: z.enum(["stop", "detach"]).optional(),
});
export type Failover = z.infer<typeof Failover>;

export const Port = z.strictObject({
  /** Number format of the exported weights. */
  precision: Precision.extract(["fp32", "bf16"]).default("bf16"),
  /** Pool on whose gauge the export must answer; absent: the first pool of another platform than the one that finished. */
  pool: name.optional(),
  /** Prompts for the comparison, one a line. */
  prompts: z.string().min(1).optional(),
});
export type Port = z.infer<typeof Port>;

export const Serve = z.strictObject({
  /** 0 takes a free port. */
  port: z.int().min(0).max(65_535).default(0),
  host: z.string().min(1).default("127.0.0.1"),
  prompt: z.string().min(1).default("The "),
  maxTokens: z.int().positive().max(65_536).default(120),
  temperature: z.number().min(0).max(2).default(0.7),
});
export type Serve = z.infer<typeof Serve>;

export const RunFile = z
  .strictObject({
    name,
    /** `model`, `data` and `train` are the embedded engine's; `program` stands instead of all three. */
    model: DeepseekConfig.optional(),
    data: DataSource.optional(),
    train: Train.optional(),
    program: Program.optional(),
    pools: z.array(PoolSpec).min(1).max(64),
    failover: Failover.prefault({}),
    port: Port.prefault({}),
    serve: Serve.prefault({}),
  })
  .superRefine((file, context) => {
    const refuse = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: "custom", path, message });
    const { pools, failover, port } = file;
    whichWork(file, refuse);
    if (file.train !== undefined && file.model !== undefined) checkTrain(file.train, file.model, pools, refuse);
    const names = pools.map((pool) => pool.name);
    pools.forEach((pool, index) => {
      if (names.indexOf(pool.name) !== index)
        refuse(["pools", index, "name"], `${pool.name} is used twice; rename one`);
      checkPool(pool, ["pools", index], file.program !== undefined, refuse);
    });
    failover.order?.forEach((pool, index) => {
      if (!names.includes(pool))
        refuse(["failover", "order", index], `${pool} is no pool; pools are ${names.join(", ")}`);
    });
    if (port.pool !== undefined && !names.includes(port.pool))
      refuse(["port", "pool"], `${port.pool} is no pool; pools are ${names.join(", ")}`);
  });
export type RunFile = z.infer<typeof RunFile>;

/** A run of the embedded engine. */
export type EngineRunFile = RunFile & {
  readonly model: DeepseekConfig;
  readonly data: DataSource;
  readonly train: Train;
};
/** A run of somebody's own program. */
export type ProgramRunFile = RunFile & { readonly program: Program };

export function isProgramRun(file: RunFile): file is ProgramRunFile {
  return file.program !== undefined;
}

export function isEngineRun(file: RunFile): file is EngineRunFile {
  return file.model !== undefined && file.data !== undefined && file.train !== undefined;
}

type Refuse = (path: (string | number)[], message: string) => void;
const engineKeys = ["model", "data", "train"] as const;

/** Either the engine's three keys or `program`. */
function whichWork(file: Partial<Record<(typeof engineKeys)[number] | "program", unknown>>, refuse: Refuse): void {
  const given = engineKeys.filter((key) => file[key] !== undefined);
  if (file.program === undefined) {
    const instead = given.length === 0 ? ", or give program instead of model, data and train" : "";
    for (const key of engineKeys) if (file[key] === undefined) refuse([key], `is missing; give an object${instead}`);
    return;
  }
  for (const key of given) refuse([key], "does not go with program; leave out one of them");
}

function checkTrain(train: Train, model: DeepseekConfig, pools: readonly PoolSpec[], refuse: Refuse): void {
  if (train.globalBatch % train.microBatch !== 0) {
    refuse(
      ["train", "globalBatch"],
      `${train.globalBatch} is not a multiple of microBatch ${train.microBatch}; change one`,
    );
  }
  if (train.seqLength > model.max_position_embeddings) {
    refuse(
      ["train", "seqLength"],
      `${train.seqLength} is more than max_position_embeddings ${model.max_position_embeddings}; lower it`,
    );
  }
  if ((train.minLearningRate ?? 0) > train.learningRate)
    refuse(["train", "minLearningRate"], "is above learningRate; lower it");
  const microBatches = train.globalBatch / train.microBatch;
  pools.forEach((pool, index) => {
    if (pool.workers <= microBatches) return;
    refuse(
      ["pools", index, "workers"],
      `${pool.workers} workers but only ${microBatches} micro-batches a step; lower workers or microBatch`,
    );
  });
}

function checkPool(pool: PoolSpec, path: (string | number)[], isProgram: boolean, refuse: Refuse): void {
  for (const key of ["command", "env"] as const) {
    if (pool[key] !== undefined && !isProgram) refuse([...path, key], "needs program; leave it out");
  }
  if (isProgram && pool.emulate.faults.length > 0) {
    refuse([...path, "emulate", "faults"], "cannot strike a program from inside; leave them out");
  }
  pool.emulate.faults.forEach((fault, place) => {
    const at = [...path, "emulate", "faults", place];
    if (fault.step === undefined && fault.probability === undefined)
      refuse(at, "needs a step or a probability; give one");
    if (fault.rank >= pool.workers)
      refuse([...at, "rank"], `${fault.rank} but the pool has ranks 0 to ${pool.workers - 1}; lower it`);
  });
}

/** The pools a run may use, in order. */
export function poolOrder(file: RunFile): readonly PoolSpec[] {
  const order = file.failover.order ?? file.pools.map((pool) => pool.name);
  return [...new Set(order)].flatMap((poolName) => file.pools.filter((pool) => pool.name === poolName));
}
