/**
 * Generates text: reads prompts piece by piece, and decodes all running sequences together, one token each at a time.
 * Knows: the extend program, who waits, is read, runs, is done. Does not know: tokenizers, HTTP.
 *
 * Sequences join and leave between steps (continuous batching; Yu et al. 2022, Orca), and a long prompt is read in pieces between
 * them (Agrawal et al. 2023, Sarathi). What a sequence is given depends on its prompt and options alone, to the bit: shapes and the
 * random stream are its own, and rows of a batch do not depend on each other (model/extend). Held for norm widths that are
 * multiples of 4 and for 1 thread; any model of use has such.
 */
import { BadInput } from "../spec/bad-input.ts";
import type { DeepseekConfig } from "../spec/deepseek-config.ts";
import { type Random, random } from "../spec/random.ts";
import { cacheRows, DecodeBatch, floats } from "./decode-batch.ts";
import { rowMultiple } from "./model/extend.ts";
import { PrefixStore } from "./prefix-store.ts";
import type { ModelPrograms } from "./program.ts";
import { PromptReader, pieceTokens } from "./prompt-reader.ts";
import { type HostTensor, openSession, type Session } from "./session.ts";
import { type Choice, chooseToken, readToken, type TokenChoiceOptions } from "./token-choice.ts";

export interface SamplingOptions extends TokenChoiceOptions {
  /** Tokens to generate at most; the model's `max_position_embeddings` may end the sequence earlier. */
  readonly maxTokens: number;
  readonly seed: number;
  /** Token ids that end the sequence. */
  readonly stopTokens?: readonly number[];
  /** Added to the logit of a token, by its id. */
  readonly logitBias?: ReadonlyMap<number, number>;
  /** Taken off the logit of each token generated already: once, and for each time. */
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  /** The first token reports the prompt's own log probabilities. */
  readonly scorePrompt?: boolean;
}

export interface SampledToken extends Choice {
  /** Set on the last token: `stop` where it is a stop token, `length` where the limit is reached. */
  readonly finish?: "stop" | "length";
  /** On the first token, where asked for: how likely the prompt's tokens from the second on were. */
  readonly prompt?: readonly Choice[];
}

export interface SamplerOptions {
  readonly config: DeepseekConfig;
  readonly programs: Pick<ModelPrograms, "extend">;
  /** Values of all parameters by name. */
  readonly parameters: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>;
  /** Parameters become constants, which is faster; false reads them at each step, so that a trainer's updates are seen. Default true. */
  readonly frozen?: boolean;
  readonly threads?: number;
  /** Sequences decoded together at most (default 64); more wait. */
  readonly batchMax?: number;
  /** Tokens for which caches are reserved at most (default: 1 GiB of them); who does not fit waits. One sequence always fits. */
  readonly cacheTokensMax?: number;
  /** Tokens of prompts whose caches are kept for prompts that begin alike (default 16,384; none where not frozen). */
  readonly prefixTokensMax?: number;
}

interface Sequence {
  readonly prompt: readonly number[];
  readonly options: SamplingOptions;
  readonly draw: Random;
  readonly produced: SampledToken[];
  /** How often each token was generated. */
  readonly counts: Map<number, number>;
  readonly promptReadings: Choice[];
  /** Tokens whose cache is held. */
  position: number;
  latest: number;
  generated: number;
  ended: boolean;
  failure?: unknown;
  wake: () => void;
}

/** A prompt being read, for all that begin with it. */
interface Reading {
  readonly reader: PromptReader;
  readonly sequences: Sequence[];
}

/** Tokens of prompts read between two steps of decoding, so that running sequences do not stall. */
const readTokensMax = 256;
const cacheBytesDefault = 2 ** 30;

export class Sampler {
  readonly #options: SamplerOptions;
  readonly #session: Session;
  readonly #prefixes: PrefixStore;
  readonly #shape: { readonly layers: number; readonly width: number; readonly multiple: number };
  readonly #cacheTokensMax: number;
  readonly #waiting: Sequence[] = [];
  #reading: Reading[] = [];
  /** By capacity. */
  readonly #batches = new Map<number, DecodeBatch<Sequence>>();
  #loop: Promise<void> | undefined;
  #closed = false;

  /** Opens the program; throws BadInput where the runtime is not installed. */
  static async open(options: SamplerOptions): Promise<Sampler> {
    const program = options.programs.extend();
    const session = await openSession(program, {
      ...(options.threads !== undefined && { threads: options.threads }),
      ...(options.frozen !== false && { constants: only(options.parameters, program.parameters) }),
    });
    return new Sampler(options, session);
  }

  private constructor(options: SamplerOptions, session: Session) {
    const { config } = options;
    const width = config.kv_lora_rank + config.qk_rope_head_dim;
    this.#options = options;
    this.#session = session;
    this.#shape = { layers: config.num_hidden_layers, width, multiple: rowMultiple(config) };
    this.#cacheTokensMax =
      options.cacheTokensMax ?? Math.floor(cacheBytesDefault / (4 * width * config.num_hidden_layers));
    const kept = options.frozen === false ? 0 : (options.prefixTokensMax ?? 16_384);
    this.#prefixes = new PrefixStore({ pieces: Math.floor(kept / pieceTokens) });
  }

  /** Sequences that are read or decoded, and those that wait. */
  get load(): { readonly running: number; readonly waiting: number } {
    return { running: this.#held().length, waiting: this.#waiting.length };
  }

  /**
   * Tokens that follow `prompt`, as they are chosen. `stream` tells apart sequences of equal seed. Leaving the loop early ends
   * the sequence, and so does `signal`, at once and without an error. Throws BadInput on an empty or overlong prompt, an unknown
   * token or options out of range.
   */
  async *generate(
    prompt: readonly number[],
    options: SamplingOptions,
    { stream = "0", signal }: { readonly stream?: string; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<SampledToken> {
    this.#check(prompt, options);
    const sequence: Sequence = {
      ...{ prompt, options, draw: random(options.seed, `sample/${stream}`), produced: [], counts: new Map() },
      ...{ promptReadings: [], position: prompt.length, latest: 0, generated: 0, ended: false, wake: () => undefined },
    };
    const abandon = (): void => {
      sequence.ended = true;
      sequence.wake();
    };
    if (signal?.aborted) return;
    signal?.addEventListener("abort", abandon);
    this.#waiting.push(sequence);
    this.#loop ??= this.#run();
    try {
      for (let at = 0; ; at++) {
        while (at >= sequence.produced.length) {
          if (sequence.failure !== undefined) throw sequence.failure;
          if (signal?.aborted) return;
          await new Promise<void>((resolve) => {
            sequence.wake = resolve;
          });
        }
        if (signal?.aborted) return;
        const token = sequence.produced[at]!;
        yield token;
        if (token.finish) return;
      }
    } finally {
      sequence.ended = true;
      signal?.removeEventListener("abort", abandon);
    }
  }

  /** Ends all sequences and frees the session. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#loop;
    await this.#session.close();
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
    const { topK = 1, minP = 0 } = options;
    if (!(Number.isInteger(topK) && topK > 0)) problems.push(`topK: ${topK}; give a whole number above 0`);
    if (!(minP >= 0 && minP <= 1)) problems.push(`minP: ${minP}; give 0 to 1`);
    if (problems.length > 0) throw new BadInput(...problems);
  }

  async #run(): Promise<void> {
    try {
      while (!this.#closed && (this.#waiting.length > 0 || this.#held().length > 0)) {
        this.#dismiss();
        this.#admit();
        await this.#read();
        for (const batch of [...this.#batches.values()]) await this.#step(batch);
      }
      if (this.#closed) this.#failAll(new Error("the sampler was closed"));
    } catch (error) {
      this.#failAll(error);
    } finally {
      this.#loop = undefined;
    }
  }

  #held(): Sequence[] {
    const decoding = [...this.#batches.values()].flatMap(({ members }) => members);
    return [...this.#reading.flatMap(({ sequences }) => sequences), ...decoding];
  }

  #failAll(error: unknown): void {
    for (const sequence of [...this.#held(), ...this.#waiting.splice(0)]) fail(sequence, error);
    this.#reading = [];
    this.#batches.clear();
  }

  /** Lets in who waits, in order, while there is room for all that it may generate; equal prompts are read once. */
  #admit(): void {
    const longest = this.#options.config.max_position_embeddings;
    const need = ({ prompt, options }: Sequence): number =>
      cacheRows(Math.min(longest, prompt.length + options.maxTokens));
    const held = this.#held();
    let count = held.length;
    let reserved = held.reduce((sum, sequence) => sum + need(sequence), 0);
    while (this.#waiting.length > 0) {
      const [next] = this.#waiting as [Sequence];
      const fits = reserved + need(next) <= this.#cacheTokensMax && count < (this.#options.batchMax ?? 64);
      if (!fits && count > 0) return;
      count++;
      reserved += need(next);
      this.#begin(next);
      this.#waiting.shift();
    }
  }

  #begin(sequence: Sequence): void {
    const key = sequence.prompt.join();
    const scored = sequence.options.scorePrompt === true;
    const same = this.#reading.find(
      ({ reader, sequences }) =>
        reader.prompt.join() === key &&
        (sequences[0]?.options.scorePrompt === true) === scored &&
        !(scored && reader.position > 0),
    );
    if (same) return void same.sequences.push(sequence);
    const reader = new PromptReader(sequence.prompt, this.#shape);
    // The last piece is read in any case, because its last token's logits are wanted.
    while (!scored && reader.prompt.length - reader.position > pieceTokens) {
      const kept = this.#prefixes.find(reader.prompt.slice(0, reader.position + pieceTokens));
      if (!kept) break;
      reader.adopt(kept);
    }
    this.#reading.push({ reader, sequences: [sequence] });
  }

  /** Reads the next piece of the prompt that has waited longest, with those of others that have its shape. */
  async #read(): Promise<void> {
    const [first] = this.#reading;
    if (!first) return;
    const { length, past } = first.reader.shape;
    const together = this.#reading
      .filter(({ reader: { shape } }) => shape.length === length && shape.past === past)
      .slice(0, Math.max(1, readTokensMax / length));
    const { multiple, width } = this.#shape;
    let rows = together.length;
    while ((rows * length) % multiple !== 0) rows++;
    const caches = this.#layers((layer) => {
      const data = new Float32Array(rows * past * width);
      together.forEach(({ reader }, row) => {
        data.set(reader.cache(layer), row * past * width);
      });
      return { shape: [rows, past, width], data };
    });
    const tokens = together.flatMap(({ reader }) => padded(reader.next, length));
    const wanted = together.flatMap(({ reader, sequences }, row) => {
      const { length: count } = reader.next;
      if (sequences[0]?.options.scorePrompt) return Array.from({ length: count }, (_, i) => row * length + i);
      return reader.position + count === reader.prompt.length ? [row * length + count - 1] : [];
    });
    const logitRows = Math.max(multiple, Math.ceil(wanted.length / multiple) * multiple);
    const results = await this.#session.run({
      ...this.#inputs(caches),
      tokens: int64([rows, length], padded(tokens, rows * length)),
      position: int64(
        [rows],
        padded(
          together.map(({ reader }) => reader.position),
          rows,
        ),
      ),
      wanted: int64([logitRows], padded(wanted, logitRows)),
    });
    const fresh = this.#layers((layer) => results[`newCache/${layer}`]!);
    const logits = floats(results.logits);
    let line = 0;
    together.forEach((reading, row) => {
      const { reader, sequences } = reading;
      const before = reader.position;
      reader.take(fresh, row);
      if (reader.latest) this.#prefixes.keep(reader.latest.tokens, reader.latest.values);
      if (sequences[0]?.options.scorePrompt) {
        for (let at = before; at < reader.position; at++) this.#score(reading, at + 1, this.#line(logits, line++));
      } else if (reader.done) line++;
      if (reader.done) this.#start(reading, this.#line(logits, line - 1));
    });
    this.#reading = this.#reading.filter(({ reader }) => !reader.done);
  }

  #line(logits: Float32Array, row: number): Float32Array {
    const { vocab_size: vocabulary } = this.#options.config;
    return logits.subarray(row * vocabulary, (row + 1) * vocabulary);
  }

  /** Notes how likely the prompt's token at `position` was. */
  #score({ reader, sequences }: Reading, position: number, logits: Float32Array): void {
    const token = reader.prompt[position];
    if (token === undefined) return;
    for (const { promptReadings, options } of sequences) promptReadings.push(readToken(logits, token, options));
  }

  /** Chooses the first token of all that wanted this prompt, and decodes from there. */
  #start({ reader, sequences }: Reading, logits: Float32Array): void {
    for (const sequence of sequences) {
      if (sequence.ended) continue;
      this.#choose(sequence, logits);
      if (!sequence.ended)
        this.#join(
          sequence,
          reader.values.map((values) => values.subarray(0, sequence.position * this.#shape.width)),
        );
    }
  }

  #join(sequence: Sequence, values: readonly Float32Array[]): void {
    const capacity = cacheRows(sequence.position + 1);
    const batch = this.#batches.get(capacity) ?? new DecodeBatch<Sequence>({ ...this.#shape, capacity });
    this.#batches.set(capacity, batch);
    batch.add(sequence, values);
  }

  async #step(batch: DecodeBatch<Sequence>): Promise<void> {
    this.#dismiss();
    const { members, rows } = batch;
    if (rows === 0) return;
    const positions = members.map(({ position }) => position);
    const results = await this.#session.run({
      ...this.#inputs(batch.tensors()),
      tokens: int64(
        [rows, 1],
        padded(
          members.map(({ latest }) => latest),
          rows,
        ),
      ),
      position: int64([rows], padded(positions, rows)),
      wanted: int64([rows], [...Array(rows).keys()]),
    });
    batch.append(
      this.#layers((layer) => results[`newCache/${layer}`]!),
      positions,
    );
    const logits = floats(results.logits);
    members.forEach((sequence, row) => {
      sequence.position++;
      if (!sequence.ended) this.#choose(sequence, this.#line(logits, row));
    });
    this.#dismiss();
    for (let row = members.length - 1; row >= 0; row--) {
      const sequence = members[row]!;
      if (sequence.position < batch.capacity) continue;
      this.#join(sequence, batch.read(row, sequence.position));
      batch.remove(row);
    }
    if (members.length === 0) this.#batches.delete(batch.capacity);
  }

  #choose(sequence: Sequence, logits: Float32Array): void {
    const { max_position_embeddings: longest } = this.#options.config;
    const { options, counts } = sequence;
    try {
      const choice = chooseToken(adjusted(logits, sequence), options, sequence.draw, logits);
      sequence.latest = choice.token;
      sequence.generated++;
      counts.set(choice.token, (counts.get(choice.token) ?? 0) + 1);
      const stopped = options.stopTokens?.includes(choice.token) ?? false;
      // The next step would read this token at `position`, which must lie within the model's reach.
      const full = sequence.generated >= options.maxTokens || sequence.position + 1 >= longest;
      const finish = stopped ? "stop" : full ? "length" : undefined;
      const isFirst = sequence.generated === 1 && options.scorePrompt === true;
      sequence.produced.push({
        ...choice,
        ...(finish && { finish }),
        ...(isFirst && { prompt: sequence.promptReadings }),
      });
      if (finish) sequence.ended = true;
      sequence.wake();
    } catch (error) {
      // Logits that are not finite are this sequence's own trouble.
      fail(sequence, error);
    }
  }

  /** Takes out who has ended. */
  #dismiss(): void {
    const gone = this.#waiting.filter(({ ended }) => ended);
    for (const sequence of gone) this.#waiting.splice(this.#waiting.indexOf(sequence), 1);
    this.#reading = this.#reading.filter(({ sequences }) => sequences.some(({ ended }) => !ended));
    for (const batch of this.#batches.values()) {
      for (let row = batch.members.length - 1; row >= 0; row--) if (batch.members[row]!.ended) batch.remove(row);
      if (batch.members.length === 0) this.#batches.delete(batch.capacity);
    }
  }

  #inputs(caches: readonly HostTensor[]): Record<string, HostTensor> {
    const live = this.#options.frozen === false ? Object.fromEntries(this.#options.parameters) : {};
    return { ...live, ...Object.fromEntries(caches.map((cache, layer) => [`cache/${layer}`, cache])) };
  }

  #layers<T>(of: (layer: number) => T): T[] {
    return Array.from({ length: this.#shape.layers }, (_, layer) => of(layer));
  }
}

function fail(sequence: Sequence, error: unknown): void {
  sequence.failure = error;
  sequence.ended = true;
  sequence.wake();
}

/** The logits with the sequence's biases and penalties; the same array where it has none. */
function adjusted(logits: Float32Array, { options, counts }: Sequence): Float32Array {
  const { logitBias, presencePenalty = 0, frequencyPenalty = 0 } = options;
  if (!logitBias?.size && presencePenalty === 0 && frequencyPenalty === 0) return logits;
  const changed = logits.slice();
  for (const [token, bias] of logitBias ?? []) changed[token]! += bias;
  for (const [token, times] of counts) changed[token]! -= presencePenalty + frequencyPenalty * times;
  return changed;
}

const padded = (values: readonly number[], length: number): number[] => [
  ...values,
  ...Array<number>(Math.max(0, length - values.length)).fill(0),
];

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
