/**
 * Writes a graph as an ONNX model: protocol-buffer bytes that ONNX Runtime, CANN's provider and ATC read.
 * Knows: the wire format and onnx.proto3's field numbers (onnx/onnx, IR version 7, operator set 13). Does not know: any operator.
 */

import { nodesFor } from "./evaluate.ts";
import type { Attributes, Dimension, DType, Graph, Node, Tensor } from "./graph.ts";
import { operators } from "./operators/table.ts";

/** CANN 6 reads sets 9 to 13 and its ONNX Runtime provider at most 15; nothing here needs a newer one than 13. */
export const operatorSet = 13;
const irVersion = 7;
const elementTypes: Readonly<Record<DType, number>> = { float32: 1, int64: 7, bool: 9 };

/** A growing buffer with the four writes that protocol buffers need. */
class Writer {
  #bytes = new Uint8Array(1024);
  #length = 0;

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  varint(field: number, value: number | bigint): void {
    this.#varint(BigInt(field << 3));
    this.#varint(BigInt.asUintN(64, BigInt(value)));
  }

  float(field: number, value: number): void {
    this.#varint(BigInt((field << 3) | 5));
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    this.#raw(bytes);
  }

  bytes(field: number, value: Uint8Array): void {
    this.#varint(BigInt((field << 3) | 2));
    this.#varint(BigInt(value.length));
    this.#raw(value);
  }

  text(field: number, value: string): void {
    this.bytes(field, new TextEncoder().encode(value));
  }

  message(field: number, write: (writer: Writer) => void): void {
    const inner = new Writer();
    write(inner);
    this.bytes(field, inner.finish());
  }

  #varint(value: bigint): void {
    let rest = value;
    while (rest > 0x7fn) {
      this.#raw(Uint8Array.of(Number(rest & 0x7fn) | 0x80));
      rest >>= 7n;
    }
    this.#raw(Uint8Array.of(Number(rest)));
  }

  #raw(bytes: Uint8Array): void {
    while (this.#length + bytes.length > this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}

export interface EncodedGraph {
  readonly onnx: Uint8Array;
  /** Operator types written, sorted. */
  readonly operators: readonly string[];
  readonly nodes: number;
}

/** The graph as ONNX bytes; nodes on which no output depends are left out. Names of inputs and outputs are kept. */
export function encode(graph: Graph, name: string): EncodedGraph {
  const names = new Map<number, string>(graph.inputs.map((input) => [input.id, input.name!]));
  const nodes = [
    ...nodesFor(
      graph,
      graph.outputs.map(({ tensor }) => tensor),
    ),
  ].sort((a, b) => a - b);
  const kept = nodes.map((at) => graph.nodes[at]!);
  const produced = new Set(kept.flatMap((node) => node.outputs.map((output) => output.id)));
  const copies: { from: Tensor; to: string }[] = [];
  for (const output of graph.outputs) {
    if (produced.has(output.tensor.id) && !names.has(output.tensor.id)) names.set(output.tensor.id, output.name);
    else copies.push({ from: output.tensor, to: output.name });
  }
  const nameOf = (tensor: Tensor): string => names.get(tensor.id) ?? `t${tensor.id}`;
  const constants = new Map<number, Tensor>();
  const used = [...kept.flatMap((node) => node.inputs), ...copies.map(({ from }) => from)];
  for (const tensor of used) if (tensor.value) constants.set(tensor.id, tensor);

  const writer = new Writer();
  writer.varint(1, irVersion);
  writer.text(2, "dualgauge");
  writer.message(7, (model) => {
    for (const node of kept) model.message(1, (inner) => writeNode(inner, node, nameOf));
    for (const { from, to } of copies) {
      model.message(1, (inner) => {
        inner.text(1, nameOf(from));
        inner.text(2, to);
        inner.text(4, "Identity");
      });
    }
    model.text(2, name);
    for (const tensor of constants.values()) model.message(5, (inner) => writeConstant(inner, nameOf(tensor), tensor));
    for (const input of graph.inputs) model.message(11, (inner) => writeValueInfo(inner, input.name!, input));
    for (const output of graph.outputs) model.message(12, (inner) => writeValueInfo(inner, output.name, output.tensor));
  });
  writer.message(8, (set) => {
    set.text(1, "");
    set.varint(2, operatorSet);
  });
  const types = new Set(kept.map((node) => node.op));
  if (copies.length > 0) types.add("Identity");
  return { onnx: writer.finish(), operators: [...types].sort(), nodes: kept.length + copies.length };
}

function writeNode(writer: Writer, node: Node, nameOf: (tensor: Tensor) => string): void {
  for (const input of node.inputs) writer.text(1, nameOf(input));
  for (const output of node.outputs) writer.text(2, nameOf(output));
  writer.text(4, node.op);
  writeAttributes(writer, node.attributes, operators[node.op]?.floatAttributes ?? []);
}

function writeAttributes(writer: Writer, attributes: Attributes, floats: readonly string[]): void {
  for (const [name, value] of Object.entries(attributes)) {
    writer.message(5, (attribute) => {
      attribute.text(1, name);
      if (typeof value !== "number") {
        for (const element of value) attribute.varint(8, element);
        attribute.varint(20, 7);
      } else if (floats.includes(name)) {
        attribute.float(2, value);
        attribute.varint(20, 1);
      } else {
        attribute.varint(3, value);
        attribute.varint(20, 2);
      }
    });
  }
}

function writeConstant(writer: Writer, name: string, tensor: Tensor): void {
  for (const dimension of tensor.shape) writer.varint(1, Number(dimension));
  writer.varint(2, elementTypes[tensor.dtype]);
  writer.text(8, name);
  writer.bytes(9, rawBytes(tensor.dtype, tensor.value!));
}

function rawBytes(dtype: DType, values: readonly number[]): Uint8Array {
  if (dtype === "bool") return Uint8Array.from(values);
  const array = dtype === "float32" ? Float32Array.from(values) : BigInt64Array.from(values, BigInt);
  return new Uint8Array(array.buffer);
}

function writeValueInfo(writer: Writer, name: string, tensor: { dtype: DType; shape: readonly Dimension[] }): void {
  writer.text(1, name);
  writer.message(2, (type) => {
    type.message(1, (inner) => {
      inner.varint(1, elementTypes[tensor.dtype]);
      inner.message(2, (shape) => {
        for (const dimension of tensor.shape) {
          shape.message(1, (size) => {
            if (typeof dimension === "number") size.varint(1, dimension);
            else size.text(2, dimension);
          });
        }
      });
    });
  });
}
