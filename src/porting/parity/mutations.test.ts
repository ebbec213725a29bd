/** Known-bad changes of the real model are found and located by module and reason; harmless ones are not called different. */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exampleConfig, publishExampleModel } from "../../../test/example-model.ts";
import { openSafetensors } from "../../checkpoint/safetensors-file.ts";
import type { Graph, Node } from "../../engine/graph.ts";
import { probeProgram } from "../../engine/model/probe.ts";
import type { Program } from "../../engine/program.ts";
import { openSession, type Session } from "../../engine/session.ts";
import { compare } from "../compare.ts";
import type { CompareReport } from "../compare-report.ts";
import { convert } from "../convert/convert.ts";
import { port } from "../port.ts";
import type { EngineSideOptions } from "./engine-side.ts";

let root: string;
/** An export in float32. */
let good: string;
let prompts: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "dualgauge-test-"));
  good = join(root, "good");
  const checkpoint = publishExampleModel(join(root, "checkpoints"));
  await port({ source: checkpoint, destination: good, format: "fp32", platform: "ascend" });
  prompts = join(root, "prompts.txt");
  writeFileSync(prompts, "Call me Ishmael. Some years ago\nThe whale is a mammal\n");
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

type Change = (values: (name: string) => Float32Array) => void;

/** A copy of the export whose float32 weights `change` altered. */
function mutate(change: Change): string {
  const folder = mkdtempSync(join(root, "mutated-"));
  mkdirSync(folder, { recursive: true });
  for (const file of ["config.json", "tokenizer.json", "tokenizer_config.json", "prefill.onnx", "decode.onnx"]) {
    copyFileSync(join(good, file), join(folder, file));
  }
  const bytes = new Uint8Array(readFileSync(join(good, "model.safetensors")));
  const { start, tensors, close } = openSafetensors(join(good, "model.safetensors"));
  close();
  change((name) => {
    const { begin, end } = tensors.get(name)!;
    return new Float32Array(bytes.buffer, start + begin, (end - begin) / 4);
  });
  writeFileSync(join(folder, "model.safetensors"), bytes);
  return folder;
}

const run = (b: string, options: EngineSideOptions = {}, a = good): Promise<CompareReport> =>
  compare({ a, b, prompts, answerTokens: 6, sides: { b: options } });

/** The same comparison without the weights, as two machines would see it that cannot see each other: only modules speak. */
const runBlind = (b: string, a = good): Promise<CompareReport> =>
  compare({ a: `onnx:${a}`, b, prompts, answerTokens: 6 });

const layer = "model.layers.1";
const hidden = 48;

/** Rows of each head's rotary part from interleaved pairs to halves. */
function toHalves(values: Float32Array, columns: number, headRows: number): void {
  const before = values.slice();
  const rope = exampleConfig.qk_rope_head_dim;
  for (let head = 0; head < values.length / columns; head += headRows) {
    const first = head + headRows - rope;
    for (let row = 0; row < rope; row++) {
      const from = first + (row % (rope / 2)) * 2 + Math.floor(row / (rope / 2));
      values.set(before.subarray(from * columns, (from + 1) * columns), (first + row) * columns);
    }
  }
}

const swapExperts: Change = (values) => {
  for (const part of ["gate_proj", "up_proj", "down_proj"]) {
    const [one, other] = [0, 2].map((expert) => values(`${layer}.mlp.experts.${expert}.${part}.weight`));
    const held = one!.slice();
    one!.set(other!);
    other!.set(held);
  }
};

/** Each block of 16 × 16 dequantised with the scale of the block after it (scales as FP8 E4M3 has them: largest / 448). */
function shiftScales(values: Float32Array, columns: number): void {
  const rows = values.length / columns;
  const scales: number[] = [];
  const at = (row: number, column: number): number =>
    Math.floor(row / 16) * Math.ceil(columns / 16) + Math.floor(column / 16);
  values.forEach((value, index) => {
    const block = at(Math.floor(index / columns), index % columns);
    scales[block] = Math.max(scales[block] ?? 0, Math.abs(value) / 448);
  });
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const block = at(row, column);
      values[row * columns + column]! *= scales[(block + 1) % scales.length]! / scales[block]!;
    }
  }
}

test.each<[string, Change, Partial<NonNullable<CompareReport["cause"]>>, string]>([
  [
    "rotary order of the key: halves for interleaved pairs",
    (values) => toHalves(values(`${layer}.self_attn.kv_a_proj_with_mqa.weight`), hidden, 24),
    { reason: "rotary convention", layer: 1, module: `${layer}.self_attn.kv_a_proj_with_mqa.weight` },
    `${layer}.self_attn.k_rope`,
  ],
  [
    "scales off by one block",
    (values) => shiftScales(values(`${layer}.self_attn.o_proj.weight`), 16),
    { reason: "scale", layer: 1, module: `${layer}.self_attn.o_proj.weight` },
    `${layer}.self_attn`,
  ],
  ["two experts swapped", swapExperts, { reason: "expert", layer: 1 }, `${layer}.mlp.experts`],
])("%s", async (_, change, cause, module) => {
  const report = await run(mutate(change));
  expect(report.verdict).toBe("different");
  expect(report.cause).toMatchObject(cause);
  expect(report.firstDivergence).toBe(module);
});

test("rotary order is told by the modules alone, from a side that shows no weights", async () => {
  const report = await runBlind(
    mutate((values) => toHalves(values(`${layer}.self_attn.kv_a_proj_with_mqa.weight`), hidden, 24)),
  );
  expect(report.weights).toBeNull();
  expect(report.cause).toMatchObject({ reason: "rotary convention", layer: 1, module: `${layer}.self_attn.k_rope` });
  expect(report.cause?.text).toContain("interleaved");
});

/** Changes the nodes that `pick` gives something for. */
function rewrite(graph: Graph, pick: (node: Node) => Node | undefined): number {
  let changed = 0;
  graph.nodes.forEach((node, index) => {
    const other = pick(node);
    if (!other) return;
    graph.nodes[index] = other;
    changed++;
  });
  return changed;
}

const isMinusInfinity = ({ value }: Node["inputs"][number]): boolean => value?.[0] === Number.NEGATIVE_INFINITY;

test("a causal mask of 0 where it should be −∞", async () => {
  let changed = 0;
  const probe = probeProgram(exampleConfig, (graph) => {
    const zero = graph.constant("float32", [], [0]);
    changed = rewrite(graph, (node) =>
      node.op === "Where" && node.inputs.some(isMinusInfinity)
        ? { ...node, inputs: node.inputs.map((input) => (isMinusInfinity(input) ? zero : input)) }
        : undefined,
    );
  });
  expect(changed).toBe(1);
  const report = await run(good, { probe });
  expect(report.verdict).toBe("different");
  expect(report.weights?.different).toEqual([]);
  // The side's own decoding, which masks rightly, gives it away; its modules say in which one it begins.
  expect(report.firstDivergence).toBe("model.layers.0.self_attn.context");
  expect(report.reasons.join("\n")).toContain("masking");
});

test("groups of experts filled with 0 where it should be −∞", async () => {
  // A masked expert can win only against negative scores.
  const negative: Change = (values) =>
    void values(`${layer}.mlp.gate.e_score_correction_bias`).set([-2, -2, -2.5, -2.5]);
  const folder = mutate(negative);
  let changed = 0;
  const probe = probeProgram(exampleConfig, (graph) => {
    const [zero, one] = [0, 1].map((value) => graph.constant("float32", [], [value]));
    // mask = −∞ outside, 0 inside, and added; becomes 0 outside, 1 inside, and multiplied with.
    const masks = new Set<number>();
    changed = rewrite(graph, (node) => {
      const [first, second] = node.inputs;
      if (node.op === "Expand" && first && isMinusInfinity(first)) {
        return { ...node, inputs: [zero!, ...node.inputs.slice(1)] };
      }
      if (node.op === "ScatterElements" && node.outputs[0]?.dtype === "float32" && second?.dtype === "int64") {
        if (
          graph.nodes.some(({ op, outputs, inputs }) => op === "Expand" && outputs[0] === first && inputs[0] === zero)
        ) {
          for (const output of node.outputs) masks.add(output.id);
          const updates = node.inputs[2]!;
          graph.nodes.forEach((other, index) => {
            if (other.outputs[0] === updates)
              graph.nodes[index] = { ...other, inputs: [one!, ...other.inputs.slice(1)] };
          });
        }
        return undefined;
      }
      if (node.op === "Reshape" && first && masks.has(first.id)) {
        for (const output of node.outputs) masks.add(output.id);
        return undefined;
      }
      return node.op === "Add" && second && masks.has(second.id) ? { ...node, op: "Mul" } : undefined;
    });
  });
  expect(changed).toBe(2);
  const report = await run(folder, { probe }, folder);
  expect(report.verdict).toBe("different");
  expect(report.cause).toMatchObject({ reason: "masking", layer: 1, module: `${layer}.mlp.gate` });
});

test("a stale KV cache: one layer's new rows never arrive", async () => {
  const open = async (program: Program, name: string): Promise<Session> => {
    const session = await openSession(program);
    if (name === "probe") return session;
    let held: Float32Array | undefined;
    return {
      ...session,
      async run(inputs) {
        const outputs = await session.run(inputs);
        const fresh = outputs["newCache/1"]!;
        const data = held ?? (fresh.data instanceof Float32Array ? fresh.data.slice() : undefined);
        held = data;
        return { ...outputs, "newCache/1": { shape: fresh.shape, data: data ?? fresh.data } };
      },
    };
  };
  const report = await run(good, { open });
  expect(report.verdict).toBe("different");
  expect(report.cause).toMatchObject({ reason: "stale cache", layer: 1, module: "decode.cache.1" });
  expect(report.cause?.text).toContain("side B");
  expect(report.firstDivergence).toBeNull();
});

test("a side that gives other bits when asked again is reported before it is blamed", async () => {
  let asked = 0;
  const open = async (program: Program, name: string): Promise<Session> => {
    const session = await openSession(program);
    if (name !== "probe") return session;
    return {
      ...session,
      async run(inputs) {
        const outputs = await session.run(inputs);
        const logits = outputs.logits?.data;
        if (asked++ % 2 === 1 && logits instanceof Float32Array) logits[0]! += 1e-3;
        return outputs;
      },
    };
  };
  const report = await run(good, { open });
  expect(report.repeatable).toEqual({ a: true, b: false });
  expect(report.cause).toMatchObject({ reason: "sampling", layer: null });
});

test("harmless: bfloat16, its ONNX graphs and other sampling defaults are within tolerance, on several models", async () => {
  for (const seed of [2, 3, 4]) {
    const checkpoint = publishExampleModel(join(root, `seed-${seed}`), { seed });
    const rounded = join(root, `rounded-${seed}`);
    await port({ source: checkpoint, destination: rounded, format: "bf16", platform: "ascend" });
    writeFileSync(join(rounded, "generation_config.json"), JSON.stringify({ do_sample: true, temperature: 1.3, seed }));
    for (const b of [rounded, `onnx:${rounded}`]) {
      const report = await compare({ a: checkpoint, b, prompts, answerTokens: 6 });
      expect([seed, b, report.reasons, report.verdict]).toEqual([seed, b, [], "within tolerance"]);
      expect(["type", "router tie"]).toContain(report.cause?.reason);
    }
  }
});

test("harmless: W8A8 weights by row are within tolerance; a row with another's scale is not", async () => {
  for (const seed of [1, 2, 3]) {
    const source = join(root, `fp32-${seed}`);
    const checkpoint = publishExampleModel(join(root, `w8a8-${seed}`), { seed });
    await port({ source: checkpoint, destination: source, format: "bf16", platform: "ascend" });
    for (const name of ["prefill.onnx", "decode.onnx", "port.json"]) rmSync(join(source, name));
    const quantised = join(root, `quantised-${seed}`);
    await convert({ source, destination: quantised, format: "w8a8-dynamic", threads: 0 });
    const report = await compare({ a: checkpoint, b: quantised, prompts, answerTokens: 6 });
    expect([seed, report.reasons, report.verdict]).toEqual([seed, [], "within tolerance"]);
    expect(report.b.format).toBe("w8a8");
    if (seed > 1) continue;
    const [file = ""] = readdirSync(quantised).filter((name) => name.endsWith(".safetensors"));
    const bytes = readFileSync(join(quantised, file));
    const { start, tensors, close } = openSafetensors(join(quantised, file));
    close();
    const scale = tensors.get(`${layer}.self_attn.o_proj.weight_scale`)!;
    bytes.copyWithin(start + scale.begin, start + scale.begin + 4, start + scale.end);
    writeFileSync(join(quantised, file), bytes);
    const shifted = await compare({ a: checkpoint, b: quantised, prompts, answerTokens: 6 });
    expect(shifted.verdict).toBe("different");
    expect(shifted.cause).toMatchObject({ reason: "scale", layer: 1, module: `${layer}.self_attn.o_proj.weight` });
  }
});
