/** PyTorch as the other side of bench/engine.mjs: a process of its own, which waits on a pipe while the engine runs. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const python = "/usr/bin/python3";

/** Starts engine_torch.py on these weights and tokens; undefined where PyTorch is not installed. */
export async function openTorch(config, parameters, tokens, blas) {
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
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "parameters.json"), JSON.stringify(layout));
  writeFileSync(join(folder, "parameters.bin"), Buffer.concat(parts));
  writeFileSync(join(folder, "tokens.bin"), Buffer.from(tokens.data.buffer));
  const threads = { OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1", MKL_NUM_THREADS: "1" };
  const child = spawn(python, [new URL("engine_torch.py", import.meta.url).pathname, folder], {
    env: { ...process.env, ...threads, ...(blas && { LD_LIBRARY_PATH: blas }) },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error("engine_torch.py ended early");
    return JSON.parse(value);
  };
  const { version, blas: libraries } = await next();
  rmSync(folder, { recursive: true });
  const step = () => {
    child.stdin.write("step\n");
    return next();
  };
  return { version, blas: libraries, step, close: () => child.kill() };
}
