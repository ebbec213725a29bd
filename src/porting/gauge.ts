/**
 * A model that answers through the embedded engine: logits for a text, greedy continuations.
 * Knows: the logprob program and the weights of an opened model. Does not know: what it is compared with.
 */
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { type HostTensor, openSession } from "../engine/session.ts";
import { topToken } from "./measure-logits.ts";
import { float32Of, type OpenedModel } from "./open-model.ts";

export interface Gauge {
  readonly vocabulary: number;
  /** Logits [tokens, vocabulary], row i being what follows token i. */
  logits(tokens: readonly number[]): Promise<Float32Array>;
  /** The `count` likeliest tokens, one after the other. */
  continueGreedily(tokens: readonly number[], count: number): Promise<number[]>;
  close(): Promise<void>;
}

/** Loads the weights as float32 and opens a session; BadInput where ONNX Runtime is not installed. */
export async function openGauge(model: OpenedModel): Promise<Gauge> {
  const vocabulary = model.config.vocab_size;
  const program = deepseekV3(model.config).logprob();
  const parameters: Record<string, HostTensor> = Object.fromEntries(
    model.parameters.map(({ name, shape }) => [name, { shape, data: float32Of(model, name) }]),
  );
  const session = await openSession(program);
  const logits = async (tokens: readonly number[]): Promise<Float32Array> => {
    // The program scores each token by the one before it; the last needs a successor, whichever.
    const data = BigInt64Array.from([...tokens, 0], BigInt);
    const outputs = await session.run({ ...parameters, tokens: { shape: [1, data.length], data } });
    const values = outputs.logits?.data;
    if (!(values instanceof Float32Array)) throw new Error("the logprob program gave no float32 logits");
    return values;
  };
  return {
    vocabulary,
    logits,
    async continueGreedily(tokens, count) {
      const all = [...tokens];
      while (all.length < tokens.length + count) {
        const values = await logits(all);
        all.push(topToken(values.subarray(values.length - vocabulary)));
      }
      return all.slice(tokens.length);
    },
    close: () => session.close(),
  };
}
