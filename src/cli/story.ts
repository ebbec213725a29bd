/**
 * What follows training in `dualgauge run`: export to the other gauge, comparison there, one answer over HTTP.
 * Knows: how porting and serving are put together for one run. Does not know: training, options, what is printed.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as z from "zod";
import type { RunState } from "../journal/state.ts";
import { compare } from "../porting/compare.ts";
import type { CompareReport } from "../porting/compare-report.ts";
import { port } from "../porting/port.ts";
import { createApp } from "../serving/app.ts";
import { openEmbedded } from "../serving/embedded.ts";
import { listen } from "../serving/listen.ts";
import { BadInput } from "../spec/bad-input.ts";
import { type PoolSpec, poolOrder } from "../spec/run-file.ts";
import { runFolders } from "../store/run-directory.ts";
import type { LoadedRun } from "./load-run.ts";

/** The pool on whose gauge the export must answer: the one that was named, else the first of another platform. */
export function targetPool({ file }: LoadedRun, finishedOn: string | undefined): PoolSpec {
  const order = poolOrder(file);
  const named = file.pools.find(({ name }) => name === file.port.pool);
  const finished = file.pools.find(({ name }) => name === finishedOn);
  const other = order.find((pool) => pool.emulate.platform !== finished?.emulate.platform);
  const pool = named ?? other ?? order[0];
  if (pool === undefined) throw new BadInput("pools: none is listed; add one");
  const { precision } = pool.emulate;
  if (precision !== undefined && !precision.includes(file.port.precision)) {
    throw new BadInput(
      `port.precision: pool ${pool.name} computes in ${precision.join(", ")}, not in ${file.port.precision}; choose one of them`,
    );
  }
  return pool;
}

const Exported = z.object({
  source: z.object({ weightsSha256: z.string() }),
  format: z.string(),
  platform: z.string(),
});

export interface Export {
  readonly path: string;
  /** False when an earlier command had exported the same weights already. */
  readonly isNew: boolean;
  readonly bytes: number;
  readonly operators: number;
}

/** Exports the finished run's weights into its `export/`, unless exactly that lies there. */
export async function exportRun(run: LoadedRun, dir: string, state: RunState, signal: AbortSignal): Promise<Export> {
  const pool = targetPool(run, state.pool);
  const { platform, unsupportedOps } = pool.emulate;
  const { export: path } = runFolders(dir);
  const format = run.file.port.precision;
  const found = readExport(path);
  const isNew =
    found?.source.weightsSha256 !== state.finished?.weightsSha256 ||
    found?.format !== format ||
    found?.platform !== platform;
  if (isNew) {
    // What lies there is of other weights, and only `run` and `port` write there.
    if (existsSync(join(path, "port.json"))) rmSync(path, { recursive: true });
    const source = state.finished?.checkpoint?.path ?? dir;
    await port({ source, destination: path, format, platform, unsupportedOps, signal });
  }
  const report = z
    .object({ bytes: z.number(), onnx: z.object({ operators: z.array(z.string()) }) })
    .parse(JSON.parse(readFileSync(join(path, "port.json"), "utf8")));
  return { path, isNew, bytes: report.bytes, operators: report.onnx.operators.length };
}

function readExport(path: string): z.infer<typeof Exported> | undefined {
  const file = join(path, "port.json");
  if (!existsSync(file)) return undefined;
  const parsed = Exported.safeParse(JSON.parse(readFileSync(file, "utf8")));
  return parsed.success ? parsed.data : undefined;
}

const answerTokens = 32;

/** Compares the trained checkpoint with its export on the run file's prompts, or on its one prompt for serving. */
export async function compareExport(run: LoadedRun, dir: string, state: RunState): Promise<CompareReport> {
  const { root, export: exported } = runFolders(dir);
  const { port: settings, serve } = run.file;
  let prompts = join(root, "prompts.txt");
  if (settings.prompts !== undefined) prompts = resolve(run.folder, settings.prompts);
  else writeFileSync(prompts, `${serve.prompt}\n`);
  return compare({ a: state.finished?.checkpoint?.path ?? root, b: exported, prompts, answerTokens });
}

export interface Answer {
  readonly url: string;
  readonly model: string;
  readonly prompt: string;
  readonly text: string;
  readonly tokens: number;
  readonly seconds: number;
}

const Completion = z.object({
  choices: z.array(z.object({ text: z.string() })).min(1),
  usage: z.object({ completion_tokens: z.number() }),
});

/** Serves the export on the run file's port and asks it one question, as any client would. */
export async function answerOnce(run: LoadedRun, exported: string, signal: AbortSignal): Promise<Answer> {
  const { serve, train } = run.file;
  const backend = await openEmbedded(exported, { name: run.file.name });
  try {
    const app = createApp({ backend, now: () => Date.now() / 1000 });
    const server = await listen(app, { host: serve.host, port: serve.port });
    try {
      const started = performance.now();
      const { prompt, temperature } = serve;
      const room = Math.max(1, backend.contextTokens - backend.encode(prompt).length);
      const body = {
        model: backend.model,
        prompt,
        temperature,
        max_tokens: Math.min(serve.maxTokens, room),
        seed: train?.seed ?? 0,
      };
      const response = await fetch(`${server.url}/v1/completions`, {
        method: "POST",
        signal,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`${server.url}/v1/completions: ${response.status} ${await response.text()}`);
      const { choices, usage } = Completion.parse(await response.json());
      const seconds = (performance.now() - started) / 1000;
      const text = choices[0]?.text ?? "";
      return { url: server.url, model: backend.model, prompt, text, tokens: usage.completion_tokens, seconds };
    } finally {
      await server.close({ graceSeconds: 5 });
    }
  } finally {
    await backend.close();
  }
}
