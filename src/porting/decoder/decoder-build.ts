/**
 * A decoder graph under construction, whose parameters become graph inputs when they are first asked for.
 * Knows: which were asked for, with which shapes. Does not know: what is built of them.
 */
import type { Graph, Tensor } from "../../engine/graph.ts";
import type { DecoderConfig } from "./decoder-config.ts";

export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface DecoderBuild {
  readonly graph: Graph;
  readonly config: DecoderConfig;
  readonly parameters: ParameterShape[];
  /** `shape` may be left out for a parameter that is `known`. */
  readonly parameter: (name: string, shape?: readonly number[]) => Tensor;
}

export function newBuild(graph: Graph, config: DecoderConfig, known: readonly ParameterShape[]): DecoderBuild {
  const shapes = new Map(known.map(({ name, shape }) => [name, shape]));
  const tensors = new Map<string, Tensor>();
  const parameters: ParameterShape[] = [];
  const parameter = (name: string, given?: readonly number[]): Tensor => {
    const asked = tensors.get(name);
    if (asked) return asked;
    const shape = given ?? shapes.get(name);
    if (!shape) throw new Error(`the model has no parameter ${name}`);
    const tensor = graph.input(name, "float32", shape);
    tensors.set(name, tensor);
    parameters.push({ name, shape });
    return tensor;
  };
  return { graph, config, parameters, parameter };
}
