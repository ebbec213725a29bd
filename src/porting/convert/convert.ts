/**
 * Converts a Hugging Face checkpoint of any size: streamed, sharded over threads, resumable, complete or not there.
 * Knows: the order of the work. Does not know: arithmetic, formats of files, the command line.
 */
import { createHash } from "node:crypto";
import { existsSync, statfsSync, statSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { FileEntry } from "../../checkpoint/integrity.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { convertedConfig } from "./config-text.ts";
import { descriptionName, descriptionOf, indexNames, indexOf } from "./description.ts";
import { openHuggingFaceSource } from "./hugging-face-source.ts";
import type { ModelSource, SourceOrigin } from "./model-source.ts";
import { type GraphRequest, graphFiles } from "./onnx-graphs.ts";
import { type Progress, trackProgress } from "./progress.ts";
import { recipesFor, type WeightFormat } from "./recipes.ts";
import { runTasks } from "./run-tasks.ts";
import { layShards, type OutputShard } from "./shard-layout.ts";
import type { SourcePlace, Task } from "./thread-messages.ts";
import { sealReport } from "./verify-conversion.ts";
import { openWorkFolder, type WorkFolder } from "./work-folder.ts";
import { hashFile } from "./write-shard.ts";

export interface ConversionRequest {
  /** A Hugging Face directory, or a source that was opened already (checkpoint-source). */
  readonly source: string | ModelSource;
  readonly destination: string;
  readonly format: WeightFormat;
  /** Adds ONNX graphs that read the converted shards (`bf16` only). */
  readonly graphs?: GraphRequest | undefined;
  /** Threads that convert; by default two a processor, at most 8, and none for a small model. */
  readonly threads?: number | undefined;
  /** Most tensor bytes in a shard; by default the format's rule. */
  readonly shardBytesMax?: number | undefined;
  readonly onProgress?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `port.json` says, and the command's JSON document. */
export interface ConversionReport {
  readonly v: 1;
  readonly source: SourceOrigin & { readonly path: string; readonly modelType: string };
  readonly format: WeightFormat;
  /** Hash over what was asked for: the source's files by size and time, the layout of the result. */
  readonly identity: string;
  readonly tensors: number;
  readonly quantizedTensors: number;
  readonly parameters: number;
  readonly bytes: number;
  readonly files: readonly FileEntry[];
}

/** What will be written, before anything is. */
export interface Conversion {
  readonly source: ModelSource;
  readonly format: WeightFormat;
  readonly shards: readonly OutputShard[];
  /** Small files by name; side files of the source are copied besides. */
  readonly made: ReadonlyMap<string, Uint8Array>;
  readonly identity: string;
}

const threadsMax = 8;
/** A thread that waits for the disk leaves its processor to another. */
const threadsPerProcessor = 2;
/** A source larger than this share of the memory is not looked for in the page cache, where it would displace everything else. */
const cachedShare = 0.25;
/** Below this many bytes a thread would take longer to start than to work. */
const smallBytes = 64 << 20;

/** Reads headers and scales only. BadInput for a source that could not be converted in full. */
export function planConversion({ source: given, format, shardBytesMax, graphs }: ConversionRequest): Conversion {
  const source = typeof given === "string" ? openHuggingFaceSource(given) : given;
  const shards = layShards(recipesFor(source, format), format, shardBytesMax);
  const made = new Map(source.made);
  for (const [name, onnx] of graphs ? graphFiles(source, shards, graphs) : []) made.set(name, onnx);
  if (format === "w8a8-dynamic") made.set(descriptionName, descriptionOf(shards));
  made.set("config.json", convertedConfig(source.config));
  made.set(indexNames[format], indexOf(shards));
  const hash = createHash("sha256").update(JSON.stringify([1, format, source.shards, source.sideFiles]));
  for (const content of made.values()) hash.update(content);
  for (const { name, bytes } of shards) hash.update(JSON.stringify([name, bytes]));
  return { source, format, shards, made, identity: hash.digest("hex") };
}

/**
 * Converts, or goes on with what a killed run of the same request began, to the same bytes. BadInput, with the source untouched and no
 * complete-looking destination, for whatever a person must mend; the signal's reason where it was aborted.
 */
export async function convert(request: ConversionRequest): Promise<ConversionReport> {
  const { destination, signal } = request;
  signal?.throwIfAborted();
  const conversion = planConversion(request);
  const { source, identity, format } = conversion;
  const completes = indexNames[format];
  const folder = openWorkFolder(destination, { identity, sources: [source.path], completes });
  try {
    const files = await fill(conversion, folder, request);
    checkUntouched(source);
    const report = reportOf(conversion, files);
    if (folder.finished) return report;
    folder.write("port.json", sealReport(report));
    folder.finish([...files.map(({ name }) => name).filter((name) => name !== completes), "port.json", completes]);
    return report;
  } catch (error) {
    throw explained(error, destination);
  } finally {
    folder.release();
  }
}

/** Makes every file that is not there yet, reads back every one that is, and gives them all. */
async function fill(conversion: Conversion, folder: WorkFolder, request: ConversionRequest): Promise<FileEntry[]> {
  const { shards, source, made } = conversion;
  const recorded = new Map(folder.recorded.map((file) => [file.name, file]));
  const done = new Map<string, FileEntry>();
  const total = shards.reduce((sum, { bytes }) => sum + bytes, 0);
  const progress = trackProgress(total, request.onProgress);
  const run = { source: placeOf(source), progress, request, threads: threadsFor(request, total) };

  const present = folder.finished
    ? shards
    : shards.filter(({ name }) => recorded.has(name) && existsSync(folder.pathOf(name)));
  const toHash = present.map(({ name, bytes }): Task => ({ kind: "hash", name, path: folder.pathOf(name), bytes }));
  await runAll(toHash, run, (file) => {
    if (folder.finished || file.sha256 === recorded.get(file.name)?.sha256) done.set(file.name, file);
    else progress.restart(file.bytes, `${file.name}: is not what was written; it is made again`);
  });
  const missing = shards.filter(({ name }) => !done.has(name));
  checkSpace(request.destination, missing);
  const toWrite = missing.map((shard): Task => {
    return { kind: "write", bytes: shard.bytes, shard: { ...shard, path: folder.pathOf(shard.name) } };
  });
  await runAll(toWrite, run, (file) => {
    folder.record(file);
    done.set(file.name, file);
  });
  const files = shards.map(({ name }) => done.get(name)).filter((file) => file !== undefined);
  for (const { name } of source.sideFiles) {
    if (made.has(name)) continue;
    const into = folder.pathOf(name);
    files.push(folder.finished ? hashFile(into, name) : hashFile(join(source.path, name), name, undefined, into));
  }
  for (const [name, content] of made) {
    if (!folder.finished) folder.write(name, content);
    files.push({ name, bytes: content.length, sha256: createHash("sha256").update(content).digest("hex") });
  }
  return files;
}

async function runAll(
  tasks: readonly Task[],
  {
    source,
    progress,
    request: { signal },
    threads,
  }: { source: SourcePlace; progress: Progress; request: ConversionRequest; threads: number },
  onFile: (file: FileEntry) => void,
): Promise<void> {
  await runTasks(tasks, {
    source,
    threads,
    signal,
    onBytes: (bytes) => progress.add(bytes),
    onDone: (_task, file) => {
      onFile(file);
      progress.say(`${file.name}: ${file.bytes} bytes`);
    },
  });
}

export function placeOf({ path, given, shards }: ModelSource): SourcePlace {
  const bytes = shards.reduce((sum, shard) => sum + shard.bytes, 0);
  return { path, given, direct: bytes > cachedShare * totalmem() };
}

export function threadsFor({ threads }: ConversionRequest, totalBytes: number): number {
  return threads ?? (totalBytes < smallBytes ? 0 : Math.min(threadsPerProcessor * availableParallelism(), threadsMax));
}

/** A source that changed while it was read has been converted to something that never was. */
export function checkUntouched({ given, path, shards, sideFiles }: ModelSource): void {
  const files = [...shards, ...sideFiles.map(({ name, ...stat }) => ({ file: name, ...stat }))];
  for (const { file, bytes, modifiedMs } of files) {
    const stat = statSync(join(path, file), { throwIfNoEntry: false });
    if (stat?.size === bytes && stat.mtimeMs === modifiedMs) continue;
    throw new BadInput(`${join(given, file)}: changed while it was converted; leave it alone and run this again`);
  }
}

function checkSpace(given: string, missing: readonly OutputShard[]): void {
  const needed = missing.reduce((sum, { bytes }) => sum + bytes, 0);
  const path = resolve(given);
  const { bavail, bsize } = statfsSync(existsSync(path) ? path : dirname(path));
  if (needed <= bavail * bsize) return;
  throw new BadInput(
    `${given}: ${needed} bytes are to be written, ${bavail * bsize} are free; free space or give another directory`,
  );
}

function explained(error: unknown, given: string): unknown {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new BadInput(
      `${given}: the disk is full; free space and run the same command, which goes on where it stopped`,
    );
  }
  if (code === "EFBIG")
    return new BadInput(`${given}: a shard is larger than a file may be there; give another directory`);
  if (code === "EACCES" || code === "EROFS" || code === "EPERM") {
    return new BadInput(`${given}: cannot be written to; give a directory that can`);
  }
  return error;
}

function reportOf({ source, format, identity, shards }: Conversion, files: readonly FileEntry[]): ConversionReport {
  const tensors = shards.flatMap((shard) => shard.tensors);
  const weights = tensors.filter(({ recipe }) => recipe.kind !== "int8-scale" && recipe.kind !== "zeros");
  const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);
  return {
    v: 1,
    source: { ...source.origin, path: source.path, modelType: source.modelType },
    format,
    identity,
    tensors: tensors.length,
    quantizedTensors: weights.filter(({ recipe }) => recipe.kind === "int8").length,
    parameters: weights.reduce((sum, { shape }) => sum + elements(shape), 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files,
  };
}
