/**
 * The training loss and its gradients: next-token cross entropy, multi-token prediction, expert loads.
 * Knows: which tokens are inputs and which are targets. Does not know: how a gradient is used.
 */
import { gradients } from "../gradients.ts";
import type { Tensor } from "../graph.ts";
import * as f from "../operators/functions.ts";
import { type Loads, norm, readBlock, readSequence } from "./block.ts";
import { crossEntropy, linear } from "./layers.ts";
import { embed, head, type ModelGraph, sequenceContext } from "./model-graph.ts";

export interface GradShape {
  readonly microBatch: number;
  readonly seqLength: number;
  readonly mtpLossWeight: number;
  /** Slots per expert as a multiple of an even share; undefined drops no token. */
  readonly expertCapacityFactor?: number;
}

/** Builds the `grad` program of program.ts. */
export function buildGrad(model: ModelGraph, shape: GradShape): void {
  const { loss, nextTokenLoss, loads } = buildLoss(model, shape);
  const trained = model.specs.filter((spec) => spec.update !== "routing-bias");
  const grads = gradients(
    model.graph,
    loss,
    trained.map((spec) => model.parameter(spec.name)),
  );
  model.graph.output("loss", loss);
  model.graph.output("nextTokenLoss", nextTokenLoss);
  trained.forEach((spec, i) => {
    model.graph.output(`grad/${spec.name}`, grads[i]!);
  });
  for (const [layer, load] of loads) model.graph.output(`load/${layer}`, load);
}

/** The loss on an input `tokens` int64 [microBatch, seqLength + 1]. */
export function buildLoss(model: ModelGraph, shape: GradShape): { loss: Tensor; nextTokenLoss: Tensor; loads: Loads } {
  const { microBatch: batch, seqLength: length } = shape;
  const rows = batch * length;
  const tokens = model.graph.input("tokens", "int64", [batch, length + 1]);
  const loads: Loads = new Map();
  const context = sequenceContext(model, { batch, length, expertCapacity: capacityOf(model, rows, shape) });
  const embedded = embed(model, f.slice(tokens, 1, 0, length), rows);
  const { hidden } = readSequence(context, embedded, loads);
  const targets = f.reshape(f.slice(tokens, 1, 1, length + 1), [rows]);
  const nextTokenLoss = crossEntropy(head(model, hidden), targets);
  if (model.config.num_nextn_predict_layers === 0) return { loss: nextTokenLoss, nextTokenLoss, loads };
  const secondLoss = secondTokenLoss(model, shape, { tokens, hidden, loads });
  return { loss: f.add(nextTokenLoss, f.mul(secondLoss, shape.mtpLossWeight)), nextTokenLoss, loads };
}

/**
 * Multi-token prediction of depth 1 (DeepSeek-V3 report §2.2): from the state at i and the embedding of token i+1, predict
 * token i+2 with the main model's embedding and head. The state is taken after the final norm, as vLLM and SGLang do with
 * the published weights; the order in eh_proj is embedding, then state.
 */
function secondTokenLoss(
  model: ModelGraph,
  shape: GradShape,
  { tokens, hidden, loads }: { tokens: Tensor; hidden: Tensor; loads: Loads },
): Tensor {
  const { config, parameter } = model;
  const { microBatch: batch, seqLength } = shape;
  const length = seqLength - 1;
  if (length < 1) throw new Error("multi-token prediction needs sequences of at least 2 tokens");
  const rows = batch * length;
  const layer = config.num_hidden_layers;
  const prefix = `model.layers.${layer}`;
  const context = sequenceContext(model, { batch, length, expertCapacity: capacityOf(model, rows, shape) });
  const width = config.hidden_size;
  const states = f.reshape(f.slice(f.reshape(hidden, [batch, seqLength, width]), 1, 0, length), [rows, width]);
  const next = embed(model, f.slice(tokens, 1, 1, seqLength), rows);
  const joined = f.concat([norm(context, `${prefix}.enorm`, next), norm(context, `${prefix}.hnorm`, states)], 1);
  const { output } = readBlock(context, layer, linear(joined, parameter(`${prefix}.eh_proj.weight`)), loads);
  const logits = head(model, norm(context, `${prefix}.shared_head.norm`, output));
  return crossEntropy(logits, f.reshape(f.slice(tokens, 1, 2, seqLength + 1), [rows]));
}

function capacityOf({ config }: ModelGraph, rows: number, { expertCapacityFactor }: GradShape): number | undefined {
  if (expertCapacityFactor === undefined) return undefined;
  const even = (rows * config.num_experts_per_tok) / Math.max(1, config.n_routed_experts ?? 1);
  return Math.min(rows, Math.ceil(even * expertCapacityFactor));
}
