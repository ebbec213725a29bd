/**
 * Reverse-mode differentiation: appends to a graph the nodes that compute d loss / d each wanted tensor.
 * Knows: operators' gradient rules, composites. Does not know: what a parameter is, how the graph is run.
 */
import type { Graph, Tensor } from "./graph.ts";
import { add, scalar } from "./operators/functions.ts";
import { operators } from "./operators/table.ts";

/**
 * Gradients of the scalar `loss` (shape []) in the order of `wanted`, each of its tensor's shape.
 * Throws Error where a path from a wanted tensor runs through an operator without a gradient, or where `wanted` does not reach `loss`.
 */
export function gradients(graph: Graph, loss: Tensor, wanted: readonly Tensor[]): Tensor[] {
  if (loss.shape.length !== 0) throw new Error(`the loss must be one number, not [${loss.shape}]`);
  const differentiable = dependents(graph, wanted);
  const arrived = new Map<number, Tensor>([[loss.id, scalar(graph, 1)]]);
  const accumulate = (inputs: readonly Tensor[], flows: readonly (Tensor | undefined)[]): void => {
    inputs.forEach((input, i) => {
      const flow = flows[i];
      if (!flow || !differentiable.has(input.id)) return;
      if (flow.shape.length !== input.shape.length || flow.shape.some((size, axis) => size !== input.shape[axis])) {
        throw new Error(`a gradient of shape [${flow.shape}] arrived at a tensor of shape [${input.shape}]`);
      }
      const before = arrived.get(input.id);
      arrived.set(input.id, before ? add(before, flow) : flow);
    });
  };
  const composites = new Map(graph.composites.map((composite) => [composite.last, composite]));
  for (let at = graph.nodes.length - 1; at >= 0; at--) {
    const composite = composites.get(at);
    if (composite) {
      const flows = composite.outputs.map((output) => arrived.get(output.id));
      if (flows.some(Boolean)) accumulate(composite.inputs, composite.backward(flows));
      at = composite.first;
      continue;
    }
    const node = graph.nodes[at]!;
    const flows = node.outputs.map((output) => arrived.get(output.id));
    if (!flows.some(Boolean) || !node.inputs.some((input) => differentiable.has(input.id))) continue;
    const rule = operators[node.op]?.gradient;
    if (!rule) throw new Error(`${node.op} lies between a parameter and the loss, but has no gradient`);
    accumulate(node.inputs, rule({ node, gradients: flows }));
  }
  return wanted.map((tensor) => {
    const gradient = arrived.get(tensor.id);
    if (!gradient) throw new Error(`${tensor.name ?? "a tensor"} does not reach the loss`);
    return gradient;
  });
}

/** Ids of the float tensors that change when one of `roots` does. */
function dependents(graph: Graph, roots: readonly Tensor[]): Set<number> {
  const ids = new Set(roots.map((root) => root.id));
  for (const node of graph.nodes) {
    if (!node.inputs.some((input) => ids.has(input.id))) continue;
    for (const output of node.outputs) if (output.dtype === "float32") ids.add(output.id);
  }
  return ids;
}
