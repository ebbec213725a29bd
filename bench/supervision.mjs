/**
 * Measures what supervision costs: processor time of the supervisor and the agent beside a run, as a share of the run's steps.
 * Knows: the supervisor, and workers that speak the protocol and compute nothing (so every second used is supervision's own).
 * Does not know: the command line's rendering, which is not counted. Prints one JSON document.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { localLauncher } from "../dist/launcher/local.js";
import { readRunFile } from "../dist/store/read-run-file.js";
import { superviseRun } from "../dist/supervisor/run.js";

const worker = join(import.meta.dirname, "..", "test", "fake-worker.mjs");
const root = mkdtempSync(join(tmpdir(), "dualgauge-bench-"));
const results = [];
try {
  for (const [workers, stepMilliseconds] of [
    [2, 250],
    [2, 1000],
    [4, 250],
  ]) {
    results.push(await measure({ workers, stepMilliseconds, steps: Math.ceil(12_000 / stepMilliseconds) }));
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
process.stdout.write(
  `${JSON.stringify({ cpu: cpus()[0]?.model, cores: cpus().length, load: loadavg()[0], results }, null, 2)}\n`,
);

async function measure({ workers, stepMilliseconds, steps }) {
  const name = `w${workers}-s${stepMilliseconds}`;
  const pace = join(root, `${name}.pace`);
  writeFileSync(pace, String(stepMilliseconds));
  process.env.FAKE_PACE_FILE = pace;
  const runFile = join(root, `${name}.yaml`);
  writeFileSync(runFile, stringify(run(name, workers, steps)));
  const marks = [];
  let agent;
  const state = await superviseRun({
    run: readRunFile(runFile),
    dir: join(root, name),
    signal: new AbortController().signal,
    launcher: ({ attempts, epoch }, clock) =>
      localLauncher({ folder: attempts, epochFile: epoch, clock, workerCommand: () => [process.execPath, worker] }),
    onEvent(event) {
      if (event.type === "launched") agent = event.data.agent?.pid;
      // From the second step to the last but one: neither start nor end.
      if (event.type === "progress" && (event.data.step === 2 || event.data.step === steps - 1)) {
        marks.push({
          step: event.data.step,
          cpu: cpuSeconds(process.pid),
          agent: cpuSeconds(agent),
          at: performance.now(),
        });
      }
    },
  });
  const [first, last] = marks;
  if (state.phase !== "finished" || last === undefined) throw new Error(`${name} did not finish: ${state.phase}`);
  const counted = last.step - first.step;
  const supervisorSeconds = (last.cpu - first.cpu) / counted;
  const agentSeconds = (last.agent - first.agent) / counted;
  const stepSeconds = (last.at - first.at) / 1000 / counted;
  const share = (supervisorSeconds + agentSeconds) / stepSeconds;
  return { workers, steps: counted, stepSeconds, supervisorSeconds, agentSeconds, shareOfOneCore: share };
}

/** User and system time of a process, from /proc in ticks of 10 ms. */
function cpuSeconds(pid) {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function run(name, workers, steps) {
  return {
    name,
    model: {
      ...{ vocab_size: 260, hidden_size: 64, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 64 },
      ...{ kv_lora_rank: 16, qk_nope_head_dim: 16, qk_rope_head_dim: 8, v_head_dim: 16 },
    },
    data: { text: { files: ["text.txt"] } },
    train: { steps, globalBatch: 8, seqLength: 16, learningRate: 0.001, checkpointEvery: 1000 },
    pools: [{ name: "cpu", workers, emulate: { platform: "cpu" } }],
  };
}
