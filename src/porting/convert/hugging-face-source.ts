/**
 * Opens a Hugging Face model directory of any size and refuses whatever could not be converted in full.
 * Knows: config.json, the index, shards, where a link may lead. Does not know: scales (scales.ts), formats to convert to.
 */
import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync, type Stats, statSync } from "node:fs";
import { join, relative } from "node:path";
import { openSafetensors } from "../../checkpoint/safetensors-file.ts";
import { MalformedSafetensors } from "../../checkpoint/safetensors-header.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { configBytesMax, parseConfig } from "../../spec/hugging-face-config.ts";
import { badTensor, type ModelSource, type SideFile, type SourceShard, type SourceTensor } from "./model-source.ts";
import { blockOf } from "./quantization-config.ts";
import { checkScales } from "./scales.ts";
import { parseStrictObject } from "./strict-json.ts";
import { checkAgainstConfig } from "./tensor-inventory.ts";

export const indexName = "model.safetensors.index.json";
export const singleName = "model.safetensors";
const indexBytesMax = 256 << 20;
/** Weights in other formats, and what only describes them. */
const otherWeights = /\.(safetensors|bin|pt|pth|ckpt|gguf|onnx|msgpack|h5|index\.json)$/;

/** Opens and checks `given`: every header, every scale, every name. BadInput, one line naming file and tensor. */
export function openHuggingFaceSource(given: string): ModelSource {
  if (!statOf(given, given).isDirectory()) throw new BadInput(`${given}: is a file; give the directory it lies in`);
  const path = realpathSync(given);
  if (
    ["manifest.json", "checkpoints"].some((name) => existsSync(join(path, name))) &&
    !existsSync(join(path, "config.json"))
  ) {
    throw new BadInput(`${given}: is a training checkpoint; no plan is made for these, port it without --plan`);
  }
  const configText = readText(given, path, "config.json", configBytesMax);
  const where = join(given, "config.json");
  const { value, members } = parseStrictObject(configText, where);
  const architecture = parseConfig(configText, where);
  const placed = placesOf(given, path);
  const shards: SourceShard[] = [];
  const tensors: SourceTensor[] = [];
  for (const file of [...new Set(placed ? placed.values() : [singleName])].sort()) {
    const { shard, tensors: inShard } = readShard(given, path, file);
    shards.push(shard);
    for (const tensor of inShard) tensors.push(tensor);
  }
  checkPlaces(given, tensors, placed);
  const block = blockOf(value, where);
  const modelType = typeof value.model_type === "string" ? value.model_type : "";
  const source: ModelSource = {
    ...{ given, path, modelType, layers: architecture.layers, config: members, block, tensors, shards },
    ...{ origin: { kind: "hugging-face" }, sideFiles: sideFilesOf(given, path), made: new Map() },
  };
  checkAgainstConfig(source, architecture);
  checkScales(source);
  return source;
}

/** Tensor to shard, from the index; undefined where the model is one file. */
function placesOf(given: string, path: string): ReadonlyMap<string, string> | undefined {
  const names = readdirSync(path);
  const where = join(given, indexName);
  if (!names.includes(indexName)) {
    if (names.includes(singleName)) return undefined;
    throw new BadInput(`${given}: holds neither ${indexName} nor ${singleName}; give a model with all its files`);
  }
  const { value } = parseStrictObject(readText(given, path, indexName, indexBytesMax), where);
  const map = value.weight_map;
  if (map === null || typeof map !== "object" || Array.isArray(map)) {
    throw new BadInput(`${where}: weight_map is missing; download it again`);
  }
  const placed = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string" || !/^[A-Za-z0-9][A-Za-z0-9._-]{0,200}\.safetensors$/.test(file)) {
      const shown = JSON.stringify(file)?.slice(0, 100);
      throw new BadInput(
        `${where}: tensor ${JSON.stringify(tensor.slice(0, 200))}: ${shown} is no name of a shard beside it; mend the index`,
      );
    }
    placed.set(tensor, file);
  }
  if (placed.size === 0) throw new BadInput(`${where}: weight_map names no tensor; download it again`);
  return placed;
}

function readShard(given: string, path: string, file: string): { shard: SourceShard; tensors: SourceTensor[] } {
  const where = join(given, file);
  const stat = insideFile(given, path, file);
  try {
    const opened = openSafetensors(join(path, file));
    opened.close();
    const tensors = [...opened.tensors.values()].map(({ begin, end, name, dtype, shape }) => ({
      ...{ name, dtype, shape, file },
      at: opened.start + begin,
      bytes: end - begin,
    }));
    return { shard: { file, bytes: stat.size, modifiedMs: stat.mtimeMs }, tensors };
  } catch (error) {
    if (error instanceof MalformedSafetensors) {
      throw new BadInput(`${where}: ${error.message}; download or copy it again`);
    }
    throw error;
  }
}

/** The index and the shards must tell the same story, and no tensor may be there twice. */
function checkPlaces(
  given: string,
  tensors: readonly SourceTensor[],
  placed: ReadonlyMap<string, string> | undefined,
): void {
  const seen = new Map<string, string>();
  for (const tensor of tensors) {
    const other = seen.get(tensor.name);
    if (other !== undefined) throw badTensor(given, tensor, `is also in ${other}`, "remove one");
    seen.set(tensor.name, tensor.file);
    if (placed && placed.get(tensor.name) !== tensor.file) {
      throw badTensor(given, tensor, `the index does not place it here`, "download index and shards again");
    }
  }
  for (const [name, file] of placed ?? []) {
    if (!seen.has(name)) throw badTensor(given, { name, file }, "is not in the file that the index names");
  }
}

function sideFilesOf(given: string, path: string): SideFile[] {
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith("."))
    .map(({ name }) => name)
    .filter(
      (name) =>
        !otherWeights.test(name) && !["config.json", "port.json", "quant_model_description.json"].includes(name),
    )
    .sort()
    .map((name) => {
      const stat = insideFile(given, path, name);
      return { name, bytes: stat.size, modifiedMs: stat.mtimeMs };
    });
}

/** A regular file of the source, or a link to one that stays inside it. */
function insideFile(given: string, path: string, name: string): Stats {
  const where = join(given, name);
  const full = join(path, name);
  const link = statOf(full, where, lstatSync);
  if (link.isSymbolicLink()) {
    const target = statOf(full, where) && realpathSync(full);
    const way = relative(path, target);
    if (way === ".." || way.startsWith("../")) {
      throw new BadInput(
        `${where}: is a link that leads out of ${given}; give a directory that holds the files themselves`,
      );
    }
  }
  const stat = statOf(full, where);
  if (!stat.isFile()) throw new BadInput(`${where}: is no regular file; download or copy it again`);
  return stat;
}

function statOf(path: string, where: string, ask: (path: string) => Stats = statSync): Stats {
  try {
    return ask(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (code === "ENOENT" || code === "ENOTDIR")
      throw new BadInput(`${where}: does not exist; give a directory with all its files`);
    if (code === "ELOOP") throw new BadInput(`${where}: is a link that leads to itself; download or copy it again`);
    throw error;
  }
}

function readText(given: string, path: string, name: string, bytesMax: number): string {
  const { size } = insideFile(given, path, name);
  if (size > bytesMax) throw new BadInput(`${join(given, name)}: ${size} bytes are more than such a file has; mend it`);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(readFileSync(join(path, name)));
  } catch (error) {
    if (error instanceof TypeError) throw new BadInput(`${join(given, name)}: is not UTF-8; download or copy it again`);
    throw error;
  }
}
