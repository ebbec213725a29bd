/** The sampler against the logprob program, batches against single sequences, and what it refuses. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { BadInput } from "../spec/bad-input.ts";
import { DeepseekConfig } from "../spec/deepseek-config.ts";
import { random } from "../spec/random.ts";
import { deepseekV3 } from "./model/deepseek.ts";
import { sizeOf } from "./operators/operator.ts";
import { type SampledToken, Sampler, type SamplingOptions } from "./sampler.ts";
import { openSession, type Session } from "./session.ts";

const config = DeepseekConfig.parse({
  ...{ vocab_size: 19, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 2, num_attention_heads: 2 },
  ...{ kv_lora_rank: 6, qk_nope_head_dim: 4, qk_rope_head_dim: 4, v_head_dim: 4, max_position_embeddings: 150 },
  ...{ n_routed_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 8, first_k_dense_replace: 1 },
});
const programs = deepseekV3(config);
const draw = random(4, "sampler.test");
const parameters = new Map(
  programs.parameters.map(({ name, shape, init }) => {
    const data = Float32Array.from({ length: sizeOf(shape) }, () => (init.kind === "ones" ? 1 : 0.4 * draw.normal()));
    return [name, { shape, data }];
  }),
);
const greedy: SamplingOptions = { maxTokens: 12, temperature: 0, topP: 1, seed: 1 };

let sampler: Sampler;
let scorer: Session;
beforeAll(async () => {
  sampler = await Sampler.open({ config, programs, parameters, batchMax: 3 });
  scorer = await openSession(programs.logprob());
});
afterAll(async () => {
  await sampler.close();
  await scorer.close();
});

async function collect(tokens: AsyncIterable<SampledToken>): Promise<SampledToken[]> {
  const all: SampledToken[] = [];
  for await (const token of tokens) all.push(token);
  return all;
}
const ids = (tokens: readonly SampledToken[]): number[] => tokens.map(({ token }) => token);

/** Log probabilities of each token of `sequence` after its first, by the program that reads it whole. */
async function score(sequence: readonly number[]): Promise<number[]> {
  const tokens = { shape: [1, sequence.length], data: BigInt64Array.from(sequence, BigInt) };
  const { logprob } = await scorer.run({ ...Object.fromEntries(parameters), tokens });
  return Array.from(logprob!.data, Number);
}

test("each token's log probability is what reading the whole text gives", async () => {
  const prompt = [3, 1, 4, 1, 5];
  // 130 tokens cross two steps of the cache's growth.
  const tokens = await collect(sampler.generate(prompt, { ...greedy, maxTokens: 130, temperature: 1 }));
  expect(tokens).toHaveLength(130);
  expect(tokens.at(-1)!.finish).toBe("length");
  const scored = (await score([...prompt, ...ids(tokens)])).slice(prompt.length - 1);
  tokens.forEach(({ logprob }, i) => {
    expect(Math.abs(logprob - scored[i]!)).toBeLessThan(1e-4);
  });
});

test("sequences that join and leave a batch get what they get alone", async () => {
  const prompts = [[2], [7, 7, 7, 7], [1, 2, 3], [7, 7, 7, 7], [9, 8]];
  const limits = [12, 3, 7, 5, 12];
  const run = (i: number) =>
    collect(sampler.generate(prompts[i]!, { ...greedy, maxTokens: limits[i]!, temperature: 0.7 }, { stream: `${i}` }));
  const together = await Promise.all(prompts.map((_, i) => run(i)));
  for (const [i, tokens] of together.entries()) {
    expect(ids(await run(i))).toEqual(ids(tokens));
    expect(tokens).toHaveLength(limits[i]!);
  }
});

test("the seed and the stream decide the draw", async () => {
  const run = (seed: number, stream?: string) =>
    collect(sampler.generate([5], { ...greedy, seed, temperature: 1.5 }, { ...(stream && { stream }) })).then(ids);
  expect(await run(1)).toEqual(await run(1));
  expect(await run(2)).not.toEqual(await run(1));
  expect(await run(1, "other")).not.toEqual(await run(1));
});

test("a stop token ends the sequence and is its last token", async () => {
  const free = ids(await collect(sampler.generate([5, 6], greedy)));
  const stop = free[4]!;
  const tokens = await collect(sampler.generate([5, 6], { ...greedy, stopTokens: [stop] }));
  expect(ids(tokens)).toEqual(free.slice(0, free.indexOf(stop) + 1));
  expect(tokens.at(-1)!.finish).toBe("stop");
});

test("the model's reach ends a sequence, and its last token is still right", async () => {
  const prompt = Array.from({ length: 140 }, (_, i) => i % 19);
  const tokens = await collect(sampler.generate(prompt, { ...greedy, maxTokens: 1000 }));
  expect(tokens).toHaveLength(10);
  expect(tokens.at(-1)!.finish).toBe("length");
});

test("leaving early frees the place for the next", async () => {
  for (let i = 0; i < 5; i++) {
    for await (const _ of sampler.generate([i], { ...greedy, maxTokens: 100 })) break;
  }
  expect(await collect(sampler.generate([1], greedy))).toHaveLength(12);
});

test("a sampler that is not frozen sees parameters change", async () => {
  const own = new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
  const live = await Sampler.open({ config, programs, parameters: own, frozen: false });
  expect(ids(await collect(live.generate([5, 6], greedy)))).toEqual(
    ids(await collect(sampler.generate([5, 6], greedy))),
  );
  const head = own.get("lm_head.weight")!;
  head.data.fill(0);
  head.data.fill(1, 11 * 16, 12 * 16);
  const norm = own.get("model.norm.weight")!;
  norm.data.fill(1);
  const [first] = await collect(live.generate([5, 6], { ...greedy, maxTokens: 1 }));
  expect(first!.logprob).not.toBeCloseTo((await collect(sampler.generate([5, 6], greedy)))[0]!.logprob, 3);
  await live.close();
});

test("closing ends who is running with an error, and later calls too", async () => {
  const short = await Sampler.open({ config, programs, parameters });
  const running = collect(short.generate([1], { ...greedy, maxTokens: 140 }));
  const ended = expect(running).rejects.toThrow("closed");
  await short.close();
  await ended;
  await expect(collect(short.generate([1], greedy))).rejects.toThrow("closed");
});

test.each([
  ["an empty prompt", [], greedy, "prompt: empty"],
  ["a token outside the vocabulary", [19], greedy, "token 19 is not in the vocabulary of 19"],
  ["a prompt beyond the model's reach", Array(150).fill(1), greedy, "150 tokens, but the model reads 150"],
  ["a negative temperature", [1], { ...greedy, temperature: -1 }, "temperature: -1"],
  ["top-p of 0", [1], { ...greedy, topP: 0 }, "topP: 0"],
  ["no tokens", [1], { ...greedy, maxTokens: 0 }, "maxTokens: 0"],
])("%s is refused", async (_, prompt, options, message) => {
  const refused = collect(sampler.generate(prompt, options));
  await expect(refused).rejects.toThrow(BadInput);
  await expect(refused).rejects.toThrow(message);
});
