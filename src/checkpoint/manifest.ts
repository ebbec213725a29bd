/**
 * `manifest.json`: what a checkpoint is, where in the run it stands, and the size and hash of each of its files.
 * Knows: the manifest's fields. Does not know: files, who trains.
 */
import * as z from "zod";
import { DeepseekConfig } from "../spec/deepseek-config.ts";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

/** What the bits depend on besides the program: equal traits promise equal bits, others only closeness. */
export const DeviceTraits = z.strictObject({
  platform: z.string().min(1).max(200),
  /** Threads inside one worker's session. */
  threads: z.int().positive(),
  /** The widest vector instructions of the processor, e.g. `avx512`. */
  instructionSet: z.string().min(1).max(100),
  onnxRuntime: z.string().min(1).max(100),
  node: z.string().min(1).max(100),
});
export type DeviceTraits = z.infer<typeof DeviceTraits>;

/** Which tokenizer the model was trained with: `byte` (src/engine) or a Hugging Face `tokenizer.json`. */
export const TokenizerReference = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("byte") }),
  z.strictObject({ kind: z.literal("file"), path: z.string().min(1).max(4096), sha256 }),
]);
export type TokenizerReference = z.infer<typeof TokenizerReference>;

/** A manifest without `files`: what the trainer states; the writer adds the files. */
const body = {
  v: z.literal(1),
  run: z.string().min(1).max(200),
  /** The attempt that wrote it. */
  epoch: z.int().nonnegative(),
  /** Optimizer steps behind it; 0 is the initial state. */
  step: z.int().nonnegative(),
  tokensSeen: z.number().nonnegative(),
  model: DeepseekConfig,
  tokenizer: TokenizerReference,
  /** Where the learning-rate schedule stands: the rate of the step that ended here. */
  schedule: z.strictObject({ step: z.int().nonnegative(), learningRate: z.number().nonnegative() }),
  /** The next batch is a function of these two alone. */
  data: z.strictObject({ seed: z.int().nonnegative(), step: z.int().nonnegative() }),
  device: DeviceTraits,
  /** Mean next-token cross entropy of the step in nats. */
  loss: z.number().optional(),
};

export const ManifestBody = z.strictObject(body);
export type ManifestBody = z.infer<typeof ManifestBody>;

export const Manifest = z.strictObject({
  ...body,
  files: z.array(z.strictObject({ name: z.string(), bytes: z.int().nonnegative(), sha256 })).min(1),
});
export type Manifest = z.infer<typeof Manifest>;
