/**
 * Writes a graph as an ONNX model: bytes that ONNX Runtime, its CANN provider and Ascend's ATC read.
 * Knows: onnx.proto3's field numbers (onnx/onnx, IR version 7, operator set 13). Does not know: any operator.
 */
import { nodesFor } from "./evaluate.ts";
import type { Attributes, DType, Graph, Node, Tensor, TensorType } from "./graph.ts";
import { fieldsOf, Writer } from "./protobuf.ts";

/** CANN 6 reads sets 9 to 13 and ONNX Runtime's CANN provider at most 15; nothing here needs a newer one than 13. */
export const operatorSet = 13;
const irVersion = 7;
const elementTypes: Readonly<Record<DType, number>> = { float32: 1, int64: 7, bool: 9 };
const fieldNumber = { modelGraph: 7, graphInitializer: 5, graphInput: 11, valueName: 1 } as const;

export interface EncodedGraph {
  readonly onnx: Uint8Array;
  /** Operator types written, sorted. */
  readonly operators: readonly string[];
  readonly nodes: number;
}

/** The graph as ONNX bytes; nodes on which no output depends are left out. Names of inputs and outputs are kept. */
export function encode(graph: Graph, name: string): EncodedGraph {
  const wanted = graph.outputs.map(({ tensor }) => tensor);
  const kept = [...nodesFor(graph, wanted)].sort((a, b) => a - b).map((at) => graph.nodes[at]!);
  const names = new Map(graph.inputs.map((input) => [input.id, input.name!]));
  const produced = new Set(kept.flatMap((node) => node.outputs.map((output) => output.id)));
  const copies: { from: Tensor; to: string }[] = [];
  for (const { name: to, tensor } of graph.outputs) {
    if (produced.has(tensor.id) && !names.has(tensor.id)) names.set(tensor.id, to);
    else copies.push({ from: tensor, to });
  }
  const nameOf = (tensor: Tensor): string => names.get(tensor.id) ?? `t${tensor.id}`;

  const body = new Writer();
  for (const node of kept) body.message(1, () => writeNode(body, node, nameOf));
  for (const { from, to } of copies) {
    body.message(1, () => {
      body.text(1, nameOf(from));
      body.text(2, to);
      body.text(4, "Identity");
    });
  }
  body.text(2, name);
  const used = [...kept.flatMap((node) => node.inputs), ...copies.map(({ from }) => from)];
  const constants = new Map(used.filter((tensor) => tensor.value).map((tensor) => [tensor.id, tensor]));
  for (const tensor of constants.values()) {
    const data = rawBytes(tensor.dtype, tensor.value!);
    body.message(fieldNumber.graphInitializer, () => writeTensor(body, nameOf(tensor), tensor, data));
  }
  for (const input of graph.inputs) {
    body.message(fieldNumber.graphInput, () => writeValueInfo(body, input.name!, input));
  }
  for (const output of graph.outputs) body.message(12, () => writeValueInfo(body, output.name, output.tensor));

  const types = new Set(kept.map((node) => node.op));
  if (copies.length > 0) types.add("Identity");
  return { onnx: writeModel(body.finish()), operators: [...types].sort(), nodes: kept.length + copies.length };
}

/** The model with the named float32 inputs turned into constants, so that a runtime can fold and pack them. */
export function withConstants(
  onnx: Uint8Array,
  constants: ReadonlyMap<string, { readonly shape: readonly number[]; readonly data: Float32Array }>,
): Uint8Array {
  const graph = fieldsOf(onnx).find(({ number }) => number === fieldNumber.modelGraph);
  if (!graph) throw new Error("the ONNX model holds no graph");
  const body = new Writer();
  const missing = new Set(constants.keys());
  for (const field of fieldsOf(graph.payload)) {
    if (field.number === fieldNumber.graphInput && missing.delete(valueName(field.payload))) continue;
    body.append(field.raw);
  }
  if (missing.size > 0) throw new Error(`the ONNX model has no input ${[...missing].join(", ")}`);
  for (const [name, { shape, data }] of constants) {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    body.message(fieldNumber.graphInitializer, () => writeTensor(body, name, { dtype: "float32", shape }, bytes));
  }
  return writeModel(body.finish());
}

function valueName(valueInfo: Uint8Array): string {
  const name = fieldsOf(valueInfo).find(({ number }) => number === fieldNumber.valueName);
  return name ? new TextDecoder().decode(name.payload) : "";
}

function writeModel(graph: Uint8Array): Uint8Array {
  const model = new Writer();
  model.varint(1, irVersion);
  model.text(2, "dualgauge");
  model.bytes(fieldNumber.modelGraph, graph);
  model.message(8, () => {
    model.text(1, "");
    model.varint(2, operatorSet);
  });
  return model.finish();
}

function writeNode(writer: Writer, node: Node, nameOf: (tensor: Tensor) => string): void {
  for (const input of node.inputs) writer.text(1, nameOf(input));
  for (const output of node.outputs) writer.text(2, nameOf(output));
  writer.text(4, node.op);
  writeAttributes(writer, node.attributes);
}

/** Every attribute of the operators used is an integer or a list of integers. */
function writeAttributes(writer: Writer, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    writer.message(5, () => {
      writer.text(1, name);
      if (typeof value === "number") writer.varint(3, value);
      else for (const element of value) writer.varint(8, element);
      writer.varint(20, typeof value === "number" ? 2 : 7);
    });
  }
}

function writeTensor(writer: Writer, name: string, type: TensorType, data: Uint8Array): void {
  for (const dimension of type.shape) writer.varint(1, Number(dimension));
  writer.varint(2, elementTypes[type.dtype]);
  writer.text(8, name);
  writer.bytes(9, data);
}

function rawBytes(dtype: DType, values: readonly number[]): Uint8Array {
  if (dtype === "bool") return Uint8Array.from(values);
  const array = dtype === "float32" ? Float32Array.from(values) : BigInt64Array.from(values, BigInt);
  return new Uint8Array(array.buffer);
}

function writeValueInfo(writer: Writer, name: string, type: TensorType): void {
  writer.text(1, name);
  writer.message(2, () =>
    writer.message(1, () => {
      writer.varint(1, elementTypes[type.dtype]);
      writer.message(2, () => {
        for (const dimension of type.shape) {
          writer.message(1, () => {
            if (typeof dimension === "number") writer.varint(1, dimension);
            else writer.text(2, dimension);
          });
        }
      });
    }),
  );
}
