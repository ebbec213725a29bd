/**
 * The routed experts of a layer: tokens are gathered expert by expert, go through all experts in one batched product, and return.
 * Knows: slots, capacity, their inverse. Does not know: how tokens were routed.
 *
 * Each expert has `capacity` slots. By default the capacity is the largest load of the batch, found at run time, so no token is
 * dropped; a fixed capacity makes every shape static, as Ascend's ATC wants, and drops what does not fit. Tokens return by
 * a gather with the slot that each one took: no addition into shared rows, so nothing depends on threads.
 */
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import type { Dimension, Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";
import type { SequenceContext } from "./attention.ts";
import { swiGlu } from "./layers.ts";
import { type Routing, route } from "./routing.ts";

/** Where each (token, choice) went and what each slot holds. */
interface Slots {
  readonly experts: number;
  readonly capacity: Dimension;
  readonly count: Dimension;
  /** int64 [rows · chosen]: the slot of each choice. */
  readonly slotOf: Tensor;
  /** int64 [slots]: the row that each slot holds; an empty slot names row 0. */
  readonly rowOf: Tensor;
  /** [rows, chosen, 1]: 1 where the choice has its slot, 0 where it was dropped; absent where none can be. */
  readonly kept?: Tensor;
  /** [rows, chosen]: weights, 0 where the choice was dropped. */
  readonly weights: Tensor;
  /** [slots, 1]: the weight of each slot, 0 where it is empty. */
  readonly weightOf: Tensor;
  /** int64 [experts]: choices per expert, dropped ones included. */
  readonly load: Tensor;
}

/** What experts need of the sequences and of the model around them. */
export type ExpertContext = Pick<SequenceContext, "graph" | "rows" | "expertCapacity" | "slotMultiple"> & {
  readonly config: Pick<
    DeepseekConfig,
    "hidden_size" | "moe_intermediate_size" | "n_routed_experts" | "num_experts_per_tok"
  >;
};

export type Projection = "gate_proj" | "up_proj" | "down_proj";

/** x [rows, hidden] → Σ weight · expert(x) [rows, hidden], and the experts' load as float32 [experts]. */
export function routedExperts(context: SequenceContext, layer: number, x: Tensor): { output: Tensor; load: Tensor } {
  const prefix = `model.layers.${layer}.mlp`;
  const weight = (expert: number, projection: Projection): Tensor =>
    context.parameter(`${prefix}.experts.${expert}.${projection}.weight`);
  return expertsOf(context, layer, x, { routing: route(context, prefix, x), weight });
}

/** The same for experts that were chosen, and are named, in another way: `weight` is [width, hidden], of down_proj the other way round. */
export function expertsOf(
  context: ExpertContext,
  layer: number,
  x: Tensor,
  { routing, weight }: { routing: Routing; weight: (expert: number, projection: Projection) => Tensor },
): { output: Tensor; load: Tensor } {
  const { config } = context;
  const slots = assignSlots(context, layer, routing);
  const { experts, capacity, count } = slots;
  const { hidden_size: hidden } = config;
  const width = config.moe_intermediate_size ?? 0;
  const stacked = (projection: Projection, shape: readonly number[]): Tensor =>
    f.reshape(
      f.concat(
        Array.from({ length: experts }, (_, expert) => weight(expert, projection)),
        0,
      ),
      [experts, ...shape],
    );
  const dispatched = f.reshape(dispatch(context, slots, x), [experts, capacity, hidden]);
  const gate = batchLinear(dispatched, stacked("gate_proj", [width, hidden]));
  const up = batchLinear(dispatched, stacked("up_proj", [width, hidden]));
  const down = batchLinear(swiGlu(gate, up), stacked("down_proj", [hidden, width]));
  return {
    output: combine(context, slots, f.reshape(down, [count, hidden])),
    load: f.cast(slots.load, "float32"),
  };
}

function assignSlots(context: ExpertContext, layer: number, routing: Routing): Slots {
  const { graph, config, rows } = context;
  const experts = config.n_routed_experts ?? 0;
  const chosen = config.num_experts_per_tok;
  const choices: Dimension = typeof rows === "number" ? rows * chosen : `${chosen}*${rows}`;
  const expertOf = f.reshape(routing.experts, [choices]);
  const hits = f.oneHot(expertOf, experts, "int64");
  const load = f.reduceSum(hits, [0], false);
  const nth = f.sub(f.reshape(f.gatherElements(f.cumSum(hits, 0), f.reshape(expertOf, [choices, 1]), 1), [choices]), 1);
  const order = countUp(context, choices);
  const flatWeights = f.reshape(routing.weights, [choices]);
  const scatter = (size: Dimension, slotOf: Tensor, from: Tensor): Tensor =>
    f.scatterElements(f.expand(graph.constant(from.dtype, [1], [0]), [size]), slotOf, from, 0);

  const fixed = context.expertCapacity;
  if (fixed === undefined) {
    const [capacity, count] = [`capacity${layer}`, `${experts}*capacity${layer}`];
    const most = roundedUp(f.reduceMax(load, [0]), context.slotMultiple ?? 1);
    graph.defineDimension(capacity, most);
    const slotOf = f.add(f.mul(expertOf, most), nth);
    const rowOf = f.div(scatter(count, slotOf, order), chosen);
    const weightOf = f.reshape(scatter(count, slotOf, flatWeights), [count, 1]);
    return { experts, capacity, count, slotOf, rowOf, weights: routing.weights, weightOf, load };
  }
  // A dropped choice writes to a slot of its own behind the real ones, and reads slot 0 with weight 0.
  const count = experts * fixed;
  if (typeof choices !== "number") throw new Error("a fixed expert capacity needs a fixed number of tokens");
  const fits = f.less(nth, graph.constant("int64", [], [fixed]));
  const slotOf = f.where(fits, f.add(f.mul(expertOf, fixed), nth), graph.constant("int64", [], [0]));
  const writeTo = f.where(fits, slotOf, f.add(order, count));
  const real = (written: Tensor): Tensor => f.slice(written, 0, 0, count);
  const kept = f.where(fits, flatWeights, f.scalar(graph, 0));
  return {
    ...{ experts, capacity: fixed, count, slotOf, load },
    rowOf: f.div(real(scatter(count + choices, writeTo, order)), chosen),
    kept: f.reshape(f.cast(fits, "float32"), [rows, chosen, 1]),
    weights: f.reshape(kept, [rows, chosen]),
    weightOf: f.reshape(real(scatter(count + choices, writeTo, kept)), [count, 1]),
  };
}

const roundedUp = (count: Tensor, multiple: number): Tensor =>
  multiple === 1 ? count : f.mul(f.div(f.add(count, multiple - 1), multiple), multiple);

/** int64 [choices]: 0, 1, 2, … */
function countUp({ graph }: ExpertContext, choices: Dimension): Tensor {
  if (typeof choices === "number") return f.integers(graph, [...Array(choices).keys()]);
  return f.range(graph.dimension(choices), choices);
}

/** Rows of x [rows, hidden] in slot order. Backward: each row adds up what its own slots received. */
function dispatch({ rows, config }: ExpertContext, slots: Slots, x: Tensor): Tensor {
  const { hidden_size: hidden, num_experts_per_tok: chosen } = config;
  return x.graph.composite([x], () => ({
    outputs: [f.gather(x, slots.rowOf)],
    backward: ([dy]) => {
      if (!dy) return [undefined];
      const returned = f.reshape(f.gather(dy, slots.slotOf), [rows, chosen, hidden]);
      return [f.reduceSum(slots.kept ? f.mul(returned, slots.kept) : returned, [1], false)];
    },
  }))[0]!;
}

/** Σ over choices of weight · y[slot], for y [slots, hidden]. Empty slots receive a zero gradient, because their weight is 0. */
function combine({ rows, config }: ExpertContext, slots: Slots, y: Tensor): Tensor {
  const { hidden_size: hidden, num_experts_per_tok: chosen } = config;
  const { slotOf, rowOf, weights, weightOf } = slots;
  return y.graph.composite([y, weights], () => {
    const returned = f.reshape(f.gather(y, slotOf), [rows, chosen, hidden]);
    return {
      outputs: [f.reduceSum(f.mul(returned, f.reshape(weights, [rows, chosen, 1])), [1], false)],
      backward: ([dy]) => {
        if (!dy) return [undefined, undefined];
        const dweights = f.reduceSum(f.mul(returned, f.reshape(dy, [rows, 1, hidden])), [2], false);
        return [f.mul(f.gather(dy, rowOf), weightOf), dweights];
      },
    };
  })[0]!;
}

/** x [batch, rows, in] · weightᵀ [batch, out, in]. */
function batchLinear(x: Tensor, weight: Tensor): Tensor {
  return x.graph.composite([x, weight], () => ({
    outputs: [f.matMul(x, f.transposeMatrix(weight))],
    backward: ([dy]) => (dy ? [f.matMul(dy, weight), f.matMul(f.transposeMatrix(dy), x)] : [undefined, undefined]),
  }))[0]!;
}
