/** The model: gradients of whole blocks in float64, the four programs against each other, ONNX Runtime against the oracle. */
import { describe, expect, test } from "vitest";
import { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { random } from "../../spec/random.ts";
import { checkGradients } from "../check-gradients.ts";
import { evaluate, value } from "../evaluate.ts";
import { gradients } from "../gradients.ts";
import { sizeOf, type Value } from "../operators/operator.ts";
import type { ParameterSpec, Program } from "../program.ts";
import { type HostTensor, openSession, type Session } from "../session.ts";
import { deepseekV3 } from "./deepseek.ts";
import { buildLoss, type GradShape } from "./loss.ts";
import { newModelGraph } from "./model-graph.ts";
import { parametersOf } from "./parameters.ts";

const small = {
  vocab_size: 13,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  kv_lora_rank: 5,
  qk_nope_head_dim: 3,
  qk_rope_head_dim: 4,
  v_head_dim: 3,
} as const;
const experts = {
  moe_intermediate_size: 6,
  n_routed_experts: 8,
  n_group: 4,
  topk_group: 2,
  num_experts_per_tok: 2,
  n_shared_experts: 1,
  routed_scaling_factor: 2.5,
} as const;
const configs = {
  dense: DeepseekConfig.parse(small),
  "dense with query compression": DeepseekConfig.parse({ ...small, q_lora_rank: 6 }),
  experts: DeepseekConfig.parse({ ...small, ...experts }),
  "experts, one group, no normalisation": DeepseekConfig.parse({
    ...small,
    ...{ ...experts, n_group: 1, topk_group: 1, norm_topk_prob: false, n_shared_experts: 0 },
  }),
  "dense, experts and multi-token prediction": DeepseekConfig.parse({
    ...{ ...small, ...experts, num_hidden_layers: 2, first_k_dense_replace: 1, num_nextn_predict_layers: 1 },
  }),
};
type Name = keyof typeof configs;
const names = Object.keys(configs) as readonly Name[];

/** Parameters far from their usual start, so that no term is negligible: weights of ±0.5, norms near 1, uneven routing biases. */
function parameterValues(
  specs: readonly ParameterSpec[],
  seed: number,
): Map<string, { shape: readonly number[]; data: Float32Array }> {
  const draw = random(seed, "model.test");
  return new Map(
    specs.map(({ name, shape, init }) => {
      const center = init.kind === "ones" ? 1 : 0;
      const spread = init.kind === "normal" ? 0.5 : 0.2;
      const data = Float32Array.from({ length: sizeOf(shape) }, () => center + spread * draw.normal());
      return [name, { shape, data }];
    }),
  );
}

function randomTokens(count: number, vocabulary: number, seed: number): number[] {
  const draw = random(seed, "tokens");
  return Array.from({ length: count }, () => draw.below(vocabulary));
}
const int64 = (shape: readonly number[], values: readonly number[]): HostTensor => ({
  shape,
  data: BigInt64Array.from(values, BigInt),
});

const numbers = (tensor: HostTensor): number[] => Array.from(tensor.data, Number);

/** The largest difference as a part of the largest expected element (or of 1e-3, if that is more). */
function distance(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(got.length).toBe(expected.length);
  let [apart, scale] = [0, 1e-3];
  for (let i = 0; i < got.length; i++) {
    apart = Math.max(apart, Math.abs(got[i]! - expected[i]!));
    scale = Math.max(scale, Math.abs(expected[i]!));
  }
  return apart / scale;
}

describe("gradients of the whole loss equal central differences in float64", () => {
  const shape: GradShape = { microBatch: 2, seqLength: 4, mtpLossWeight: 0.3 };
  const variants: [string, Name, GradShape][] = [
    ...names.map((name): [string, Name, GradShape] => [name, name, shape]),
    ["experts with a capacity that drops tokens", "experts", { ...shape, expertCapacityFactor: 0.75 }],
  ];
  test.each(variants)("%s", (_, name, gradShape) => {
    const specs = parametersOf(configs[name]);
    const model = newModelGraph(configs[name], specs);
    const { loss } = buildLoss(model, gradShape);
    const trained = specs.filter((spec) => spec.update !== "routing-bias");
    const wanted = trained.map((spec) => model.parameter(spec.name));
    const inputs: Record<string, Value> = {
      tokens: value("int64", [2, 5], randomTokens(10, small.vocab_size, 3)),
    };
    for (const [key, { shape: size, data }] of parameterValues(specs, 5)) inputs[key] = value("float32", size, data);
    const check = checkGradients({
      ...{ graph: model.graph, loss, wanted, inputs, gradients: gradients(model.graph, loss, wanted) },
      ...{ elementsPerTensor: 4, random: random(7, "elements") },
    });
    expect(check.checked).toBeGreaterThan(3 * wanted.length);
    expect(check.flips).toBeLessThan(check.checked / 10);
    expect(check.worst.error, JSON.stringify(check.worst)).toBeLessThan(1e-6);
  });
});

test("a nudge that changes the routing is counted as a flip, not as an error", () => {
  const specs = parametersOf(configs.experts);
  const model = newModelGraph(configs.experts, specs);
  const { loss } = buildLoss(model, { microBatch: 1, seqLength: 3, mtpLossWeight: 0 });
  const inputs: Record<string, Value> = { tokens: value("int64", [1, 4], [1, 2, 3, 4]) };
  // A router of zeros scores every expert alike: any nudge decides.
  for (const spec of specs) {
    const draw = random(2, spec.name);
    const still = spec.name.includes(".gate.") || spec.name.endsWith("bias");
    inputs[spec.name] = value(
      "float32",
      spec.shape,
      Array.from({ length: sizeOf(spec.shape) }, () => (still ? 0 : draw.normal())),
    );
  }
  const wanted = [model.parameter("model.layers.0.mlp.gate.weight")];
  const check = checkGradients({
    ...{ graph: model.graph, loss, wanted, inputs, gradients: gradients(model.graph, loss, wanted) },
    ...{ elementsPerTensor: 64, random: random(7, "elements") },
  });
  expect(check.flips).toBeGreaterThan(32);
});

describe.each(names)("%s", (name) => {
  const config = configs[name];
  const model = deepseekV3(config);
  const values = parameterValues(model.parameters, 21);
  const held: Record<string, HostTensor> = Object.fromEntries(values);
  const open = (program: Program): Promise<Session> => openSession(program);

  test("the four programs agree", async () => {
    const [batch, length] = [3, 6];
    const tokens = randomTokens(batch * (length + 1), config.vocab_size, 8);
    const grad = await open(model.grad({ microBatch: batch, seqLength: length, mtpLossWeight: 0.3 }));
    const logprob = await open(model.logprob());
    const prefill = await open(model.prefill());
    const decode = await open(model.decode());
    const input = { ...held, tokens: int64([batch, length + 1], tokens) };
    const trained = await grad.run(input);
    const scored = await logprob.run(input);
    const meanLoss = -Array.from(scored.logprob!.data, Number).reduce((sum, x) => sum + x) / (batch * length);
    expect(Number(trained.nextTokenLoss!.data[0])).toBeCloseTo(meanLoss, 5);

    // Prompts of unequal length: rows 0, 1 and 2 end at 2, 3 and 2; the rest is padding that must not matter.
    const last = [2, 3, 2];
    const promptLength = 4;
    const row = (b: number): number[] => tokens.slice(b * (length + 1), (b + 1) * (length + 1));
    const padded = last.flatMap((end, b) => [...row(b).slice(0, end + 1), ...Array(promptLength - end - 1).fill(0)]);
    const read = await prefill.run({
      ...held,
      tokens: int64([batch, promptLength], padded),
      lastPosition: int64([batch], last),
    });
    const logitsAt = (b: number, at: number): number[] => {
      const from = (b * length + at) * config.vocab_size;
      return Array.from(scored.logits!.data.slice(from, from + config.vocab_size), Number);
    };
    const compare = (got: HostTensor, positions: readonly number[]): void => {
      positions.forEach((at, b) => {
        const mine = Array.from(got.data.slice(b * config.vocab_size, (b + 1) * config.vocab_size), Number);
        expect(distance(mine, logitsAt(b, at))).toBeLessThan(1e-4);
      });
    };
    compare(read.logits!, last);

    const capacity = 8;
    const width = config.kv_lora_rank + config.qk_rope_head_dim;
    const caches = Array.from({ length: config.num_hidden_layers }, (_, layer) => {
      const data = new Float32Array(batch * capacity * width).fill(1e3); // rows past the position must not be read
      for (let b = 0; b < batch; b++) {
        const prompt = read[`cache/${layer}`]!.data as Float32Array;
        data.set(
          prompt.subarray(b * promptLength * width, (b * promptLength + last[b]! + 1) * width),
          b * capacity * width,
        );
      }
      return { shape: [batch, capacity, width], data };
    });
    for (let step = 1; step <= 2; step++) {
      const position = last.map((end) => end + step);
      const next = await decode.run({
        ...held,
        tokens: int64(
          [batch, 1],
          position.map((at, b) => row(b)[at]!),
        ),
        position: int64([batch], position),
        ...Object.fromEntries(caches.map((cache, layer) => [`cache/${layer}`, cache])),
      });
      compare(next.logits!, position);
      caches.forEach((cache, layer) => {
        const fresh = next[`newCache/${layer}`]!.data as Float32Array;
        for (let b = 0; b < batch; b++) {
          cache.data.set(fresh.subarray(b * width, (b + 1) * width), (b * capacity + position[b]!) * width);
        }
      });
    }
    await Promise.all([grad, logprob, prefill, decode].map((session) => session.close()));
  });

  test("ONNX Runtime in float32 agrees with the oracle on loss, loads and every gradient", async () => {
    const shape = { microBatch: 2, seqLength: 5, mtpLossWeight: 0.3 };
    const tokens = randomTokens(12, config.vocab_size, 9);
    const oracle = newModelGraph(config, model.parameters);
    const { loss, loads } = buildLoss(oracle, shape);
    const trained = model.parameters.filter((spec) => spec.update !== "routing-bias");
    const grads = gradients(
      oracle.graph,
      loss,
      trained.map((spec) => oracle.parameter(spec.name)),
    );
    const inputs: Record<string, Value> = { tokens: value("int64", [2, 6], tokens) };
    for (const [key, { shape: size, data }] of values) inputs[key] = value("float32", size, data);
    const [exactLoss, ...exact] = evaluate(oracle.graph, inputs, [loss, ...loads.values(), ...grads]);
    const session = await open(model.grad(shape));
    const got = await session.run({ ...held, tokens: int64([2, 6], tokens) });
    await session.close();
    expect(Number(got.loss!.data[0])).toBeCloseTo(exactLoss!.data[0]!, 5);
    [...loads.keys()].forEach((layer, i) => {
      expect(Array.from(got[`load/${layer}`]!.data, Number)).toEqual([...exact[i]!.data]);
    });
    trained.forEach((spec, i) => {
      const gradient = numbers(got[`grad/${spec.name}`]!);
      expect(distance(gradient, exact[loads.size + i]!.data), spec.name).toBeLessThan(1e-4);
    });
  });
});

describe("static programs", () => {
  const config = configs.experts;
  const model = deepseekV3(config);
  const held = Object.fromEntries(parameterValues(model.parameters, 21));

  test("give the logits of the dynamic ones", async () => {
    const tokens = int64([2, 5], randomTokens(10, config.vocab_size, 4));
    const [fixed, dynamic] = await Promise.all([
      openSession(model.logprob({ batch: 2, length: 4 })),
      openSession(model.logprob()),
    ]);
    const [a, b] = [await fixed.run({ ...held, tokens }), await dynamic.run({ ...held, tokens })];
    expect(distance(numbers(a.logits!), numbers(b.logits!))).toBeLessThan(1e-5);
    await Promise.all([fixed.close(), dynamic.close()]);
  });

  test("have no dynamic dimension at their border", () => {
    const programs = [
      model.prefill({ batch: 2, length: 4 }),
      model.decode({ batch: 2, past: 8 }),
      model.grad({ microBatch: 2, seqLength: 4, mtpLossWeight: 0, expertCapacityFactor: 1.5 }),
    ];
    for (const { inputs, outputs } of programs) {
      for (const spec of [...inputs, ...outputs]) expect(spec.shape).not.toContain(-1);
    }
  });
});

test("several threads do not race: repeated runs give the same gradients", async () => {
  const config = configs["dense, experts and multi-token prediction"];
  const model = deepseekV3(config);
  const held = Object.fromEntries(parameterValues(model.parameters, 21));
  const program = model.grad({ microBatch: 4, seqLength: 64, mtpLossWeight: 0.3 });
  const input = { ...held, tokens: int64([4, 65], randomTokens(260, config.vocab_size, 6)) };
  const [one, two] = await Promise.all([openSession(program), openSession(program, { threads: 2 })]);
  const expected = await one.run(input);
  for (let round = 0; round < 5; round++) {
    const got = await two.run(input);
    for (const { name } of program.outputs) {
      expect(distance(numbers(got[name]!), numbers(expected[name]!)), name).toBeLessThan(1e-5);
    }
  }
  await Promise.all([one.close(), two.close()]);
});
