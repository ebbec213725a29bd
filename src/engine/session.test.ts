/** Sessions: memory is shared and not copied, the cache changes no bit, constants equal inputs. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { DeepseekConfig } from "../spec/deepseek-config.ts";
import { random } from "../spec/random.ts";
import { deepseekV3 } from "./model/deepseek.ts";
import { sizeOf } from "./operators/operator.ts";
import { type HostTensor, openSession } from "./session.ts";

const config = DeepseekConfig.parse({
  ...{ vocab_size: 17, hidden_size: 16, intermediate_size: 24, num_hidden_layers: 1, num_attention_heads: 2 },
  ...{ kv_lora_rank: 6, qk_nope_head_dim: 4, qk_rope_head_dim: 4, v_head_dim: 4 },
  ...{ n_routed_experts: 4, num_experts_per_tok: 2, moe_intermediate_size: 8 },
});
const model = deepseekV3(config);
const program = model.grad({ microBatch: 2, seqLength: 8, mtpLossWeight: 0 });
const tokens: HostTensor = { shape: [2, 9], data: BigInt64Array.from({ length: 18 }, (_, i) => BigInt((i * 7) % 17)) };

/** All parameters and gradients in one WebAssembly memory, as a trainer keeps them. */
function wasmMemory(): { parameters: Record<string, HostTensor>; outputs: Record<string, HostTensor> } {
  const memory = new WebAssembly.Memory({ initial: 8 });
  let offset = 64;
  const view = (shape: readonly number[]): { shape: readonly number[]; data: Float32Array } => {
    const data = new Float32Array(memory.buffer, offset, sizeOf(shape));
    offset += data.byteLength + (64 - (data.byteLength % 64));
    return { shape, data };
  };
  const draw = random(3, "session.test");
  const parameters = Object.fromEntries(
    model.parameters.map(({ name, shape, init }) => {
      const held = view(shape);
      for (let i = 0; i < held.data.length; i++) held.data[i] = init.kind === "ones" ? 1 : 0.3 * draw.normal();
      return [name, held];
    }),
  );
  return { parameters, outputs: Object.fromEntries(program.outputs.map(({ name, shape }) => [name, view(shape)])) };
}
const bits = (outputs: Readonly<Record<string, HostTensor>>): string =>
  program.outputs.map(({ name }) => Buffer.from(outputs[name]!.data.slice().buffer).toString("hex")).join();

const folders: string[] = [];
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "dualgauge-session-"));
  folders.push(made);
  return made;
}
afterEach(() => {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
});

test("reads views of WebAssembly memory at each run and writes results into them", async () => {
  const session = await openSession(program);
  const { parameters, outputs } = wasmMemory();
  const allocated = await session.run({ ...parameters, tokens });
  const returned = await session.run({ ...parameters, tokens }, outputs);
  expect(returned.loss).toBe(outputs.loss);
  expect(bits(outputs)).toBe(bits(allocated));
  const before = outputs.loss!.data[0];
  (parameters["lm_head.weight"]!.data as Float32Array).fill(0);
  await session.run({ ...parameters, tokens }, outputs);
  expect(outputs.loss!.data[0]).not.toBe(before);
  expect(Number(outputs.loss!.data[0])).toBeCloseTo(Math.log(17), 5);
  await session.close();
});

test("an input that is missing is named", async () => {
  const session = await openSession(program);
  await expect(session.run({ tokens })).rejects.toThrow("input lm_head.weight was not given");
  await session.close();
});

describe("the cache of optimised graphs", () => {
  const run = async (cacheDirectory?: string): Promise<string> => {
    const session = await openSession(program, cacheDirectory === undefined ? {} : { cacheDirectory });
    const { parameters } = wasmMemory();
    const found = bits(await session.run({ ...parameters, tokens }));
    await session.close();
    return found;
  };

  test("changes no bit, and leaves one file", async () => {
    const cache = join(folder(), "not", "there", "yet");
    const plain = await run();
    expect(await run(cache)).toBe(plain);
    expect(readdirSync(cache)).toHaveLength(1);
    expect(await run(cache)).toBe(plain);
    expect(readdirSync(cache)).toHaveLength(1);
  });

  test("is made again where it is damaged", async () => {
    const cache = folder();
    const plain = await run(cache);
    const [file] = readdirSync(cache);
    writeFileSync(join(cache, file!), "not an ONNX model");
    expect(await run(cache)).toBe(plain);
    expect(await run(cache)).toBe(plain);
  });
});

test("parameters held as constants give what parameters given as inputs give", async () => {
  const { parameters } = wasmMemory();
  const constants = new Map(
    Object.entries(parameters).map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
  );
  const logprob = model.logprob();
  const [frozen, live] = await Promise.all([openSession(logprob, { constants }), openSession(logprob)]);
  const [a, b] = [await frozen.run({ tokens }), await live.run({ ...parameters, tokens })];
  a.logits!.data.forEach((x, i) => {
    expect(Math.abs(Number(x) - Number(b.logits!.data[i]))).toBeLessThan(1e-5);
  });
  await Promise.all([frozen.close(), live.close()]);
  const wrong = new Map([["no.such.weight", { shape: [1], data: new Float32Array(1) }]]);
  await expect(openSession(logprob, { constants: wrong })).rejects.toThrow("no input no.such.weight");
});
