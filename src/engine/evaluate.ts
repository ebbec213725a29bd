/**
 * Runs a graph in float64, one operator at a time by its definition: slow, short, and the oracle for everything faster.
 * Knows: operators' definitions. Does not know: ONNX, sessions.
 */
import { type DType, describeTensor, type Graph, type Tensor } from "./graph.ts";
import { sizeOf, type Value } from "./operators/operator.ts";
import { operators } from "./operators/table.ts";

export function value(dtype: DType, shape: readonly number[], elements: ArrayLike<number>): Value {
  if (sizeOf(shape) !== elements.length) throw new Error(`[${shape}] with ${elements.length} elements`);
  return { dtype, shape, data: Float64Array.from(elements) };
}

/** Values of `wanted` given those of the graph's inputs by name; throws Error where one is missing or a shape is not as inferred. */
export function evaluate(graph: Graph, inputs: Readonly<Record<string, Value>>, wanted: readonly Tensor[]): Value[] {
  const known = new Map<number, Value>();
  for (const input of graph.inputs) {
    const given = inputs[input.name!];
    if (given) known.set(input.id, checked(given, input));
  }
  const get = (tensor: Tensor): Value => {
    const held = known.get(tensor.id);
    if (held) return held;
    if (tensor.value) return value(tensor.dtype, tensor.shape.map(Number), tensor.value);
    throw new Error(`${tensor.name ?? "a tensor"} has no value`);
  };
  const needed = nodesFor(graph, wanted);
  graph.nodes.forEach((node, at) => {
    if (!needed.has(at)) return;
    const results = operators[node.op]!.evaluate(node.inputs.map(get), node.attributes);
    node.outputs.forEach((output, i) => {
      known.set(output.id, checked(results[i]!, output));
    });
  });
  return wanted.map(get);
}

/** Indices of the nodes on which `wanted` depends. */
export function nodesFor(graph: Graph, wanted: readonly Tensor[]): Set<number> {
  const tensors = new Set(wanted.map((tensor) => tensor.id));
  const needed = new Set<number>();
  for (let at = graph.nodes.length - 1; at >= 0; at--) {
    const node = graph.nodes[at]!;
    if (!node.outputs.some((output) => tensors.has(output.id))) continue;
    needed.add(at);
    for (const input of node.inputs) tensors.add(input.id);
  }
  return needed;
}

/** `held`, after comparing it with what the shape rule promised; named dimensions fit any size. */
function checked(held: Value, tensor: Tensor): Value {
  const fits =
    held.dtype === tensor.dtype &&
    held.shape.length === tensor.shape.length &&
    tensor.shape.every((dimension, i) => typeof dimension === "string" || dimension === held.shape[i]);
  if (!fits) throw new Error(`expected ${describeTensor(tensor)}, got ${describeTensor(held)}`);
  return held;
}
