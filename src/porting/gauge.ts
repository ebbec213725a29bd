/**
 * A model that answers through the embedded engine: logits for a text, greedy continuations.
 * Knows: the logprob program, the sampler and the weights of an opened model. Does not know: what it is compared with.
 */
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { Sampler } from "../engine/sampler.ts";
import { type HostTensor, openSession } from "../engine/session.ts";
import { float32Of, type OpenedModel } from "./open-model.ts";

export interface Gauge {
  readonly vocabulary: number;
  /** Logits [tokens, vocabulary], row i being what follows token i. */
  logits(tokens: readonly number[]): Promise<Float32Array>;
  /** The `count` likeliest tokens, one after the other. */
  continueGreedily(tokens: readonly number[], count: number): Promise<number[]>;
  close(): Promise<void>;
}

/** Loads the weights as float32 and opens the programs over them; BadInput where ONNX Runtime is not installed. */
export async function openGauge(model: OpenedModel): Promise<Gauge> {
  const { config } = model;
  const programs = deepseekV3(config);
  const parameters = new Map(
    model.parameters.map(({ name, shape }) => [name, { shape, data: float32Of(model, name) }]),
  );
  const inputs: Record<string, HostTensor> = Object.fromEntries(parameters);
  const session = await openSession(programs.logprob());
  // Not frozen: all three programs read one copy of the weights.
  const sampler = await Sampler.open({ config, programs, parameters, frozen: false });
  return {
    vocabulary: config.vocab_size,
    async logits(tokens) {
      // The program scores each token by the one before it; the last needs a successor, whichever.
      const data = BigInt64Array.from([...tokens, 0], BigInt);
      const outputs = await session.run({ ...inputs, tokens: { shape: [1, data.length], data } });
      const values = outputs.logits?.data;
      if (!(values instanceof Float32Array)) throw new Error("the logprob program gave no float32 logits");
      return values;
    },
    async continueGreedily(tokens, count) {
      if (count === 0) return [];
      const answer: number[] = [];
      const greedy = { maxTokens: count, temperature: 0, topP: 1, seed: 0 };
      for await (const { token } of sampler.generate(tokens, greedy)) answer.push(token);
      return answer;
    },
    async close() {
      await session.close();
      await sampler.close();
    },
  };
}
