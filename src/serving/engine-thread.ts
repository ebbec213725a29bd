/**
 * The thread of the embedded engine: loads one model and continues prompts, many at a time, while the event loop of HTTP goes on.
 * Knows: its orders, how model, sampler and the bytes of tokens fit together. Does not know: HTTP, who asks.
 */
import { readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { Sampler } from "../engine/sampler.ts";
import type { Choice, TokenProbability } from "../engine/token-choice.ts";
import { openTokenizer } from "../engine/tokenizer.ts";
import { float32Of, type OpenedModel, openModel } from "../porting/open-model.ts";
import type { Generation, Piece, ScoredToken, TokenReading } from "./backend.ts";
import {
  type EngineFacts,
  type EngineOrder,
  type EngineReply,
  type EngineSetup,
  failureOf,
} from "./engine-messages.ts";
import { byteTokenBytes, fileTokenBytes } from "./token-bytes.ts";

interface Engine {
  readonly facts: EngineFacts;
  generate(request: Generation, signal: AbortSignal): AsyncIterable<Piece>;
  close(): Promise<void>;
}

async function openEngine({ path, name, threads }: EngineSetup): Promise<Engine> {
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
    const reading = ({ token, logprob }: TokenProbability): TokenReading => ({ token, logprob, bytes: bytesOf(token) });
    const scored = (choice: Choice): ScoredToken => ({ ...reading(choice), top: (choice.top ?? []).map(reading) });
    const unscored = (token: number): ScoredToken => ({ token, logprob: Number.NaN, bytes: bytesOf(token), top: [] });
    const stopTokens = tokenizer.eos === undefined ? [] : [tokenizer.eos];
    return {
      facts: { model: name ?? nameOf(model), kind, path: model.path, config, tokenizer: model.tokenizer },
      async *generate({ prompt, stream, logitBias, ...settings }, signal) {
        const options = { ...settings, stopTokens, ...(logitBias && { logitBias: new Map(logitBias) }) };
        for await (const token of sampler.generate(prompt, options, { stream: `${stream ?? 0}`, signal })) {
          const { finish, prompt: before } = token;
          yield {
            ...scored(token),
            ...(finish && { finish }),
            ...(before && { prompt: [unscored(prompt[0] ?? 0), ...before.map(scored)] }),
          };
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

function serve(engine: Engine, reply: (message: EngineReply) => void): (order: EngineOrder) => void {
  const running = new Map<number, AbortController>();
  const generate = async (id: number, generation: Generation): Promise<void> => {
    const abandoned = new AbortController();
    running.set(id, abandoned);
    try {
      for await (const piece of engine.generate(generation, abandoned.signal)) reply({ kind: "piece", id, piece });
    } catch (error) {
      reply({ kind: "failed", id, failure: failureOf(error) });
    } finally {
      running.delete(id);
    }
  };
  return (order) => {
    switch (order.kind) {
      case "generate":
        void generate(order.id, order.generation);
        break;
      case "abandon":
        running.get(order.id)?.abort();
        break;
      case "close":
        void engine.close().then(() => reply({ kind: "closed" }));
        break;
      default:
        order satisfies never;
    }
  };
}

const port = parentPort;
if (port) {
  const setup: EngineSetup = workerData;
  const reply = (message: EngineReply): void => port.postMessage(message);
  try {
    const engine = await openEngine(setup);
    port.on("message", serve(engine, reply));
    reply({ kind: "ready", facts: engine.facts });
  } catch (error) {
    reply({ kind: "unready", failure: failureOf(error) });
  }
}
