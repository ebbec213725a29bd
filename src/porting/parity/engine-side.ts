/**
 * A directory's model as a side of a comparison: the embedded engine reads a text, continues it, and decodes it with its cache.
 * Knows: the probe, decode and sampling programs. Does not know: what the result is compared with.
 */
import { deepseekV3 } from "../../engine/model/deepseek.ts";
import { probeProgram } from "../../engine/model/probe.ts";
import type { Program } from "../../engine/program.ts";
import { Sampler } from "../../engine/sampler.ts";
import { type HostTensor, openSession, type Session } from "../../engine/session.ts";
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { float32Of, type OpenedModel } from "../open-model.ts";
import { inMemory, type Reading, type RowTensor } from "./reading.ts";

/** A side that can be asked about any text. */
export interface AskedSide {
  readonly vocabulary: number;
  readonly contextTokens: number;
  /** The `count` likeliest tokens, one after the other. */
  continueGreedily(tokens: readonly number[], count: number): Promise<number[]>;
  /** Everything about `tokens`, of which the first `promptTokens` are the prompt. */
  read(tokens: readonly number[], promptTokens: number): Promise<Reading>;
  close(): Promise<void>;
}

export interface EngineSideOptions {
  readonly probe?: Program;
  /** For tests that break a kernel on purpose: what opens the programs for reading and decoding. */
  readonly open?: (program: Program, name: "probe" | "decode") => Promise<Session>;
}

/** Loads the weights as float32; BadInput where ONNX Runtime is not installed. Close it; the model stays open. */
export async function openEngineSide(model: OpenedModel, options: EngineSideOptions = {}): Promise<AskedSide> {
  const { config } = model;
  const programs = deepseekV3(config);
  const parameters = new Map(
    model.parameters.map(({ name, shape }) => [name, { shape, data: float32Of(model, name) }]),
  );
  const inputs: Record<string, HostTensor> = Object.fromEntries(parameters);
  const open = options.open ?? ((program: Program) => openSession(program));
  const probe = await open(options.probe ?? probeProgram(config), "probe");
  const decode = await open(programs.decode(), "decode");
  // Not frozen: all programs read one copy of the weights.
  const sampler = await Sampler.open({ config, programs, parameters, frozen: false });
  return {
    vocabulary: config.vocab_size,
    contextTokens: config.max_position_embeddings,
    async continueGreedily(tokens, count) {
      if (count === 0) return [];
      const answer: number[] = [];
      const greedy = { maxTokens: count, temperature: 0, topP: 1, seed: 0 };
      for await (const { token } of sampler.generate(tokens, greedy)) answer.push(token);
      return answer;
    },
    async read(tokens, promptTokens) {
      const data = BigInt64Array.from(tokens, BigInt);
      const outputs = await probe.run({ ...inputs, tokens: { shape: [1, data.length], data } });
      const tensors = new Map<string, RowTensor>();
      for (const [name, tensor] of Object.entries(outputs)) {
        tensors.set(name, inMemory(valuesOf(tensor, name), tensor.shape[1] ?? 0));
      }
      const step = { config, session: decode, inputs };
      for (const [name, tensor] of await decodeAfter(step, outputs, tokens, promptTokens)) tensors.set(name, tensor);
      return { tokens, promptTokens, tensors };
    },
    async close() {
      await probe.close();
      await decode.close();
      await sampler.close();
    },
  };
}

/**
 * Decodes from the prompt's last token on, over the cache that reading the tokens before it left, as a server does. The caches that come
 * back are the buffers as decoding filled them.
 */
async function decodeAfter(
  { config, session, inputs }: { config: DeepseekConfig; session: Session; inputs: Record<string, HostTensor> },
  read: Readonly<Record<string, HostTensor>>,
  tokens: readonly number[],
  promptTokens: number,
): Promise<[string, RowTensor][]> {
  const start = promptTokens - 1;
  const layers = [...Array(config.num_hidden_layers).keys()];
  const caches = layers.map((layer) => {
    const prefix = `model.layers.${layer}.self_attn`;
    return joinColumns(valuesOf(read[`${prefix}.latent`], prefix), valuesOf(read[`${prefix}.k_rope`], prefix), config);
  });
  const width = config.kv_lora_rank + config.qk_rope_head_dim;
  for (const cache of caches) cache.fill(0, start * width);
  const logits = await decodeSteps({ session, inputs, caches, width, past: tokens.length }, tokens, start);
  return [
    ["decode.logits", inMemory(logits, config.vocab_size)],
    ...layers.map((layer): [string, RowTensor] => [
      `decode.cache.${layer}`,
      inMemory(caches[layer]!.subarray(start * width), width),
    ]),
  ];
}

/** Logits [tokens − start, vocabulary] of decoding `tokens` from `start` on; `caches` [past, width] are filled in place. */
export async function decodeSteps(
  {
    session,
    inputs,
    caches,
    width,
    past,
  }: {
    session: Session;
    inputs: Record<string, HostTensor>;
    caches: readonly Float32Array[];
    width: number;
    past: number;
  },
  tokens: readonly number[],
  start: number,
): Promise<Float32Array> {
  const rows: Float32Array[] = [];
  for (let position = start; position < tokens.length; position++) {
    const feeds: Record<string, HostTensor> = {
      ...inputs,
      tokens: { shape: [1, 1], data: BigInt64Array.of(BigInt(tokens[position]!)) },
      position: { shape: [1], data: BigInt64Array.of(BigInt(position)) },
    };
    caches.forEach((data, layer) => {
      feeds[`cache/${layer}`] = { shape: [1, past, width], data };
    });
    const outputs = await session.run(feeds);
    rows.push(valuesOf(outputs.logits, "logits").slice());
    caches.forEach((cache, layer) => {
      cache.set(valuesOf(outputs[`newCache/${layer}`], `newCache/${layer}`), position * width);
    });
  }
  const vocabulary = rows[0]?.length ?? 0;
  const all = new Float32Array(rows.length * vocabulary);
  rows.forEach((row, index) => {
    all.set(row, index * vocabulary);
  });
  return all;
}

export function valuesOf(tensor: HostTensor | undefined, name: string): Float32Array {
  if (tensor?.data instanceof Float32Array) return tensor.data;
  throw new Error(`the program gave no float32 ${name}`);
}

function joinColumns(latent: Float32Array, key: Float32Array, config: DeepseekConfig): Float32Array {
  const { kv_lora_rank: rank, qk_rope_head_dim: rope } = config;
  const rows = latent.length / rank;
  const cache = new Float32Array(rows * (rank + rope));
  for (let row = 0; row < rows; row++) {
    cache.set(latent.subarray(row * rank, (row + 1) * rank), row * (rank + rope));
    cache.set(key.subarray(row * rope, (row + 1) * rope), row * (rank + rope) + rank);
  }
  return cache;
}
