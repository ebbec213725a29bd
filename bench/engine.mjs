/**
 * Measures the embedded engine: training steps beside the same steps in PyTorch, start-up, and decoding; writes docs/performance.md.
 *
 * Usage: npm run bench -- engine [--rounds N] [--dry] [--blas FOLDER]
 *   --dry   prints the figures and leaves the document alone
 *   --blas  folder with a libblas.so.3 for PyTorch, where Debian's default (the reference library, some 15 times slower than
 *           OpenBLAS) is installed: apt-get download libopenblas0-pthread && dpkg-deb -x …
 *
 * Runs of the two alternate. A step computes on one thread on both sides, so its processor time is what a free machine would
 * need; the ratio is the median over neighbouring pairs, of processor time and of wall time.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { deepseekV3 } from "../dist/engine/model/deepseek.js";
import { Sampler } from "../dist/engine/sampler.js";
import { openSession } from "../dist/engine/session.js";
import { DeepseekConfig } from "../dist/spec/deepseek-config.js";
import { random } from "../dist/spec/random.js";
import { provenance, writeBlock } from "./block.mjs";
import { openTorch } from "./engine-torch.mjs";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    dry: { type: "boolean" },
    only: { type: "string" },
    blas: { type: "string" },
  },
});
if (options.blas && !existsSync(`${options.blas}/libblas.so.3`)) {
  process.stderr.write(`bench: --blas: ${options.blas} holds no libblas.so.3; give the folder that does\n`);
  process.exit(2);
}

const shared = {
  vocab_size: 260,
  hidden_size: 256,
  num_attention_heads: 8,
  q_lora_rank: 96,
  kv_lora_rank: 64,
  qk_nope_head_dim: 32,
  qk_rope_head_dim: 16,
  v_head_dim: 32,
  intermediate_size: 704,
};
const experts = {
  n_routed_experts: 8,
  n_group: 4,
  topk_group: 2,
  num_experts_per_tok: 2,
  n_shared_experts: 1,
  first_k_dense_replace: 1,
  moe_intermediate_size: 192,
};
const small = {
  ...{ hidden_size: 128, num_attention_heads: 4, kv_lora_rank: 32, q_lora_rank: 48 },
  ...{ qk_nope_head_dim: 16, v_head_dim: 16, intermediate_size: 352, moe_intermediate_size: 96 },
};
const workloads = [
  { name: "dense", batch: 8, length: 256, config: { ...shared, num_hidden_layers: 7 } },
  { name: "mixture of experts", batch: 8, length: 256, config: { ...shared, ...experts, num_hidden_layers: 4 } },
  {
    name: "mixture of experts, small",
    ...{ batch: 4, length: 128, config: { ...shared, ...experts, ...small, num_hidden_layers: 4 } },
  },
];

const sizeOf = (shape) => shape.reduce((product, dimension) => product * dimension, 1);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

function makeParameters(model) {
  const draw = random(1, "bench");
  return new Map(
    model.parameters.map(({ name, shape, init }) => {
      const start = init.kind === "ones" ? 1 : 0;
      const std = init.kind === "normal" ? init.std : 0;
      return [name, { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => start + std * draw.normal()) }];
    }),
  );
}

function makeTokens(batch, length, vocabulary) {
  const draw = random(2, "bench tokens");
  const data = BigInt64Array.from({ length: batch * (length + 1) }, () => BigInt(draw.below(vocabulary)));
  return { shape: [batch, length + 1], data };
}

async function openEngine(model, workload, parameters, tokens) {
  const start = cpuSeconds();
  const program = model.grad({ microBatch: workload.batch, seqLength: workload.length, mtpLossWeight: 0 });
  const built = cpuSeconds();
  const session = await openSession(program);
  const opened = cpuSeconds();
  const cacheDirectory = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
  await (await openSession(program, { cacheDirectory })).close();
  const cached = cpuSeconds();
  await (await openSession(program, { cacheDirectory })).close();
  const opening = { build: built - start, open: opened - built, openCached: cpuSeconds() - cached };
  rmSync(cacheDirectory, { recursive: true });
  const inputs = { ...Object.fromEntries(parameters), tokens };
  const into = Object.fromEntries(
    program.outputs.map(({ name, shape }) => [name, { shape, data: new Float32Array(sizeOf(shape)) }]),
  );
  const gradients = Object.entries(into).filter(([name]) => name.startsWith("grad/"));
  const step = async () => {
    const [start, cpu] = [performance.now(), cpuSeconds()];
    await session.run(inputs, into);
    const used = { seconds: (performance.now() - start) / 1000, cpuSeconds: cpuSeconds() - cpu };
    let squares = 0;
    for (const [, { data }] of gradients) for (const x of data) squares += x * x;
    return { ...used, loss: into.loss.data[0], gradNorm: Math.sqrt(squares) };
  };
  return { opening, step, close: () => session.close() };
}

/** One workload on both sides; throws where loss or gradient norm differ, because then the steps are not the same. */
async function measureStep(workload) {
  const config = DeepseekConfig.parse(workload.config);
  const model = deepseekV3(config);
  const parameters = makeParameters(model);
  const tokens = makeTokens(workload.batch, workload.length, config.vocab_size);
  const engine = await openEngine(model, workload, parameters, tokens);
  const torch = await openTorch(
    { ...config, batch: workload.batch, length: workload.length },
    parameters,
    tokens,
    options.blas,
  );
  const [mine, theirs] = [await engine.step(), await torch?.step()];
  for (const [what, tolerance] of [
    ["loss", 1e-5],
    ["gradNorm", 1e-3],
  ]) {
    const apart = theirs ? Math.abs(mine[what] / theirs[what] - 1) : 0;
    if (!(apart <= tolerance))
      throw new Error(`${workload.name}: ${what} ${mine[what]} here, ${theirs[what]} in PyTorch`);
  }
  // The first steps grow both sides' memory.
  for (let round = 0; round < 2; round++) await Promise.all([engine.step(), torch?.step()]);
  const runs = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    runs.push({ engine: await engine.step(), torch: await torch?.step() });
  }
  await engine.close();
  torch?.close();
  const ratios = (of) => torch && runs.map((run) => run.torch[of] / run.engine[of]).sort((a, b) => a - b);
  const result = {
    name: workload.name,
    parameters: model.parameters.reduce((total, { shape }) => total + sizeOf(shape), 0),
    tokens: workload.batch * workload.length,
    opening: engine.opening,
    engineCpuSeconds: median(runs.map((run) => run.engine.cpuSeconds)),
    torchCpuSeconds: torch && median(runs.map((run) => run.torch.cpuSeconds)),
    cpuRatios: ratios("cpuSeconds"),
    wallRatios: ratios("seconds"),
    torch: torch && { version: torch.version, blas: torch.blas },
  };
  process.stderr.write(`${JSON.stringify(result)}\n`);
  return result;
}

/** Tokens per second of decoding `batch` sequences together, prompts not counted. */
async function measureDecode(workload, batch, frozen) {
  const config = DeepseekConfig.parse(workload.config);
  const programs = deepseekV3(config);
  const sampler = await Sampler.open({
    config,
    programs,
    parameters: makeParameters(programs),
    batchMax: batch,
    frozen,
  });
  const sampling = { maxTokens: batch === 1 ? 200 : 100, temperature: 1, topP: 1, seed: 1 };
  const run = async (stream) => {
    let [count, from, cpu] = [0, 0, 0];
    for await (const _ of sampler.generate([1, 2, 3, 4, 5, 6, 7, 8], sampling, { stream })) {
      if (count++ === 0) [from, cpu] = [performance.now(), cpuSeconds()];
    }
    return { tokens: count - 1, seconds: (performance.now() - from) / 1000, cpuSeconds: cpuSeconds() - cpu };
  };
  await run("warm-up");
  const runs = await Promise.all(Array.from({ length: batch }, (_, i) => run(`${i}`)));
  await sampler.close();
  const tokens = runs.reduce((total, one) => total + one.tokens, 0);
  const longest = (of) => Math.max(...runs.map((one) => one[of]));
  const result = {
    ...{ name: workload.name, batch, frozen },
    tokensPerCpuSecond: tokens / longest("cpuSeconds"),
    tokensPerSecond: tokens / longest("seconds"),
  };
  process.stderr.write(`${JSON.stringify(result)}\n`);
  return result;
}

function report(steps, decodes) {
  const spread = (list) =>
    list ? `${median(list).toFixed(2)} (${list[0].toFixed(2)}–${list.at(-1).toFixed(2)})` : "not measured";
  const milliseconds = (seconds) => (seconds === undefined ? "–" : (seconds * 1000).toFixed(0));
  const torch = steps.find((step) => step.torch)?.torch;
  const reference = torch && !torch.blas.some((name) => /openblas|mkl/.test(name));
  const lines = [
    `Machine: ${provenance()}. ONNX Runtime 1.30.0, one thread${torch ? `; PyTorch ${torch.version} on ${torch.blas.join(", ")}, one thread` : "; PyTorch is not installed here"}.`,
    ...(reference ? ["**PyTorch ran on the reference BLAS here: the ratios say nothing; give --blas.**"] : []),
    "",
    "| training step (forward and backward, no optimizer) | parameters | tokens | engine, ms of processor | PyTorch, ms of processor | speed against PyTorch, processor time (all rounds) | same, wall time | building the graph, opening it, opening it from the cache: ms of processor |",
    "|---|--:|--:|--:|--:|--:|--:|--:|",
    ...steps.map(
      (step) =>
        `| ${step.name} | ${(step.parameters / 1e6).toFixed(1)} M | ${step.tokens} | ${milliseconds(step.engineCpuSeconds)} | ${milliseconds(step.torchCpuSeconds)} | ${spread(step.cpuRatios)} | ${spread(step.wallRatios)} | ${Object.values(step.opening).map(milliseconds).join(", ")} |`,
    ),
    "",
    "Both sides give the same loss (to 1e-5) and gradient norm (to 1e-3) on the same weights and tokens before timing begins. PyTorch's model is written plainly (bench/engine_torch.py: a loop over experts, as in DeepSeek's own code), without `torch.compile`, which this version lacks. A mixture of experts here computes as many slots per expert as the fullest needs; the weights are untrained, so routing is less even than in a trained model.",
    "",
    "| decoding | batch | parameters held as | tokens per second of processor | tokens per second, wall |",
    "|---|--:|---|--:|--:|",
    ...decodes.map(
      (one) =>
        `| ${one.name} | ${one.batch} | ${one.frozen ? "constants" : "inputs"} | ${one.tokensPerCpuSecond.toFixed(0)} | ${one.tokensPerSecond.toFixed(0)} |`,
    ),
  ];
  return lines.join("\n");
}

const chosen = workloads.filter(({ name }) => !options.only || name === options.only);
const steps = [];
for (const workload of chosen) steps.push(await measureStep(workload));
const decodes = [];
for (const workload of chosen) {
  for (const batch of [1, 64])
    for (const frozen of [true, false]) decodes.push(await measureDecode(workload, batch, frozen));
}
const text = report(steps, decodes);
if (options.dry) process.stdout.write(`${text}\n`);
else {
  const file = new URL("../docs/performance.md", import.meta.url).pathname;
  writeBlock(file, "npm run bench -- engine", `## Embedded engine\n\n${text}`);
  process.stderr.write(`written to ${file}\n`);
}
