/** Holds the WebAssembly kernels against plain JavaScript, bit by bit, and the committed bytes against their source. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import wabtFactory from "wabt";
import { random } from "../spec/random.ts";
import { type AdamWStep, loadKernels } from "./kernels.ts";
import { kernelsBase64 } from "./kernels-wasm.ts";

const f = Math.fround;
const count = 1024;

function setUp(seed: number) {
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4 });
  const draw = random(seed, "kernels");
  const view = (index: number): Float32Array => new Float32Array(memory.buffer, index * count * 4, count);
  const [p, m, v, g] = [view(0), view(1), view(2), view(3)];
  for (let i = 0; i < count; i++) {
    p[i] = draw.normal();
    m[i] = draw.normal() * 0.1;
    v[i] = draw.normal() ** 2 * 0.01;
    g[i] = draw.normal() * 10 ** (draw.below(20) - 15);
  }
  return { kernels: loadKernels(memory), p, m, v, g };
}

function adamwReference(at: Record<"p" | "m" | "v" | "g", Float32Array>, step: AdamWStep): void {
  const { beta1, beta2 } = step;
  const correction1 = f(1 / (1 - beta1 ** step.step));
  const correction2 = f(1 / (1 - beta2 ** step.step));
  const keep = f(1 - step.learningRate * step.weightDecay);
  for (let i = 0; i < count; i++) {
    const g = f(at.g[i]! * f(step.gradientScale));
    const m = f(f(at.m[i]! * f(beta1)) + f(g * f(1 - beta1)));
    const v = f(f(at.v[i]! * f(beta2)) + f(f(g * f(1 - beta2)) * g));
    at.m[i] = m;
    at.v[i] = v;
    const update = f(f(m * correction1) / f(f(Math.sqrt(f(v * correction2))) + f(step.epsilon)));
    at.p[i] = f(f(at.p[i]! * keep) - f(f(step.learningRate) * update));
  }
}

test("AdamW equals a plain float32 loop to the bit, over several steps", () => {
  const { kernels, ...at } = setUp(1);
  const reference = { p: at.p.slice(), m: at.m.slice(), v: at.v.slice(), g: at.g.slice() };
  const before = at.p.slice();
  for (let step = 1; step <= 5; step++) {
    const told = {
      ...{ gradientScale: 0.37 / step, learningRate: 3e-3, weightDecay: 0.1 },
      ...{ beta1: 0.9, beta2: 0.95, epsilon: 1e-8, step },
    };
    kernels.adamw({ parameters: 0, m: count * 4, v: count * 8, gradient: count * 12, count }, told);
    adamwReference(reference, told);
  }
  expect(at.p).toEqual(reference.p);
  expect(at.m).toEqual(reference.m);
  expect(at.v).toEqual(reference.v);
  expect(at.p).not.toEqual(before);
});

test("addition equals float32 addition, and touches no more than it is told", () => {
  const { kernels, p, m } = setUp(2);
  const expected = p.map((value, i) => (i < 512 ? f(value + m[i]!) : value));
  kernels.add(0, count * 4, 512);
  expect(p).toEqual(expected);
});

test("the squared norm is summed in float64 in the stated order", () => {
  const { kernels, g } = setUp(3);
  const lanes = [0, 0, 0, 0];
  g.forEach((value, i) => {
    lanes[i % 4]! += value * value;
  });
  expect(kernels.squaredNorm(count * 12, count)).toBe(lanes[0]! + lanes[1]! + (lanes[2]! + lanes[3]!));
});

test.each([
  [Number.NaN, false],
  [Number.POSITIVE_INFINITY, false],
  [3.4028234663852886e38, true],
])("the squared norm tells whether %s is finite, at every lane", (value, finite) => {
  for (const place of [0, 1, 2, 3, count - 1]) {
    const { kernels, g } = setUp(4);
    g[place] = value;
    expect(Number.isFinite(kernels.squaredNorm(count * 12, count))).toBe(finite);
  }
});

test("the committed bytes are what kernels.wat assembles to", async () => {
  const wabt = await wabtFactory();
  const source = readFileSync(new URL("kernels.wat", import.meta.url), "utf8");
  const bytes = wabt.parseWat("kernels.wat", source, { simd: true }).toBinary({}).buffer;
  expect(Buffer.from(bytes).toString("base64"), "run: node scripts/assemble-kernels.mjs").toBe(kernelsBase64);
});
