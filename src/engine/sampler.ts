/**
 * Generates text: reads prompts, then decodes all running sequences together, one token each at a time.
 * Knows: the prefill and decode programs, who runs, who waits, who is done. Does not know: tokenizers, HTTP.
 *
 * Sequences join and leave between steps (continuous batching; Yu et al. 2022, Orca). Each draws from its own random stream, so
 * what one is given does not change what another draws.
 */
import { BadInput } from "../spec/bad-input.ts";
import type { DeepseekConfig } from "../spec/deepseek-config.ts";
import { type Random, random } from "../spec/random.ts";
import { DecodeBatch } from "./decode-batch.ts";
import type { ModelPrograms, Program } from "./program.ts";
import { type HostTensor, openSession, type Session } from "./session.ts";
import { type Choice, chooseToken } from "./token-choice.ts";

export interface SamplingOptions {
  /** Tokens to generate at most; the model's `max_position_embeddings` may end the sequence earlier. */
  readonly maxTokens: number;
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  /** How many of the likeliest tokens each token reports in `top` (default none). */
  readonly topLogprobs?: number;
  /** Token ids that end the sequence. */
  readonly stopTokens?: readonly number[];
}

export interface SampledToken extends Choice {
  /** Set on the last token: `stop` where it is a stop token, `length` where the limit is reached. */
  readonly finish?: "stop" | "length";
}

export interface SamplerOptions {
  readonly config: DeepseekConfig;
  readonly programs: Pick<ModelPrograms, "prefill" | "decode">;
  /** Values of all parameters by name. */
  readonly parameters: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** Parameters become constants, which is faster; false reads them at each step, so that a trainer's updates are seen. Default true. */
  readonly frozen?: boolean;
  readonly threads?: number;
  /** Sequences decoded together at most (default 64); more wait. */
  readonly batchMax?: number;
}

interface Sequence {
  readonly prompt: readonly number[];
  readonly options: SamplingOptions;
  readonly draw: Random;
  readonly produced: SampledToken[];
  /** Tokens whose cache is held. */
  position: number;
  latest: number;
  generated: number;
  ended: boolean;
  failure?: unknown;
  wake: () => void;
}

/** Tokens of prompts read in one call, so that a wide batch of long prompts does not need memory for all at once. */
const prefillTokensMax = 4096;

export class Sampler {
  readonly #options: SamplerOptions;
  readonly #prefill: Session;
  readonly #decode: Session;
  readonly #batch: DecodeBatch;
  readonly #running: Sequence[] = [];
  readonly #waiting: Sequence[] = [];
  #loop: Promise<void> | undefined;
  #closed = false;

  /** Opens both programs; throws BadInput where the runtime is not installed. */
  static async open(options: SamplerOptions): Promise<Sampler> {
    const open = (program: Program): Promise<Session> =>
      openSession(program, {
        ...(options.threads !== undefined && { threads: options.threads }),
        ...(options.frozen !== false && { constants: only(options.parameters, program.parameters) }),
      });
    return new Sampler(options, await open(options.programs.prefill()), await open(options.programs.decode()));
  }

  private constructor(options: SamplerOptions, prefill: Session, decode: Session) {
    const { config } = options;
    this.#options = options;
    this.#prefill = prefill;
    this.#decode = decode;
    this.#batch = new DecodeBatch({
      layers: config.num_hidden_layers,
      width: config.kv_lora_rank + config.qk_rope_head_dim,
    });
  }

  /**
   * Tokens that follow `prompt`, as they are chosen. `stream` tells apart sequences of equal seed. Leaving the loop early ends
   * the sequence. Throws BadInput on an empty or overlong prompt, an unknown token or options out of range.
   */
  async *generate(prompt: readonly number[], options: SamplingOptions, stream = "0"): AsyncGenerator<SampledToken> {
    this.#check(prompt, options);
    const sequence: Sequence = {
      ...{ prompt, options, draw: random(options.seed, `sample/${stream}`), produced: [] },
      ...{ position: prompt.length, latest: 0, generated: 0, ended: false, wake: () => undefined },
    };
    this.#waiting.push(sequence);
    this.#loop ??= this.#run();
    try {
      for (let at = 0; ; at++) {
        while (at >= sequence.produced.length) {
          if (sequence.failure !== undefined) throw sequence.failure;
          await new Promise<void>((resolve) => {
            sequence.wake = resolve;
          });
        }
        const token = sequence.produced[at]!;
        yield token;
        if (token.finish) return;
      }
    } finally {
      sequence.ended = true;
    }
  }

  /** Ends all sequences and frees both sessions. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#loop;
    await Promise.all([this.#prefill.close(), this.#decode.close()]);
  }

  #check(prompt: readonly number[], options: SamplingOptions): void {
    const { vocab_size: vocabulary, max_position_embeddings: longest } = this.#options.config;
    const problems: string[] = [];
    if (this.#closed) throw new Error("the sampler is closed");
    if (prompt.length === 0) problems.push("prompt: empty; give at least one token");
    if (prompt.length >= longest) {
      problems.push(
        `prompt: ${prompt.length} tokens, but the model reads ${longest}; leave room for at least one more`,
      );
    }
    const unknown = prompt.find((token) => !(Number.isInteger(token) && token >= 0 && token < vocabulary));
    if (unknown !== undefined) {
      problems.push(
        `prompt: token ${unknown} is not in the vocabulary of ${vocabulary}; use the model's own tokenizer`,
      );
    }
    const { maxTokens, temperature, topP } = options;
    if (!(Number.isInteger(maxTokens) && maxTokens > 0))
      problems.push(`maxTokens: ${maxTokens}; give a whole number above 0`);
    if (!(temperature >= 0 && temperature <= 100)) problems.push(`temperature: ${temperature}; give 0 to 100`);
    if (!(topP > 0 && topP <= 1)) problems.push(`topP: ${topP}; give more than 0 and at most 1`);
    if (problems.length > 0) throw new BadInput(...problems);
  }

  async #run(): Promise<void> {
    try {
      while (!this.#closed && (this.#running.length > 0 || this.#waiting.length > 0)) {
        await this.#admit();
        this.#dismiss();
        if (this.#running.length > 0) await this.#step();
      }
      if (this.#closed) this.#fail(new Error("the sampler was closed"));
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#loop = undefined;
    }
  }

  #fail(error: unknown): void {
    for (const sequence of [...this.#running.splice(0), ...this.#waiting.splice(0)]) {
      sequence.failure = error;
      sequence.wake();
    }
    this.#batch.clear();
  }

  /** Reads waiting prompts while there is room; equal prompts are read once. */
  async #admit(): Promise<void> {
    const room = (this.#options.batchMax ?? 64) - this.#running.length;
    const admitted = this.#waiting.splice(0, room).filter((sequence) => !sequence.ended);
    while (admitted.length > 0) {
      const distinct = new Map<string, Sequence[]>();
      let longest = 0;
      while (admitted.length > 0) {
        const [next] = admitted as [Sequence];
        const key = next.prompt.join();
        longest = Math.max(longest, next.prompt.length);
        const full = distinct.size > 0 && (distinct.size + 1) * longest > prefillTokensMax;
        if (!distinct.has(key) && full) break;
        distinct.set(key, [...(distinct.get(key) ?? []), next]);
        admitted.shift();
      }
      await this.#read([...distinct.values()]);
    }
  }

  /** Reads one prompt per group, padded to the longest, and starts the group's sequences from it. */
  async #read(groups: readonly (readonly Sequence[])[]): Promise<void> {
    const prompts = groups.map((group) => group[0]!.prompt);
    const longest = Math.max(...prompts.map((prompt) => prompt.length));
    const tokens = prompts.flatMap((prompt) => [...prompt, ...Array<number>(longest - prompt.length).fill(0)]);
    const results = await this.#prefill.run({
      ...this.#live(),
      tokens: int64([prompts.length, longest], tokens),
      lastPosition: int64(
        [prompts.length],
        prompts.map((prompt) => prompt.length - 1),
      ),
    });
    const caches = this.#layers((layer) => results[`cache/${layer}`]!);
    groups.forEach((group, row) => {
      for (const sequence of group) {
        this.#batch.add(caches, row, sequence.prompt.length);
        this.#running.push(sequence);
        this.#choose(sequence, results.logits!, row);
      }
    });
  }

  async #step(): Promise<void> {
    const count = this.#running.length;
    const positions = this.#running.map((sequence) => sequence.position);
    const caches = this.#batch.tensors();
    const results = await this.#decode.run({
      ...this.#live(),
      ...Object.fromEntries(caches.map((cache, layer) => [`cache/${layer}`, cache])),
      position: int64([count], positions),
      tokens: int64(
        [count, 1],
        this.#running.map((sequence) => sequence.latest),
      ),
    });
    this.#batch.append(
      this.#layers((layer) => results[`newCache/${layer}`]!),
      positions,
    );
    this.#running.forEach((sequence, row) => {
      sequence.position++;
      this.#choose(sequence, results.logits!, row);
    });
    this.#dismiss();
  }

  #choose(sequence: Sequence, logits: HostTensor, row: number): void {
    const { vocab_size: vocabulary, max_position_embeddings: longest } = this.#options.config;
    const { options } = sequence;
    const line = logits.data.subarray(row * vocabulary, (row + 1) * vocabulary);
    if (!(line instanceof Float32Array)) throw new Error("logits must be float32");
    const choice = chooseToken(line, options, sequence.draw);
    sequence.latest = choice.token;
    sequence.generated++;
    const stopped = options.stopTokens?.includes(choice.token) ?? false;
    // The next step would read this token at `position`, which must lie within the model's reach.
    const full = sequence.generated >= options.maxTokens || sequence.position + 1 >= longest;
    const finish = stopped ? "stop" : full ? "length" : undefined;
    sequence.produced.push(finish ? { ...choice, finish } : choice);
    if (finish) sequence.ended = true;
    sequence.wake();
  }

  /** Takes ended sequences out of the batch. */
  #dismiss(): void {
    for (let row = this.#running.length - 1; row >= 0; row--) {
      if (!this.#running[row]!.ended) continue;
      this.#batch.remove(row);
      const last = this.#running.pop()!;
      if (row < this.#running.length) this.#running[row] = last;
    }
  }

  #live(): Readonly<Record<string, HostTensor>> {
    return this.#options.frozen === false ? Object.fromEntries(this.#options.parameters) : {};
  }

  #layers<T>(of: (layer: number) => T): T[] {
    return Array.from({ length: this.#options.config.num_hidden_layers }, (_, layer) => of(layer));
  }
}

function int64(shape: readonly number[], values: readonly number[]): HostTensor {
  return { shape, data: BigInt64Array.from(values, BigInt) };
}

function only<V>(all: ReadonlyMap<string, V>, names: readonly string[]): Map<string, V> {
  return new Map(
    names.map((name) => {
      const value = all.get(name);
      if (value === undefined) throw new Error(`parameter ${name} has no value`);
      return [name, value];
    }),
  );
}
