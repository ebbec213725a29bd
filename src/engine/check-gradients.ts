/**
 * Compares a graph's gradients with central differences of its loss, both in float64.
 * Knows: which elements to try, how a routing flip shows. Does not know: what the graph computes.
 *
 * Float32 differences fail falsely where the nudge makes a router choose another expert. Here both sides are float64, and an
 * element whose nudge changes any top-k choice is counted as a flip, not as a failure.
 */
import type { Random } from "../spec/random.ts";
import { evaluate } from "./evaluate.ts";
import type { Graph, Tensor } from "./graph.ts";
import type { Value } from "./operators/operator.ts";

export interface GradientCheck {
  /** Elements compared. */
  readonly checked: number;
  /** Elements left out because the nudge changed a choice of experts. */
  readonly flips: number;
  readonly worst: {
    readonly tensor: string;
    readonly element: number;
    readonly analytic: number;
    readonly numeric: number;
    /** |analytic − numeric| / max(1e-4, |analytic| + |numeric|): below that, float64 differences are rounding noise. */
    readonly error: number;
  };
}

/**
 * Checks `gradients[i]`, the gradient of `loss` by the graph input `wanted[i]`, at up to `elementsPerTensor` elements each,
 * chosen by `random`. `inputs` are the values of the graph's inputs; they are left as they were.
 */
export function checkGradients(check: {
  readonly graph: Graph;
  readonly loss: Tensor;
  readonly wanted: readonly Tensor[];
  readonly gradients: readonly Tensor[];
  readonly inputs: Readonly<Record<string, Value>>;
  readonly elementsPerTensor: number;
  readonly random: Random;
}): GradientCheck {
  const { graph, loss, wanted, inputs, random } = check;
  const choices = graph.nodes.filter((node) => node.op === "TopK").map((node) => node.outputs[1]!);
  const at = (): { loss: number; choices: string } => {
    const [value, ...chosen] = evaluate(graph, inputs, [loss, ...choices]);
    return { loss: value!.data[0]!, choices: chosen.map((one) => one.data.join()).join(";") };
  };
  const analytic = evaluate(graph, inputs, check.gradients);
  const undisturbed = at().choices;
  let [checked, flips] = [0, 0];
  let worst: GradientCheck["worst"] = { tensor: "", element: 0, analytic: 0, numeric: 0, error: 0 };
  wanted.forEach((tensor, i) => {
    const { data } = inputs[tensor.name!]!;
    for (const element of pick(data.length, check.elementsPerTensor, random)) {
      const original = data[element]!;
      const nudge = 1e-5 * Math.max(1, Math.abs(original));
      data[element] = original + nudge;
      const above = at();
      data[element] = original - nudge;
      const below = at();
      data[element] = original;
      if (above.choices !== undisturbed || below.choices !== undisturbed) {
        flips++;
        continue;
      }
      checked++;
      const [exact, numeric] = [analytic[i]!.data[element]!, (above.loss - below.loss) / (2 * nudge)];
      const error = Math.abs(exact - numeric) / Math.max(1e-4, Math.abs(exact) + Math.abs(numeric));
      if (!(error <= worst.error)) worst = { tensor: tensor.name!, element, analytic: exact, numeric, error };
    }
  });
  return { checked, flips, worst };
}

/** All indices below `count`, or `most` different ones. */
function pick(count: number, most: number, random: Random): Iterable<number> {
  if (count <= most) return Array(count).keys();
  const chosen = new Set<number>();
  while (chosen.size < most) chosen.add(random.below(count));
  return chosen;
}
