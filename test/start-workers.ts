/** Starts real workers of the embedded engine as a launcher would, for tests of them: processes, ports, folders, nothing pretended. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { DeepseekConfig } from "../src/spec/deepseek-config.ts";
import type { Emulation } from "../src/spec/emulation.ts";
import { Failover, Train } from "../src/spec/run-file.ts";
import { WorkerEvent } from "../src/spec/worker-event.ts";
import { WorkerSpec } from "../src/spec/worker-spec.ts";

const root = resolve(import.meta.dirname, "..");

/** A mixture of experts with multi-token prediction, small enough that a step takes a few milliseconds. */
export const tinyModel = DeepseekConfig.parse({
  ...{ vocab_size: 260, hidden_size: 32, intermediate_size: 48, moe_intermediate_size: 24, num_hidden_layers: 2 },
  ...{ num_attention_heads: 2, q_lora_rank: 16, kv_lora_rank: 16, qk_nope_head_dim: 8, qk_rope_head_dim: 8 },
  ...{ v_head_dim: 8, n_routed_experts: 4, n_shared_experts: 1, num_experts_per_tok: 2, n_group: 2, topk_group: 1 },
  ...{ first_k_dense_replace: 1, num_nextn_predict_layers: 1, max_position_embeddings: 64 },
});
export const tinyTrain = Train.parse({
  ...{ steps: 6, globalBatch: 8, microBatch: 1, seqLength: 16, seed: 11, learningRate: 3e-3, warmupSteps: 2 },
  ...{ checkpointEvery: 3, keepCheckpoints: 2 },
});

export interface Launch {
  readonly folder: string;
  readonly workers: number;
  readonly epoch?: number;
  readonly train?: Partial<Train>;
  readonly emulate?: Partial<Emulation>;
  readonly failover?: Partial<Failover>;
  readonly resume?: WorkerSpec["resume"];
  readonly struck?: Record<string, number>;
  readonly data?: Partial<WorkerSpec["data"]["text"]>;
  readonly nodeArguments?: readonly string[];
  /** No file of the workers may grow beyond (setrlimit): what a full disk feels like to every tier at once. */
  readonly fileKibibytesMax?: number;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface Running {
  readonly processes: readonly ChildProcess[];
  readonly ended: Promise<readonly Ended[]>;
  /** All that a rank has said so far; a torn last line is left out. */
  events(rank: number): WorkerEvent[];
  output(rank: number): string;
}

export function specOf(launch: Launch): WorkerSpec {
  const { folder, epoch = 1, train, emulate, failover, resume = null, struck = {}, data } = launch;
  const text = Array.from({ length: 400 }, (_, i) => `line ${i} of a small text about ${i % 7} whales.`).join("\n");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "text.txt");
  if (!existsSync(file)) writeFileSync(file, text);
  return WorkerSpec.parse({
    ...{ v: 1, run: "e2e", epoch, pool: "pool", model: tinyModel, resume, struck },
    train: { ...tinyTrain, ...train },
    emulate: { platform: "cpu", ...emulate },
    failover: Failover.parse({ ...failover }),
    data: { text: { files: [file], tokenizer: "byte", validationShare: 0.05, ...data } },
    folders: {
      ...{ memory: join(folder, "memory"), disk: join(folder, "disk"), cache: join(folder, "cache") },
      epochFile: join(folder, "epoch"),
    },
  });
}

/** Starts all ranks of one attempt; `epoch` 1 unless told otherwise. */
export async function startWorkers(launch: Launch): Promise<Running> {
  const spec = specOf(launch);
  const { folder, workers } = launch;
  const attempt = join(folder, "attempts", String(spec.epoch));
  mkdirSync(attempt, { recursive: true });
  writeFileSync(spec.folders.epochFile, `${spec.epoch}\n`);
  const specFile = join(attempt, "worker-spec.json");
  writeFileSync(specFile, JSON.stringify(spec));
  const port = await freePort();
  const eventsOf = (rank: number): string => join(attempt, `rank-${rank}.events.jsonl`);
  const logOf = (rank: number): string => join(attempt, `rank-${rank}.log`);
  const processes = Array.from({ length: workers }, (_, rank) => {
    const log = openSync(logOf(rank), "a");
    const environment = {
      ...{ RANK: rank, LOCAL_RANK: rank, WORLD_SIZE: workers, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port },
      ...{ DUALGAUGE_EVENTS: eventsOf(rank), DUALGAUGE_WORKER_SPEC: specFile, DUALGAUGE_EPOCH: spec.epoch },
    };
    const strings = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, String(value)]));
    const main = join(root, "dist", "engine", "worker-main.js");
    const command = [process.execPath, ...(launch.nodeArguments ?? []), main];
    const limit = launch.fileKibibytesMax ?? "unlimited";
    return spawn("bash", ["-c", `ulimit -f ${limit} && exec "$@"`, "bash", ...command], {
      env: { ...process.env, ...strings },
      stdio: ["pipe", log, log],
    });
  });
  const endOf = (child: ChildProcess): Promise<Ended> =>
    new Promise((done) => child.once("exit", (code, signal) => done({ code, signal })));
  return {
    processes,
    ended: Promise.all(processes.map(endOf)),
    events: (rank) => readEvents(eventsOf(rank)),
    output: (rank) => readFileSync(logOf(rank), "utf8"),
  };
}

function readEvents(file: string): WorkerEvent[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => WorkerEvent.parse(JSON.parse(line)));
}

/** Resolves when a rank says what `wanted` accepts; rejects when its process ends before. */
export async function untilSaid(
  running: Running,
  rank: number,
  wanted: (event: WorkerEvent) => boolean,
): Promise<WorkerEvent> {
  for (;;) {
    const found = running.events(rank).find(wanted);
    if (found !== undefined) return found;
    const { exitCode, signalCode } = running.processes[rank]!;
    if (exitCode !== null || signalCode !== null) throw new Error(`rank ${rank} ended:\n${running.output(rank)}`);
    await new Promise((wake) => setTimeout(wake, 10));
  }
}

function freePort(): Promise<number> {
  return new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => done(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
