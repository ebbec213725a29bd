/**
 * A computation as data: typed nodes in the order in which they were built, each node one ONNX operator.
 * Knows: tensors, constants, named dynamic dimensions, composites with their own gradient. Does not know: how anything is run or encoded.
 */
import { operators } from "./operators/table.ts";

export type DType = "float32" | "int64" | "bool";

/** A fixed size, or the name of a size known only at run time; `a*b` names the product of two of them. */
export type Dimension = number | string;

export interface TensorType {
  readonly dtype: DType;
  readonly shape: readonly Dimension[];
}

export interface Tensor extends TensorType {
  readonly graph: Graph;
  readonly id: number;
  /** Set for graph inputs. */
  readonly name?: string;
  /** Set for constants: the elements in row-major order. */
  readonly value?: readonly number[];
}

/** ONNX attributes: integers and lists of integers are all that the operators used here have. */
export type Attributes = Readonly<Record<string, number | readonly number[]>>;

/** One ONNX node; `inputs` are exactly its ONNX inputs, `attributes` exactly its ONNX attributes. */
export interface Node {
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  readonly outputs: readonly Tensor[];
}

/** Gradients of a composite's inputs, given those of its outputs (undefined where nothing flowed back). */
export type Backward = (gradients: readonly (Tensor | undefined)[]) => readonly (Tensor | undefined)[];

/** Nodes `first` to `last` taken as one step of differentiation, because together their gradient is cheaper or more exact. */
export interface Composite {
  readonly first: number;
  readonly last: number;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly backward: Backward;
}

export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs: Tensor[] = [];
  readonly outputs: { readonly name: string; readonly tensor: Tensor }[] = [];
  readonly composites: Composite[] = [];
  #tensors = 0;
  #depth = 0;
  readonly #constants = new Map<string, Tensor>();
  readonly #dimensions = new Map<string, Tensor>();

  input(name: string, dtype: DType, shape: readonly Dimension[]): Tensor {
    if (this.inputs.some((input) => input.name === name)) throw new Error(`graph has two inputs named ${name}`);
    const tensor = this.#tensor({ dtype, shape }, { name });
    this.inputs.push(tensor);
    return tensor;
  }

  /** A constant; equal constants are one tensor. */
  constant(dtype: DType, shape: readonly number[], value: readonly number[]): Tensor {
    const size = shape.reduce((product, dimension) => product * dimension, 1);
    if (size !== value.length) throw new Error(`constant of shape [${shape}] with ${value.length} elements`);
    const key = value.length <= 64 ? `${dtype}[${shape}]${value.map((x) => (Object.is(x, -0) ? "-0" : x))}` : undefined;
    const known = key === undefined ? undefined : this.#constants.get(key);
    if (known) return known;
    const tensor = this.#tensor({ dtype, shape }, { value });
    if (key !== undefined) this.#constants.set(key, tensor);
    return tensor;
  }

  /** Appends a node; `types` overrides the operator's shape rule where a shape depends on run-time values. */
  apply(op: string, inputs: readonly Tensor[], attributes: Attributes = {}, types?: readonly TensorType[]): Tensor[] {
    const operator = operators[op];
    if (!operator) throw new Error(`${op} is not in the operator table`);
    for (const input of inputs) if (input.graph !== this) throw new Error(`${op}: an input is of another graph`);
    const outputs = (types ?? operator.infer(inputs, attributes)).map((type) => this.#tensor(type, {}));
    this.nodes.push({ op, inputs, attributes, outputs });
    return outputs;
  }

  /** Builds `outputs` by `forward` and differentiates them by `backward` instead of node by node; the outermost wins. */
  composite(
    inputs: readonly Tensor[],
    forward: () => { readonly outputs: readonly Tensor[]; readonly backward: Backward },
  ): readonly Tensor[] {
    const first = this.nodes.length;
    this.#depth++;
    const { outputs, backward } = forward();
    this.#depth--;
    if (this.#depth === 0) this.composites.push({ first, last: this.nodes.length - 1, inputs, outputs, backward });
    return outputs;
  }

  output(name: string, tensor: Tensor): void {
    if (this.outputs.some((output) => output.name === name)) throw new Error(`graph has two outputs named ${name}`);
    this.outputs.push({ name, tensor });
  }

  /** Says that the run-time size `name` is the int64 [1] tensor `size`, so that reshapes can use it. */
  defineDimension(name: string, size: Tensor): void {
    this.#dimensions.set(name, size);
  }

  /** The int64 [1] tensor that holds `dimension`. */
  dimension(dimension: Dimension): Tensor {
    if (typeof dimension === "number") return this.constant("int64", [1], [dimension]);
    const known = this.#dimensions.get(dimension);
    if (known) return known;
    const factors = dimension.split("*").map((factor) => (/^\d+$/.test(factor) ? Number(factor) : factor));
    if (factors.length === 1) throw new Error(`dimension ${dimension} has no defining tensor`);
    const size = factors
      .map((factor) => this.dimension(factor))
      .reduce((product, factor) => this.apply("Mul", [product, factor])[0]!);
    this.#dimensions.set(dimension, size);
    return size;
  }

  #tensor(type: TensorType, extra: { name?: string; value?: readonly number[] }): Tensor {
    return { graph: this, id: this.#tensors++, dtype: type.dtype, shape: [...type.shape], ...extra };
  }
}

/** `[batch,length,64] float32`, for messages. */
export function describeTensor(tensor: TensorType): string {
  return `[${tensor.shape}] ${tensor.dtype}`;
}
