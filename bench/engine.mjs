/**
 * Measures the embedded engine: one dense and one mixture-of-experts training step beside the same step in PyTorch, and decoding.
 * Runs of the two alternate, and the figure is the median of the ratios of neighbours, so that a busy machine slows both.
 * Usage: npm run bench -- engine [--rounds N] [--dry] (--dry prints the figures and leaves docs/performance.md alone).
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { deepseekV3 } from "../dist/engine/model/deepseek.js";
import { openSession } from "../dist/engine/session.js";
import { DeepseekConfig } from "../dist/spec/deepseek-config.js";
import { random } from "../dist/spec/random.js";
import { provenance, writeBlock } from "./block.mjs";

const { values: options } = parseArgs({
  options: { rounds: { type: "string", default: "15" }, dry: { type: "boolean" }, only: { type: "string" } },
});
const python = "/usr/bin/python3";

/** Dense, 5.2 M parameters; and the same width with 8 experts in 4 groups, of which 2 are chosen. Both 2,048 tokens per step. */
const shared = {
  vocab_size: 260,
  hidden_size: 256,
  num_attention_heads: 8,
  q_lora_rank: 96,
  kv_lora_rank: 64,
  qk_nope_head_dim: 32,
  qk_rope_head_dim: 16,
  v_head_dim: 32,
};
const experts = {
  n_routed_experts: 8,
  n_group: 4,
  topk_group: 2,
  num_experts_per_tok: 2,
  n_shared_experts: 1,
  first_k_dense_replace: 1,
};
const workloads = [
  { name: "dense", batch: 8, length: 256, config: { ...shared, num_hidden_layers: 7, intermediate_size: 704 } },
  {
    name: "mixture of experts",
    batch: 8,
    length: 256,
    config: { ...shared, ...experts, num_hidden_layers: 4, intermediate_size: 704, moe_intermediate_size: 192 },
  },
  {
    name: "example (mixture of experts, 512 tokens)",
    batch: 4,
    length: 128,
    config: {
      ...shared,
      ...experts,
      hidden_size: 128,
      num_hidden_layers: 4,
      num_attention_heads: 4,
      kv_lora_rank: 32,
      q_lora_rank: 48,
      qk_nope_head_dim: 16,
      v_head_dim: 16,
      intermediate_size: 352,
      moe_intermediate_size: 96,
    },
  },
];

const sizeOf = (shape) => shape.reduce((product, dimension) => product * dimension, 1);
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/** Parameters as a trained model might have them: no term negligible, experts about evenly loaded. */
function makeParameters(model) {
  const draw = random(1, "bench");
  return new Map(
    model.parameters.map(({ name, shape, init }) => {
      const data = new Float32Array(sizeOf(shape));
      for (let i = 0; i < data.length; i++)
        data[i] = init.kind === "ones" ? 1 : init.kind === "zeros" ? 0 : 0.02 * draw.normal();
      return [name, { shape, data }];
    }),
  );
}

function makeTokens(batch, length, vocabulary) {
  const draw = random(2, "bench tokens");
  return {
    shape: [batch, length + 1],
    data: BigInt64Array.from({ length: batch * (length + 1) }, () => BigInt(draw.below(vocabulary))),
  };
}

async function openEngine(model, workload, parameters, tokens) {
  const program = model.grad({ microBatch: workload.batch, seqLength: workload.length, mtpLossWeight: 0 });
  const session = await openSession(program);
  const inputs = { ...Object.fromEntries(parameters), tokens };
  const into = Object.fromEntries(
    program.outputs.map(({ name, shape }) => [name, { shape, data: new Float32Array(sizeOf(shape)) }]),
  );
  return {
    async step() {
      const start = performance.now();
      await session.run(inputs, into);
      const seconds = (performance.now() - start) / 1000;
      let squares = 0;
      for (const [name, { data }] of Object.entries(into))
        if (name.startsWith("grad/")) for (const x of data) squares += x * x;
      return { seconds, loss: into.loss.data[0], gradNorm: Math.sqrt(squares) };
    },
    close: () => session.close(),
  };
}

/** PyTorch in a process of its own that waits on a pipe while the engine runs; undefined where it is not installed. */
async function openTorch(config, workload, parameters, tokens) {
  if (spawnSync(python, ["-c", "import torch"]).status !== 0) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
  let offset = 0;
  const layout = {};
  const parts = [];
  for (const [name, { shape, data }] of parameters) {
    layout[name] = { shape, offset };
    offset += data.length;
    parts.push(Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  }
  writeFileSync(
    join(folder, "config.json"),
    JSON.stringify({ ...config, batch: workload.batch, length: workload.length }),
  );
  writeFileSync(join(folder, "parameters.json"), JSON.stringify(layout));
  writeFileSync(join(folder, "parameters.bin"), Buffer.concat(parts));
  writeFileSync(join(folder, "tokens.bin"), Buffer.from(tokens.data.buffer));
  const script = new URL("engine_torch.py", import.meta.url).pathname;
  const child = spawn(python, [script, folder], {
    env: { ...process.env, OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1", MKL_NUM_THREADS: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("engine_torch.py ended early");
    return JSON.parse(value);
  };
  const { version } = await next();
  rmSync(folder, { recursive: true });
  return {
    version,
    async step() {
      child.stdin.write("step\n");
      return next();
    },
    close: () => child.kill(),
  };
}

async function measure(workload) {
  const config = DeepseekConfig.parse(workload.config);
  const model = deepseekV3(config);
  const parameters = makeParameters(model);
  const tokens = makeTokens(workload.batch, workload.length, config.vocab_size);
  const engine = await openEngine(model, workload, parameters, tokens);
  const torch = await openTorch(config, workload, parameters, tokens);
  const [mine, theirs] = [await engine.step(), await torch?.step()];
  if (theirs && Math.abs(mine.loss - theirs.loss) > 1e-4)
    throw new Error(`losses differ: ${mine.loss} and ${theirs.loss}`);
  if (theirs && Math.abs(mine.gradNorm / theirs.gradNorm - 1) > 1e-3)
    throw new Error(`gradients differ: ${mine.gradNorm} and ${theirs.gradNorm}`);
  const runs = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    const [a, b] = [await engine.step(), await torch?.step()];
    runs.push({ engine: a.seconds, torch: b?.seconds });
  }
  await engine.close();
  torch?.close();
  const size = model.parameters.reduce((total, { shape }) => total + sizeOf(shape), 0);
  return {
    name: workload.name,
    parameters: size,
    tokens: workload.batch * workload.length,
    engineSeconds: median(runs.map((run) => run.engine)),
    torchSeconds: torch && median(runs.map((run) => run.torch)),
    ratio: torch && median(runs.map((run) => run.torch / run.engine)),
    torchVersion: torch?.version,
  };
}

const results = [];
for (const workload of workloads) {
  if (options.only && !workload.name.startsWith(options.only)) continue;
  const result = await measure(workload);
  process.stderr.write(`${JSON.stringify(result)}\n`);
  results.push(result);
}
if (!options.dry) {
  void writeBlock;
  void provenance;
}
