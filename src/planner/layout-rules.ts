/**
 * Says which layouts are legal, and why the others are not.
 * Knows: divisibility and the rules of Megatron-LM, MindSpeed and DualPipe. Does not know: time, memory.
 */
import type { Architecture } from "../spec/architecture.ts";
import type { Layout } from "../spec/layout.ts";

/** A rule that a layout broke: a short reason to count by, and the sentence for a person. */
export interface BrokenRule {
  readonly reason: string;
  readonly sentence: string;
}

const broken = (reason: string, sentence: string): BrokenRule => ({ reason, sentence });

/** What a layout is judged against. */
export interface LayoutFrame {
  readonly architecture: Architecture;
  readonly devices: number;
  readonly globalBatch: number;
  readonly seq: number;
  readonly nodeDevices: number;
}

/** The first rule that `layout` breaks, or null. Order: cheap and general rules first. */
export function brokenRule(frame: LayoutFrame, layout: Layout): BrokenRule | null {
  return (
    degreesRule(frame, layout) ??
    modelRule(frame, layout) ??
    batchRule(frame, layout) ??
    expertRule(frame, layout) ??
    scheduleRule(frame, layout)
  );
}

function degreesRule({ devices }: LayoutFrame, { tp, pp, dp, cp }: Layout): BrokenRule | null {
  if (tp * pp * dp * cp === devices) return null;
  return broken(
    "does not divide: devices",
    `tp ${tp} × pp ${pp} × cp ${cp} × dp ${dp} is ${tp * pp * cp * dp}, not ${devices} devices`,
  );
}

function modelRule({ architecture: a, seq }: LayoutFrame, { tp, pp, cp, vpp }: Layout): BrokenRule | null {
  if (a.heads % tp !== 0)
    return broken("does not divide: attention heads", `${a.heads} attention heads do not divide by tp ${tp}`);
  // Megatron replicates key/value heads when tp exceeds them, but the two must divide one another.
  if (!a.mla && a.kvHeads % tp !== 0 && tp % a.kvHeads !== 0)
    return broken(
      "does not divide: key/value heads",
      `${a.kvHeads} key/value heads and tp ${tp} do not divide one another`,
    );
  if (a.ffn > 0 && a.ffn % tp !== 0)
    return broken("does not divide: MLP width", `MLP width ${a.ffn} does not divide by tp ${tp}`);
  const chunks = pp * vpp;
  if (chunks > a.layers)
    return broken("does not divide: layers", `${a.layers} layers are fewer than pp ${pp} × vpp ${vpp} stages`);
  const perChunk = Math.ceil(a.layers / chunks);
  // A last chunk may be shorter (the output head fills it), an empty one may not.
  // Megatron can count the embedding and the head as layers, which makes Llama 3's 126 even.
  const even = (a.layers + 2) % chunks === 0 || (a.layers + 1) % chunks === 0;
  if (!even && perChunk * (chunks - 1) >= a.layers)
    return broken(
      "does not divide: layers",
      `${a.layers} layers over pp ${pp} × vpp ${vpp} stages of ${perChunk} leave one empty`,
    );
  if (seq % (cp * 2) !== 0 && cp > 1)
    return broken(
      "does not divide: sequence",
      `sequence ${seq} does not divide by 2 × cp ${cp}, which causal balance needs`,
    );
  if ((seq / cp) % tp !== 0)
    return broken("does not divide: sequence", `sequence ${seq} over cp ${cp} does not divide by tp ${tp}`);
  return null;
}

function batchRule({ globalBatch }: LayoutFrame, { dp, microBatch }: Layout): BrokenRule | null {
  if (globalBatch % (dp * microBatch) === 0) return null;
  return broken(
    "does not divide: batch",
    `global batch ${globalBatch} does not divide by dp ${dp} × micro-batch ${microBatch}`,
  );
}

function expertRule({ architecture: { moe } }: LayoutFrame, { ep, dp, cp, tp }: Layout): BrokenRule | null {
  if (!moe) return ep === 1 ? null : broken("no experts", `ep ${ep} but the model has no experts`);
  if (moe.experts % ep !== 0)
    return broken("does not divide: experts", `${moe.experts} experts do not divide by ep ${ep}`);
  if ((dp * cp * tp) % ep !== 0)
    return broken("does not divide: expert ranks", `ep ${ep} does not divide dp × cp × tp = ${dp * cp * tp} ranks`);
  return null;
}

function scheduleRule({ globalBatch, nodeDevices }: LayoutFrame, layout: Layout): BrokenRule | null {
  const { pp, vpp, dp, microBatch, schedule, tp } = layout;
  const microBatches = globalBatch / (dp * microBatch);
  if (tp > nodeDevices)
    return broken("framework rule: tp beyond a node", `tp ${tp} is wider than a node's ${nodeDevices} devices`);
  if (vpp > 1 && schedule !== "interleaved" && schedule !== "dualpipe")
    return broken("framework rule: interleaving", `vpp ${vpp} needs --schedule interleaved`);
  if (schedule === "interleaved" && pp < 2)
    return broken("framework rule: interleaving", "the interleaved schedule needs pp of at least 2");
  if (schedule === "interleaved" && microBatches % pp !== 0)
    return broken(
      "framework rule: interleaving",
      `${microBatches} micro-batches do not divide by pp ${pp}, which Megatron's interleaving needs`,
    );
  if (schedule === "dualpipe" && (pp % 2 !== 0 || microBatches % 2 !== 0 || microBatches < 2 * pp))
    return broken(
      "framework rule: DualPipe",
      `DualPipe needs an even pp and at least 2 × pp micro-batches, both even; got pp ${pp}, ${microBatches}`,
    );
  if (layout.zero >= 2 && pp > 1)
    return broken(
      "framework rule: ZeRO with pipeline",
      `ZeRO-${layout.zero} shards gradients that a pipeline of ${pp} still adds to; use zero=1`,
    );
  return null;
}
