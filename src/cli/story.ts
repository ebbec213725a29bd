/**
 * What follows training in `dualgauge run`: export to the other gauge, W8A8 for its servers, comparison, serving from both pools.
 * Knows: how porting and serving are put together for one run. Does not know: training, options, what is printed.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import * as z from "zod";
import type { RunState } from "../journal/state.ts";
import { compare } from "../porting/compare.ts";
import type { CompareReport } from "../porting/compare-report.ts";
import { openCheckpointSource } from "../porting/convert/checkpoint-source.ts";
import { convert } from "../porting/convert/convert.ts";
import { verifyConversion } from "../porting/convert/verify-conversion.ts";
import { port } from "../porting/port.ts";
import { BadInput } from "../spec/bad-input.ts";
import { type PoolSpec, poolOrder } from "../spec/run-file.ts";
import { runFolders } from "../store/run-directory.ts";
import type { LoadedRun } from "./load-run.ts";
import { type ServedStory, serveBothPools } from "./story-serve.ts";

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

/** Compares the trained checkpoint with what it became, on the run file's prompts or on its one prompt for serving. */
export async function compareWith(
  run: LoadedRun,
  dir: string,
  { state, ported }: { state: RunState; ported: string },
): Promise<CompareReport> {
  const { root } = runFolders(dir);
  const { port: settings, serve } = run.file;
  let prompts = join(root, "prompts.txt");
  if (settings.prompts !== undefined) prompts = resolve(run.folder, settings.prompts);
  else writeFileSync(prompts, `${serve.prompt}\n`);
  return compare({ a: state.finished?.checkpoint?.path ?? root, b: ported, prompts, answerTokens });
}

/** W8A8 straight from the trained checkpoint, as the ascend gauge's servers load it; what lies there of the same weights is kept. */
export async function quantizeRun(dir: string, state: RunState, signal: AbortSignal): Promise<Quantized> {
  const { quantized: path } = runFolders(dir);
  const source = await openCheckpointSource(state.finished?.checkpoint?.path ?? dir);
  if (existsSync(join(path, "port.json")) && !isOf(path, state)) rmSync(path, { recursive: true });
  const report = await convert({ source, destination: path, format: "w8a8-dynamic", signal });
  const { problems } = await verifyConversion(path, { signal });
  if (problems.length > 0) throw new Error(`${path}: ${problems.join("; ")}`);
  return { path, bytes: report.bytes, tensors: report.tensors, quantizedTensors: report.quantizedTensors };
}

const Origin = z.looseObject({
  source: z.looseObject({ run: z.string().optional(), step: z.number().optional(), path: z.string() }),
});

function isOf(path: string, state: RunState): boolean {
  const found = Origin.safeParse(JSON.parse(readFileSync(join(path, "port.json"), "utf8")));
  return found.success && found.data.source.path === resolve(state.finished?.checkpoint?.path ?? "");
}

export interface Quantized {
  readonly path: string;
  readonly bytes: number;
  readonly tensors: number;
  readonly quantizedTensors: number;
}

/** Serves the checkpoint and its W8A8 form behind one endpoint on the run file's port, and kills one of them under load. */
export function serveRun(run: LoadedRun, dir: string, state: RunState, signal: AbortSignal): Promise<ServedStory> {
  const { file } = run;
  const { serve, train, model } = file;
  const ported = targetPool(run, state.pool);
  const trained = file.pools.find(({ name }) => name === state.pool) ?? ported;
  const room = (model?.max_position_embeddings ?? serve.maxTokens) - serve.prompt.length - 1;
  const { prompt, temperature, maxTokens } = serve;
  const { checkpoint } = state.finished ?? {};
  const pool = ({ name, emulate }: PoolSpec, directory: string) => ({ name, platform: emulate.platform, directory });
  const isSame = trained.name === ported.name;
  return serveBothPools({
    model: file.name,
    trained: { ...pool(trained, checkpoint?.path ?? dir), name: isSame ? `${trained.name}-trained` : trained.name },
    ported: pool(ported, runFolders(dir).quantized),
    listen: { host: serve.host, port: serve.port },
    ask: { prompt, temperature, maxTokens: Math.max(1, Math.min(maxTokens, room)), seed: train?.seed ?? 0 },
    signal,
  });
}
