/**
 * Writes a trained model so that the other vendor's stack can load it: Hugging Face files and ONNX graphs.
 * Knows: which files an export has and in which order they are written. Does not know: the command line, serving.
 */
import { dirname, resolve } from "node:path";
import { toBfloat16 } from "../checkpoint/bfloat16.ts";
import type { TensorInfo } from "../checkpoint/dtype.ts";
import type { FileEntry } from "../checkpoint/integrity.ts";
import { encodeHeader } from "../checkpoint/safetensors-header.ts";
import { safetensorsMetadata, safetensorsPieces } from "../checkpoint/safetensors-write.ts";
import { deepseekV3 } from "../engine/model/deepseek.ts";
import { operatorSet } from "../engine/onnx.ts";
import type { Program } from "../engine/program.ts";
import { openTokenizer, type Tokenizer } from "../engine/tokenizer.ts";
import type { Platform, Precision } from "../spec/vocabulary.ts";
import { checkCoverage } from "./coverage.ts";
import { type Destination, openDestination } from "./destination.ts";
import { copiesOf, json, tokenizerFiles } from "./export-files.ts";
import { type ExportFormat, toGenerationConfig, toModelConfig } from "./model-config.ts";
import { exportedWeights } from "./model-weights.ts";
import { bindWeights, tensorsOfFile } from "./onnx-weights.ts";
import { float32Of, type OpenedModel, openModel, storedWeightsSha256 } from "./open-model.ts";
import { operatorsOf, servingGraphs } from "./serving-graphs.ts";

export interface PortRequest {
  /** A checkpoint, a run directory or an exported directory. */
  readonly source: string;
  readonly destination: string;
  readonly format: ExportFormat;
  /** Whose toolkit must know every operator of the graphs. */
  readonly platform: Platform;
  /** Makes every shape in the graphs fixed, for texts of so many tokens; undefined leaves them dynamic. */
  readonly capacityTokens?: number | undefined;
  /** What an emulated pool's `emulate` adds: operators that it lacks, and the only number formats that it has. */
  readonly unsupportedOps?: readonly string[];
  readonly precisions?: readonly Precision[] | undefined;
  readonly onProgress?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** What `port.json` says, and the command's JSON document. */
export interface PortReport {
  readonly v: 1;
  readonly source: {
    readonly kind: "checkpoint" | "export";
    readonly path: string;
    readonly run?: string;
    readonly epoch?: number;
    readonly step?: number;
    readonly weightsSha256: string;
  };
  readonly destination: string;
  readonly format: ExportFormat;
  readonly platform: Platform;
  readonly onnx: { readonly operatorSet: number; readonly operators: readonly string[] };
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
  readonly files: readonly FileEntry[];
}

/**
 * Exports and gives what was written. BadInput, with nothing left behind, for a source that does not verify, a destination that cannot be
 * used, and a platform that lacks an operator.
 */
export async function port(request: PortRequest): Promise<PortReport> {
  const model = await openModel(request.source);
  try {
    const programs = deepseekV3(model.config);
    const graphs = servingGraphs(programs, request.capacityTokens);
    const operators = operatorsOf(Object.values(graphs), request.format === "bf16");
    checkCoverage({
      operators,
      operatorSet,
      precision: request.format,
      platform: request.platform,
      unsupportedOps: request.unsupportedOps ?? [],
      precisions: request.precisions,
    });
    const tokenizer = openTokenizer(model.tokenizer, model.config);
    const destination = openDestination(request.destination, [sourceFolder(model, request.source)], request.signal);
    try {
      const files = await writeAll(model, tokenizer, graphs, destination, request);
      const report = reportOf(model, request, operators, files);
      await destination.write("port.json", [json(report)]);
      destination.publish();
      return report;
    } finally {
      destination.discard();
    }
  } finally {
    model.close();
  }
}

/** What an export must stay out of: the model's folder, or all checkpoints of a run, but not its `export/` beside them. */
function sourceFolder({ path }: OpenedModel, given: string): string {
  return resolve(given) === path ? path : dirname(path);
}

async function writeAll(
  model: OpenedModel,
  tokenizer: Tokenizer,
  graphs: Readonly<Record<string, Program>>,
  destination: Destination,
  { format, onProgress = () => undefined }: PortRequest,
): Promise<FileEntry[]> {
  const { config } = model;
  const files: FileEntry[] = [];
  const add = async (name: string, pieces: Iterable<Uint8Array>): Promise<void> => {
    const file = await destination.write(name, pieces);
    files.push(file);
    onProgress(`${name}: ${file.bytes} bytes`);
  };
  await add("config.json", [json(toModelConfig(config, { format, bos: tokenizer.bos, eos: tokenizer.eos }))]);
  await add("generation_config.json", [json(toGenerationConfig(config, tokenizer))]);
  for (const [name, bytes] of tokenizerFiles(model)) await add(name, [bytes]);
  const { infos, sourceOf } = exportedTensors(model, format);
  const valuesOf = ({ name, dtype }: TensorInfo): Uint8Array =>
    dtype === "BF16"
      ? bytesOf(toBfloat16(float32Of(model, sourceOf(name))))
      : bytesOf(float32Of(model, sourceOf(name)));
  await add(
    exportedWeights,
    safetensorsPieces(infos, (tensor) => [valuesOf(tensor)]),
  );
  const { bytes: header, header: layout } = encodeHeader(infos, safetensorsMetadata);
  const placed = tensorsOfFile(exportedWeights, header.length, layout.tensors).map(
    (tensor) => [tensor.name, tensor] as const,
  );
  for (const [name, program] of Object.entries(graphs)) {
    await add(name, [bindWeights(program, new Map(placed))]);
  }
  return files;
}

/** The tensors of the export, and the parameter that each takes its values from. */
function exportedTensors(
  { config, parameters }: OpenedModel,
  format: ExportFormat,
): { infos: readonly TensorInfo[]; sourceOf: (name: string) => string } {
  // The published checkpoint keeps the routing bias in float32, and transformers insists on it.
  const dtypeOf = (name: string): "F32" | "BF16" =>
    format === "fp32" || name.endsWith(".e_score_correction_bias") ? "F32" : "BF16";
  const copies = copiesOf(config);
  const shapes = new Map(parameters.map(({ name, shape }) => [name, shape]));
  const names = [...shapes.keys(), ...copies.keys()];
  const sourceOf = (name: string): string => copies.get(name) ?? name;
  return {
    infos: names.map((name) => ({ name, dtype: dtypeOf(name), shape: shapes.get(sourceOf(name)) ?? [] })),
    sourceOf,
  };
}

function reportOf(
  model: OpenedModel,
  { destination, format, platform }: PortRequest,
  operators: readonly string[],
  files: readonly FileEntry[],
): PortReport {
  const { kind, path, manifest, parameters } = model;
  const elements = ({ shape }: TensorInfo): number => shape.reduce((product, size) => product * size, 1);
  return {
    v: 1,
    source: {
      kind,
      path,
      ...(manifest && { run: manifest.run, epoch: manifest.epoch, step: manifest.step }),
      weightsSha256: storedWeightsSha256(model),
    },
    destination: resolve(destination),
    format,
    platform,
    onnx: { operatorSet, operators },
    tensors: parameters.length,
    parameters: parameters.reduce((sum, parameter) => sum + elements(parameter), 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    files,
  };
}

function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
