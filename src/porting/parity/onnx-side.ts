/**
 * An exported directory's ONNX graphs as a side of a comparison: prefill.onnx and decode.onnx as they are shipped.
 * Knows: their inputs and outputs, dynamic or of fixed sizes. Does not know: the engine that made them.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { openSessionFile, type SessionFile } from "../../engine/session.ts";
import { BadInput } from "../../spec/bad-input.ts";
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { topToken } from "../measure-logits.ts";
import { fromModelConfig } from "../model-config.ts";
import { type AskedSide, decodeSteps, valuesOf } from "./engine-side.ts";
import { columnsOf, inMemory, type RowTensor } from "./reading.ts";

export interface OnnxSide extends AskedSide {
  readonly config: DeepseekConfig;
  readonly path: string;
}

export const onnxGraphs = ["prefill.onnx", "decode.onnx"] as const;

/** Configuration of the model whose graphs lie in `given`; BadInput where graphs or config.json are missing. */
export function onnxConfig(given: string): { path: string; config: DeepseekConfig } {
  const path = resolve(given);
  for (const name of [...onnxGraphs, "config.json"]) {
    if (!existsSync(join(path, name))) {
      throw new BadInput(`${given}: has no ${name}; give a directory that \`dualgauge port\` wrote`);
    }
  }
  const where = join(path, "config.json");
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(where, "utf8"));
  } catch {
    throw new BadInput(`${where}: cannot be read as JSON; export it again`);
  }
  return { path, config: fromModelConfig(json, where) };
}

/** Opens the graphs in `given`; BadInput, one line, where they are missing or ONNX Runtime does not take them. */
export async function openOnnxSide(given: string): Promise<OnnxSide> {
  const { path, config } = onnxConfig(given);
  const prefill = await open(path, "prefill.onnx", given);
  const decode = await open(path, "decode.onnx", given);
  const layers = [...Array(config.num_hidden_layers).keys()];
  const width = config.kv_lora_rank + config.qk_rope_head_dim;
  // ATC wants fixed sizes: then prompts are padded on the right and caches are as long as the graph says.
  const promptMax = sizeOf(prefill, "tokens", 1);
  const past = sizeOf(decode, "cache/0", 1);
  const read = async (tokens: readonly number[]): Promise<{ logits: Float32Array; caches: Float32Array[] }> => {
    const padded = [...tokens, ...Array<number>(Math.max(0, (promptMax ?? 0) - tokens.length)).fill(0)];
    const outputs = await prefill.run({
      tokens: { shape: [1, padded.length], data: BigInt64Array.from(padded, BigInt) },
      lastPosition: { shape: [1], data: BigInt64Array.of(BigInt(tokens.length - 1)) },
    });
    const cacheOf = (layer: number): Float32Array =>
      valuesOf(outputs[`cache/${layer}`], `cache/${layer}`).slice(0, tokens.length * width);
    return { logits: valuesOf(outputs.logits, "logits").slice(), caches: layers.map(cacheOf) };
  };
  /** Logits of every position from 0, by decoding behind a prompt of one token. */
  const decodeAll = async (tokens: readonly number[]): Promise<{ logits: Float32Array; caches: Float32Array[] }> => {
    const first = await read(tokens.slice(0, 1));
    const caches = first.caches.map((cache) => {
      const longer = new Float32Array((past ?? tokens.length) * width);
      longer.set(cache);
      return longer;
    });
    const rest = await decodeSteps(
      { session: decode, inputs: {}, caches, width, past: past ?? tokens.length },
      tokens,
      1,
    );
    const logits = new Float32Array(tokens.length * config.vocab_size);
    logits.set(first.logits);
    logits.set(rest, config.vocab_size);
    return { logits, caches };
  };
  return {
    ...{ config, path, vocabulary: config.vocab_size },
    contextTokens: Math.min(
      config.max_position_embeddings,
      promptMax ?? Number.MAX_SAFE_INTEGER,
      past ?? Number.MAX_SAFE_INTEGER,
    ),
    async continueGreedily(tokens, count) {
      const text = [...tokens];
      for (let step = 0; step < count; step++) text.push(topToken((await read(text)).logits));
      return text.slice(tokens.length);
    },
    async read(tokens, promptTokens) {
      const [whole, stepped] = [await read(tokens), await decodeAll(tokens)];
      const logits = stepped.logits.slice();
      logits.set(whole.logits, (tokens.length - 1) * config.vocab_size);
      const start = promptTokens - 1;
      const tensors = new Map<string, RowTensor>([
        ["logits", inMemory(logits, config.vocab_size)],
        ["decode.logits", inMemory(stepped.logits.subarray(start * config.vocab_size), config.vocab_size)],
      ]);
      for (const layer of layers) {
        const [latent, key] = [
          columnsOf(whole.caches[layer]!, width, 0, config.kv_lora_rank),
          columnsOf(whole.caches[layer]!, width, config.kv_lora_rank, width),
        ];
        tensors.set(`model.layers.${layer}.self_attn.latent`, inMemory(latent, config.kv_lora_rank));
        tensors.set(`model.layers.${layer}.self_attn.k_rope`, inMemory(key, config.qk_rope_head_dim));
        const filled = stepped.caches[layer]!.subarray(start * width, tokens.length * width);
        tensors.set(`decode.cache.${layer}`, inMemory(filled, width));
      }
      return { tokens, promptTokens, tensors };
    },
    async close() {
      await prefill.close();
      await decode.close();
    },
  };
}

async function open(path: string, name: string, given: string): Promise<SessionFile> {
  try {
    return await openSessionFile(join(path, name));
  } catch (error) {
    if (error instanceof BadInput) throw error;
    const why = (error instanceof Error ? error.message : String(error)).split("\n")[0]?.slice(0, 200);
    throw new BadInput(`${join(given, name)}: ONNX Runtime does not take it (${why}); export it again`);
  }
}

/** A fixed size of an input's dimension; undefined where it is known only at run time. */
function sizeOf(session: SessionFile, input: string, dimension: number): number | undefined {
  const size = session.inputs.get(input)?.[dimension];
  return typeof size === "number" && size > 0 ? size : undefined;
}
