/**
 * A graph that reads one text and gives what every module of the model made of it, for finding where two models part.
 * Knows: which tensors a comparison looks at. Does not know: what they are compared with.
 */
import type { DeepseekConfig } from "../../spec/deepseek-config.ts";
import type { Graph, Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";
import type { Program } from "../program.ts";
import { readSequence } from "./block.ts";
import { readingContext, toProgram } from "./deepseek.ts";
import { embed, head, newModelGraph } from "./model-graph.ts";
import { parametersOf } from "./parameters.ts";

/**
 * Input `tokens` int64 [1, length]; outputs float32 [length, width], one for each tap in the order in which the model runs:
 * `model.embed_tokens`, each layer's `self_attn.{q_nope,q_rope,latent,k_rope,context}`, `self_attn`, `mlp.gate` (scores with their
 * bias), `mlp.gate.chosen` (experts, best first), `mlp.experts`, `mlp.shared_experts` or `mlp`, the layer itself, `model.norm`,
 * `logits`. `edit` may change the graph before it is encoded.
 */
export function probeProgram(config: DeepseekConfig, edit: (graph: Graph) => void = () => undefined): Program {
  const parameters = parametersOf(config);
  const model = newModelGraph(config, parameters);
  const { graph } = model;
  const tokens = graph.input("tokens", "int64", [1, "length"]);
  const taps = new Map<string, Tensor>();
  const tap = (name: string, tensor: Tensor): void => void taps.set(name, tensor);
  const context = { ...readingContext(model, tokens), tap };
  const embedded = embed(model, tokens, context.rows);
  tap("model.embed_tokens", embedded);
  const { hidden } = readSequence(context, embedded, new Map());
  tap("logits", head(model, hidden));
  for (const [name, tensor] of taps) {
    graph.output(name, f.reshape(tensor, ["length", tensor.shape[1]!]));
  }
  edit(graph);
  return toProgram(graph, parameters, "probe");
}
