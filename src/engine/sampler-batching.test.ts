/** Sequences that come, go and give up at random are given, bit for bit, what they are given alone. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DeepseekConfig } from "../spec/deepseek-config.ts";
import { random } from "../spec/random.ts";
import { cacheRows } from "./decode-batch.ts";
import { deepseekV3 } from "./model/deepseek.ts";
import { sizeOf } from "./operators/operator.ts";
import { type SampledToken, Sampler, type SamplingOptions } from "./sampler.ts";
import { openSession } from "./session.ts";

const config = DeepseekConfig.parse({
  ...{ vocab_size: 53, hidden_size: 24, intermediate_size: 40, num_hidden_layers: 2, num_attention_heads: 3 },
  ...{ kv_lora_rank: 12, qk_nope_head_dim: 6, qk_rope_head_dim: 6, v_head_dim: 5, max_position_embeddings: 400 },
  ...{ n_routed_experts: 6, num_experts_per_tok: 2, moe_intermediate_size: 10, first_k_dense_replace: 1 },
});
const programs = deepseekV3(config);
const draw = random(9, "sampler-batching.test");
const parameters = new Map(
  programs.parameters.map(({ name, shape, init }) => {
    const data = Float32Array.from({ length: sizeOf(shape) }, () => (init.kind === "ones" ? 1 : 0.4 * draw.normal()));
    return [name, { shape, data }];
  }),
);

let crowded: Sampler;
let alone: Sampler;
beforeAll(async () => {
  // Room for few, so that sequences wait for caches and for places.
  crowded = await Sampler.open({
    config,
    programs,
    parameters,
    batchMax: 5,
    cacheTokensMax: 1100,
    prefixTokensMax: 256,
  });
  alone = await Sampler.open({ config, programs, parameters, batchMax: 1, prefixTokensMax: 0 });
});
afterAll(() => Promise.all([crowded.close(), alone.close()]));

interface Request {
  readonly prompt: readonly number[];
  readonly options: SamplingOptions;
  /** Tokens after which its reader leaves; 0 leaves before the first. */
  readonly leaveAfter: number;
  /** Requests start when the one before has so many tokens, or has ended. */
  readonly startAfter: number;
}

const requests: fc.Arbitrary<Request[]> = fc.array(
  fc.record({
    // Few lengths and letters, so that prompts begin alike and cross pieces and capacities.
    prompt: fc
      .record({
        shared: fc.constantFrom(0, 56, 60, 64, 65, 120, 260),
        own: fc.array(fc.nat(52), { minLength: 1, maxLength: 9 }),
      })
      .map(({ shared, own }) => [...Array.from({ length: shared }, (_, i) => (i * 7) % 53), ...own]),
    options: fc.record({
      maxTokens: fc.integer({ min: 1, max: 20 }),
      temperature: fc.constantFrom(0, 0.7, 1.3),
      topP: fc.constantFrom(1, 0.8),
      topK: fc.constantFrom(53, 4),
      minP: fc.constantFrom(0, 0.05),
      frequencyPenalty: fc.constantFrom(0, 0.5),
      seed: fc.nat(1000),
      topLogprobs: fc.constantFrom(0, 2),
      scorePrompt: fc.boolean(),
    }),
    leaveAfter: fc.oneof({ weight: 3, arbitrary: fc.constant(1000) }, fc.nat(10)),
    startAfter: fc.nat(6),
  }),
  { minLength: 1, maxLength: 9 },
);

async function take(sampler: Sampler, request: Request, onToken: (count: number) => void): Promise<SampledToken[]> {
  const leave = new AbortController();
  const tokens: SampledToken[] = [];
  if (request.leaveAfter === 0) queueMicrotask(() => leave.abort());
  for await (const token of sampler.generate(request.prompt, request.options, { signal: leave.signal })) {
    tokens.push(token);
    onToken(tokens.length);
    if (tokens.length === request.leaveAfter) leave.abort();
  }
  onToken(Number.POSITIVE_INFINITY);
  return tokens;
}

async function together(all: readonly Request[]): Promise<SampledToken[][]> {
  const answers: Promise<SampledToken[]>[] = [];
  for (const request of all) {
    await new Promise<void>((resolve) => {
      if (request.startAfter === 0) resolve();
      answers.push(take(crowded, request, (count) => count >= request.startAfter && resolve()));
    });
  }
  return Promise.all(answers);
}

test("random joins, leaves and waits change no bit of any answer", async () => {
  let [left, moved] = [0, 0];
  await fc.assert(
    fc.asyncProperty(requests, async (all) => {
      const answers = await together(all);
      for (const [index, request] of all.entries()) {
        const own = await take(alone, { ...request, leaveAfter: 1000 }, () => undefined);
        const expected = own.slice(0, request.leaveAfter);
        expect(answers[index], `request ${index}`).toEqual(expected);
        if (expected.length < own.length) left++;
        const last = request.prompt.length + own.length;
        if (cacheRows(request.prompt.length) < cacheRows(last)) moved++;
      }
      expect(crowded.load).toEqual({ running: 0, waiting: 0 });
    }),
    { seed: 11, numRuns: 25 },
  );
  // Otherwise nothing of this was tried.
  expect(left).toBeGreaterThan(5);
  expect(moved).toBeGreaterThan(5);
});

test("a prompt's scores are those of reading it whole, and what was kept of another prompt changes nothing", async () => {
  const prompt = Array.from({ length: 150 }, (_, i) => (i * 5) % 53);
  const options = { maxTokens: 1, temperature: 0, topP: 1, seed: 1 };
  const collect = async (sampler: Sampler, scorePrompt: boolean): Promise<SampledToken[]> => {
    const all: SampledToken[] = [];
    for await (const token of sampler.generate(prompt, { ...options, scorePrompt })) all.push(token);
    return all;
  };
  const [scored] = await collect(alone, true);
  const scorer = await openSession(programs.logprob());
  const tokens = { shape: [1, prompt.length], data: BigInt64Array.from(prompt, BigInt) };
  const { logprob } = await scorer.run({ ...Object.fromEntries(parameters), tokens });
  await scorer.close();
  expect(scored?.prompt).toHaveLength(prompt.length - 1);
  scored?.prompt?.forEach((reading, i) => {
    expect(reading.token).toBe(prompt[i + 1]);
    expect(Math.abs(reading.logprob - Number(logprob!.data[i]))).toBeLessThan(1e-4);
  });
  const [first, again] = [await collect(crowded, false), await collect(crowded, false)];
  expect(again).toEqual(first);
  expect(await collect(alone, false)).toEqual(first);
});

test("one sequence whose logits are not finite ends alone", async () => {
  const broken = new Map([...parameters].map(([name, { shape, data }]) => [name, { shape, data: data.slice() }]));
  broken.get("model.embed_tokens.weight")!.data.fill(Number.NaN, 50 * 24, 51 * 24);
  const sampler = await Sampler.open({ config, programs, parameters: broken });
  const options = { maxTokens: 30, temperature: 0, topP: 1, seed: 1, logitBias: new Map([[50, -1e9]]) };
  const collect = async (prompt: readonly number[]): Promise<number[]> => {
    const ids: number[] = [];
    for await (const { token } of sampler.generate(prompt, options)) ids.push(token);
    return ids;
  };
  const well = await collect([1, 2, 3]);
  const [beside, sick] = await Promise.allSettled([collect([1, 2, 3]), collect([1, 50, 3])]);
  expect(sick).toMatchObject({ status: "rejected", reason: { message: expect.stringContaining("logit") } });
  expect(beside).toEqual({ status: "fulfilled", value: well });
  await sampler.close();
});
