/**
 * Turns a program, whose parameters are inputs, into an ONNX file whose parameters lie in the safetensors files beside it.
 * Knows: onnx.proto3's external data (a file, an offset, a length) and that a bfloat16 constant is cast before it is computed with.
 * Does not know: who computed the weights. Source: onnx/onnx docs/ExternalData.md and onnx.proto3 (field numbers).
 */
import type { TensorInfo } from "../checkpoint/dtype.ts";
import type { TensorEntry } from "../checkpoint/safetensors-header.ts";
import { type Field, fieldsOf, Writer } from "../engine/protobuf.ts";

const field = {
  model: { graph: 7 },
  graph: { node: 1, initializer: 5, input: 11 },
  node: { input: 1, output: 2, opType: 4, attribute: 5 },
  attribute: { name: 1, integer: 3, type: 20 },
  tensor: { dims: 1, dataType: 2, name: 8, externalData: 13, dataLocation: 14 },
  pair: { key: 1, value: 2 },
  valueName: 1,
} as const;
const onnxType = { F32: 1, BF16: 16 } as const;
const attributeTypeInteger = 2;
const externalLocation = 1;

/** Where a parameter's bytes lie. */
export interface ExternalTensor extends TensorInfo {
  /** File name beside the ONNX file. */
  readonly file: string;
  /** Byte in that file. */
  readonly offset: number;
  readonly bytes: number;
}

/** By parameter name. */
export type ExternalWeights = ReadonlyMap<string, ExternalTensor>;

/** Every tensor of a safetensors file whose header has `headerBytes`, its length included. */
export function tensorsOfFile(file: string, headerBytes: number, entries: readonly TensorEntry[]): ExternalTensor[] {
  return entries.map(({ name, dtype, shape, begin, end }) => {
    return { name, dtype, shape, file, offset: headerBytes + begin, bytes: end - begin };
  });
}

/** The ONNX bytes of `program` with the parameters that it uses bound to `weights`; Error when one is not there or neither F32 nor BF16. */
export function bindWeights(
  program: { readonly onnx: Uint8Array; readonly parameters: readonly string[] },
  weights: ExternalWeights,
): Uint8Array {
  const model = new Writer();
  for (const part of fieldsOf(program.onnx)) {
    if (part.number === field.model.graph)
      model.bytes(field.model.graph, bindGraph(part.payload, program.parameters, weights));
    else model.append(part.raw);
  }
  return model.finish();
}

function bindGraph(graph: Uint8Array, parameters: readonly string[], weights: ExternalWeights): Uint8Array {
  const body = new Writer();
  const parts = fieldsOf(graph);
  const used = inputsOfNodes(parts);
  const entries = parameters
    .filter((name) => used.has(name))
    .map((name) => {
      const entry = weights.get(name);
      if (!entry) throw new Error(`the weights have no tensor ${name}`);
      if (entry.dtype !== "F32" && entry.dtype !== "BF16")
        throw new Error(`${name} is ${entry.dtype}, not F32 or BF16`);
      return { entry, dtype: entry.dtype };
    });
  // Nodes stand in the order in which they run, so the casts come first.
  for (const { entry, dtype } of entries)
    if (dtype === "BF16") body.message(field.graph.node, () => writeCast(body, entry.name));
  const bound = new Set(parameters);
  for (const part of parts) {
    if (part.number === field.graph.input && bound.delete(nameOfValue(part.payload))) continue;
    body.append(part.raw);
  }
  if (bound.size > 0) throw new Error(`the program has no input ${[...bound].join(", ")}`);
  for (const { entry, dtype } of entries) {
    body.message(field.graph.initializer, () => {
      for (const size of entry.shape) body.varint(field.tensor.dims, size);
      body.varint(field.tensor.dataType, onnxType[dtype]);
      body.text(field.tensor.name, dtype === "BF16" ? storedName(entry.name) : entry.name);
      writePair(body, "location", entry.file);
      writePair(body, "offset", String(entry.offset));
      writePair(body, "length", String(entry.bytes));
      body.varint(field.tensor.dataLocation, externalLocation);
    });
  }
  return body.finish();
}

/** A program lists all parameters of its model; what no node reads (the extra prediction layer) stays out of the file. */
function inputsOfNodes(graph: readonly Field[]): ReadonlySet<string> {
  const decoder = new TextDecoder();
  const nodes = graph.filter(({ number }) => number === field.graph.node);
  const names = nodes.flatMap((node) => fieldsOf(node.payload).filter(({ number }) => number === field.node.input));
  return new Set(names.map(({ payload }) => decoder.decode(payload)));
}

const storedName = (name: string): string => `${name}/bf16`;

function writeCast(writer: Writer, name: string): void {
  writer.text(field.node.input, storedName(name));
  writer.text(field.node.output, name);
  writer.text(field.node.opType, "Cast");
  writer.message(field.node.attribute, () => {
    writer.text(field.attribute.name, "to");
    writer.varint(field.attribute.integer, onnxType.F32);
    writer.varint(field.attribute.type, attributeTypeInteger);
  });
}

function writePair(writer: Writer, key: string, value: string): void {
  writer.message(field.tensor.externalData, () => {
    writer.text(field.pair.key, key);
    writer.text(field.pair.value, value);
  });
}

function nameOfValue(valueInfo: Uint8Array): string {
  const name = fieldsOf(valueInfo).find(({ number }) => number === field.valueName);
  return name ? new TextDecoder().decode(name.payload) : "";
}
