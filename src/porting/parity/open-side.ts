/**
 * Opens what a person names as a side of a comparison: a directory, its ONNX graphs, a server or a dumped trace.
 * Knows: how each is told from the others, and what names it by content. Does not know: how sides are compared.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { openTokenizer, type Tokenizer } from "../../engine/tokenizer.ts";
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import { type OpenedModel, openModel, storedWeightsSha256 } from "../open-model.ts";
import type { UrlOptions } from "./ask-server.ts";
import { type AskedSide, type EngineSideOptions, openEngineSide } from "./engine-side.ts";
import type { NumberFormat } from "./number-format.ts";
import { openOnnxSide } from "./onnx-side.ts";
import { canonicalJson } from "./seal-report.ts";
import { hashOf, isTraceFile, openTrace, type Trace } from "./trace-file.ts";
import { isUrl, openUrlSide, type UrlSide } from "./url-side.ts";

export interface ComparedSide {
  /** As it was given, or the folder with the weights. */
  readonly path: string;
  readonly kind: "checkpoint" | "export" | "onnx" | "trace" | "server";
  readonly step: number | null;
  /** Null where the side does not show its weights. */
  readonly weightsSha256: string | null;
  /** SHA-256 of what is compared; `contentOf` says of what that is. */
  readonly contentSha256: string;
  readonly contentOf: "weights and configuration" | "graphs, weights and configuration" | "trace file" | "answers";
  readonly format: NumberFormat;
  readonly computedBy: string;
}

interface Common {
  readonly given: string;
  readonly about: ComparedSide;
  close(): Promise<void>;
}
export interface LocalSide extends Common {
  readonly kind: "model" | "onnx";
  readonly config: DeepseekConfig;
  readonly tokenizer: Tokenizer;
  readonly asked: AskedSide;
  readonly model?: OpenedModel;
}
export interface TraceSide extends Common {
  readonly kind: "trace";
  readonly trace: Trace;
  readonly config: DeepseekConfig | undefined;
}
export interface ServerSide extends Common {
  readonly kind: "server";
  readonly server: UrlSide;
}
export type OpenedSide = LocalSide | TraceSide | ServerSide;

export interface SideOptions extends UrlOptions, EngineSideOptions {}

const engine = "the embedded engine on this machine's CPU, in float32";

/** BadInput, one line, for whatever cannot be opened. Close it. */
export async function openSide(given: string, options: SideOptions = {}): Promise<OpenedSide> {
  if (isUrl(given)) return openServer(given, options);
  if (isTraceFile(given)) return openTraceSide(given);
  return given.startsWith("onnx:") ? openGraphs(given.slice("onnx:".length)) : openDirectory(given, options);
}

async function openDirectory(given: string, options: SideOptions): Promise<LocalSide> {
  const model = await openModel(given);
  try {
    const { config, kind, path, manifest } = model;
    const tokenizer = openTokenizer(model.tokenizer, config);
    const asked = await openEngineSide(model, options);
    const weightsSha256 = storedWeightsSha256(model);
    const about: ComparedSide = {
      ...{ path, kind, step: manifest?.step ?? null, weightsSha256 },
      contentSha256: sha256(canonicalJson({ weightsSha256, config })),
      contentOf: "weights and configuration",
      ...{ format: formatOf(model), computedBy: engine },
    };
    const close = async (): Promise<void> => {
      await asked.close();
      model.close();
    };
    return { ...{ kind: "model", given, about, config, tokenizer, asked, model }, close };
  } catch (error) {
    model.close();
    throw error;
  }
}

async function openGraphs(given: string): Promise<LocalSide> {
  const asked = await openOnnxSide(given);
  const { config, path } = asked;
  const weights = readdirSync(path).filter((name) => /\.(onnx|safetensors|data|bin)$/.test(name));
  const files = [...weights, "config.json"].sort().map((name) => [name, hashOf(join(path, name))]);
  const own = join(path, "tokenizer.json");
  const about: ComparedSide = {
    ...{ path, kind: "onnx", step: null, weightsSha256: null },
    ...{ contentSha256: sha256(canonicalJson(files)), contentOf: "graphs, weights and configuration" },
    format: config.torch_dtype === "bfloat16" ? "bf16" : "fp32",
    computedBy: "its ONNX graphs in ONNX Runtime on this machine's CPU, in float32",
  };
  const tokenizer = openTokenizer(existsSync(own) ? own : "byte", config);
  return { kind: "onnx", given, about, config, tokenizer, asked, close: () => asked.close() };
}

async function openTraceSide(given: string): Promise<TraceSide> {
  const trace = await openTrace(given);
  const { document, sha256: contentSha256 } = trace;
  const about: ComparedSide = {
    ...{ path: given, kind: "trace", step: null, weightsSha256: null, contentSha256, contentOf: "trace file" },
    // A trace of somebody else's making does not say; accelerators compute in bfloat16.
    format: document?.format ?? "bf16",
    computedBy: document ? `${document.computedBy} (dumped from ${document.source})` : "whoever dumped the trace",
  };
  const close = async (): Promise<void> => trace.close();
  return { kind: "trace", given, about, trace, config: document?.config, close };
}

async function openServer(given: string, options: SideOptions): Promise<ServerSide> {
  const server = await openUrlSide(given, options);
  const about: ComparedSide = {
    ...{ path: `${server.url} (${server.model})`, kind: "server", step: null, weightsSha256: null },
    ...{ contentSha256: "", contentOf: "answers", format: "bf16", computedBy: "the server" },
  };
  return { kind: "server", given, about, server, close: async () => undefined };
}

/** The narrowest number format in which a model's weights are stored. */
function formatOf({ parameters }: OpenedModel): NumberFormat {
  const has = (dtype: string): boolean => parameters.some((one) => one.dtype === dtype);
  if (has("I8")) return "w8a8";
  if (has("F8_E4M3")) return "fp8";
  return has("BF16") ? "bf16" : "fp32";
}

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
