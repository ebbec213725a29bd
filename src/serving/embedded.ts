/**
 * The embedded engine as a backend: a checkpoint, run or export answers on this machine's CPU.
 * Knows: how model, tokenizer and sampler fit together. Does not know: HTTP, who asks.
 */
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { Sampler } from "../engine/sampler.ts";
import { openTokenizer } from "../engine/tokenizer.ts";
import { float32Of, type OpenedModel, openModel } from "../porting/open-model.ts";
import type { Backend, TokenReading } from "./backend.ts";
import { byteTokenBytes, fileTokenBytes } from "./token-bytes.ts";

export interface EmbeddedBackend extends Backend {
  readonly kind: OpenedModel["kind"];
  /** Folder of the weights. */
  readonly path: string;
  /** Ends what is being generated and frees the engine. */
  close(): Promise<void>;
}

export interface EmbeddedOptions {
  /** How the model is called; absent: the name of its run, or of its folder. */
  readonly name?: string | undefined;
  /** Threads inside one operator. */
  readonly threads?: number;
}

/** Loads the model in `path`; BadInput says what is missing, corrupt or no model, or how to add the engine. */
export async function openEmbedded(
  path: string,
  { name, threads = 1 }: EmbeddedOptions = {},
): Promise<EmbeddedBackend> {
  const model = await openModel(path);
  try {
    const { config, kind } = model;
    const tokenizer = openTokenizer(model.tokenizer, config);
    const bytesOf =
      tokenizer.kind === "byte"
        ? byteTokenBytes
        : fileTokenBytes(JSON.parse(readFileSync(model.tokenizer, "utf8")), model.tokenizer);
    const parameters = new Map(
      model.parameters.map(({ name: tensor, shape }) => [tensor, { shape, data: float32Of(model, tensor) }]),
    );
    const sampler = await Sampler.open({ config, programs: deepseekV3(config), parameters, threads });
    const reading = ({ token, logprob }: { token: number; logprob: number }): TokenReading => ({
      token,
      logprob,
      bytes: bytesOf(token),
    });
    const stopTokens = tokenizer.eos === undefined ? [] : [tokenizer.eos];
    return {
      model: name ?? nameOf(model),
      kind,
      path: model.path,
      contextTokens: config.max_position_embeddings,
      vocabularySize: config.vocab_size,
      encode: (text) => tokenizer.encode(text),
      async *generate({ prompt, ...settings }, signal) {
        for await (const token of sampler.generate(prompt, { ...settings, stopTokens })) {
          if (signal.aborted) return;
          const { finish, top = [] } = token;
          yield { ...reading(token), top: top.map(reading), ...(finish && { finish }) };
        }
      },
      close: () => sampler.close(),
    };
  } finally {
    // The values are in memory now.
    model.close();
  }
}

/** An export in the run's `export/` is called after the run's folder, as a checkpoint is after its run. */
function nameOf({ manifest, path }: OpenedModel): string {
  return manifest?.run ?? (basename(path) === "export" ? basename(dirname(path)) : basename(path));
}
