/**
 * Predicts what a published training run should have measured, with its unknown fields as ranges.
 * Knows: which values an unknown field may have. Does not know: the measured value; it is never read here.
 */
import { requireAccelerator } from "../catalog/accelerators.ts";
import { whyNoArchitecture } from "../catalog/models-without-shape.ts";
import { type Constants, guessedConstants, stackScale } from "../cost/constants.ts";
import { momentsInHalf, withoutCommunicationCores } from "../cost/deepseek.ts";
import { trainingFlopsPerToken } from "../cost/flops.ts";
import { type Hardware, hardwareFor } from "../cost/hardware.ts";
import { layerSeconds } from "../cost/layer.ts";
import { deviceMemory, fullOptimizerBytes } from "../cost/memory.ts";
import { type ModelShape, modelShape, type StepSetup } from "../cost/setup.ts";
import { stepSeconds } from "../cost/step.ts";
import { layerTraffic } from "../cost/traffic.ts";
import type { Layout } from "../spec/layout.ts";
import type { TrainingCase } from "./training-rows.ts";

/** The predicted quantity: its middle and the range over unknown fields. */
export interface CasePrediction {
  readonly predicted: number;
  readonly low: number;
  readonly high: number;
  /** How many settings of the unknown fields were tried. */
  readonly settings: number;
}

/** A case with everything derived that does not depend on the constants, so that a fit can evaluate it often. */
export interface PreparedCase {
  readonly run: TrainingCase;
  readonly hardware: Hardware;
  readonly settings: readonly Setting[];
}

interface Setting {
  readonly layout: Layout;
  readonly seq: number;
  readonly globalBatch: number;
  readonly devices: number;
  readonly shape: ModelShape;
}

/** Settings of the unknown fields that divide and fit, or the reason why there is none. */
export function prepareCase(run: TrainingCase): PreparedCase | { reason: string } {
  if (!run.architecture) return { reason: whyNoArchitecture(run.modelName) };
  const published = hardwareFor(requireAccelerator(run.accelerator, run.id), run.precision);
  const hardware = published && {
    ...(run.stack === "deepseek" ? withoutCommunicationCores(published) : published),
    interBytesPerSecond: run.interBytesPerSecond ?? published.interBytesPerSecond,
    intraBytesPerSecond: run.intraBytesPerSecond ?? published.intraBytesPerSecond,
  };
  if (!hardware) return { reason: `${run.accelerator} has no published ${run.precision} peak` };
  if (run.seq === null && run.tp === null && run.devices === null)
    return { reason: "neither sequence length, devices nor parallelism are known" };
  const all =
    run.quantity === "layerSeconds" ? [layerSetting(run, run.architecture)] : settingsOf(run, run.architecture);
  const fitting = all.filter((setting) => fits(run, hardware, setting));
  // A published run did run: when the memory model refuses every setting, the refusal is its own error, not the run's, and
  // the run must have spared what it could.
  const sparing = all.filter(({ layout }) => run.recompute === null && layout.recompute === "full");
  const settings = sensible(run, fitting.length > 0 ? fitting : sparing.length > 0 ? sparing : all);
  if (settings.length === 0) return { reason: "no setting of the unknown fields divides" };
  return { run, hardware, settings: spanOf(run, hardware, settings) };
}

/**
 * What nobody runs is left out of the range of an unknown field: pipelines with fewer micro-batches than stages,
 * interleaving that Megatron refuses, and accumulation over micro-batches smaller than fit where parameters are gathered anew
 * for each. Everything when nothing else is left.
 */
function sensible(run: TrainingCase, settings: Setting[]): Setting[] {
  const largest = Math.max(...settings.map(({ layout }) => layout.microBatch));
  const kept = settings.filter(({ layout, globalBatch }) => {
    const microBatches = globalBatch / (layout.dp * layout.microBatch);
    if (layout.pp > 1 && run.microBatch === null && microBatches < layout.pp) return false;
    if (layout.vpp > 1 && run.vpp === null && microBatches % layout.pp !== 0) return false;
    return layout.zero < 3 || run.microBatch !== null || run.tp === null || layout.microBatch === largest;
  });
  return kept.length > 0 ? kept : settings;
}

/**
 * The best, a typical and the worst setting under the guessed constants: they stand for the whole range. Typical is
 * the median where the parallel degrees are known, the best tenth where even those are free: published runs were tuned.
 */
function spanOf(run: TrainingCase, hardware: Hardware, settings: readonly Setting[]): Setting[] {
  if (settings.length <= 2) return [...settings];
  const sign = timeLike(run) ? 1 : -1;
  const ranked = settings
    .map((setting) => ({ setting, value: sign * quantityOf(run, hardware, setting, guessedConstants) }))
    .sort((a, b) => a.value - b.value);
  const typical = ranked[Math.floor(ranked.length * (run.tp === null ? 0.1 : 0.5))];
  const pick = [ranked[0], typical, ranked[ranked.length - 1]];
  return pick.flatMap((entry) => (entry ? [entry.setting] : []));
}

function layerSetting(run: TrainingCase, architecture: NonNullable<TrainingCase["architecture"]>): Setting {
  const seq = run.seq ?? 2048;
  const layout = {
    tp: run.tp ?? 1,
    pp: 1,
    dp: 1,
    ep: 1,
    cp: 1,
    vpp: 1,
    zero: 0,
    recompute: run.recompute ?? "none",
    microBatch: run.microBatch ?? 1,
    schedule: "1f1b",
  } as const;
  return { layout, seq, globalBatch: layout.microBatch, devices: layout.tp, shape: modelShape(architecture, seq) };
}

const powers = (most: number): number[] => [1, 2, 4, 8, 16, 32, 64].filter((value) => value <= most);

/** Every setting of the unknown fields that divides; known fields are taken as they are, even when they do not divide. */
function settingsOf(run: TrainingCase, architecture: NonNullable<TrainingCase["architecture"]>): Setting[] {
  const settings: Setting[] = [];
  const shard =
    run.stack === "fsdp" || run.stack === "torchtitan" || run.stack === "maxtext" || run.stack === "deepspeed";
  for (const seq of run.seq ? [run.seq] : [2048, 4096]) {
    const shape = modelShape(architecture, seq, run.documentTokens);
    for (const [tp, pp, cp] of splits(run, architecture, seq))
      for (const devices of deviceCounts(run, tp * pp * cp)) {
        const dp = run.dp ?? Math.max(1, Math.round(devices / (tp * pp * cp)));
        for (const ep of expertDegrees(run, dp * cp * tp))
          for (const globalBatch of batches(run, dp, pp, seq))
            for (const microBatch of microBatches(run, globalBatch, dp))
              for (const vpp of interleavings(run, architecture.layers, pp))
                for (const recompute of recomputes(run)) {
                  const zero = run.zero ?? (shard && pp === 1 ? 3 : dp > 1 ? 1 : 0);
                  const schedule = run.schedule ?? (vpp > 1 ? "interleaved" : "1f1b");
                  settings.push({
                    layout: { tp, pp, dp, ep, cp, vpp, zero, recompute, microBatch, schedule },
                    seq,
                    globalBatch,
                    devices,
                    shape,
                  });
                }
      }
  }
  return settings;
}

function splits(
  run: TrainingCase,
  a: NonNullable<TrainingCase["architecture"]>,
  seq: number,
): [number, number, number][] {
  const list: [number, number, number][] = [];
  const tps = run.tp ? [run.tp] : powers(8).filter((tp) => a.heads % tp === 0);
  const pps = run.pp ? [run.pp] : run.tp ? [1] : powers(Math.min(16, a.layers));
  // Degrees that multiply to the device count leave no room for another one.
  const rest =
    run.tp && run.pp && run.dp && run.devices
      ? Math.max(1, Math.round(run.devices / (run.tp * run.pp * run.dp)))
      : null;
  const cps = run.cp ? [run.cp] : rest ? [rest] : seq > 32768 ? [1, 2, 4, 8] : [1];
  for (const tp of tps)
    for (const pp of pps)
      for (const cp of cps) if (!run.devices || run.dp || tp * pp * cp <= run.devices) list.push([tp, pp, cp]);
  return list;
}

function deviceCounts(run: TrainingCase, cut: number): number[] {
  if (run.devices) return [run.devices];
  if (run.dp) return [run.dp * cut];
  return [cut * Math.max(1, Math.round(256 / cut)), cut * Math.max(1, Math.round(1024 / cut))];
}

function expertDegrees(run: TrainingCase, ranks: number): number[] {
  const experts = run.architecture?.moe?.experts;
  if (run.ep) return [run.ep];
  if (!experts) return [1];
  const choices = [1, 8, 32].filter((ep) => experts % ep === 0 && ep <= ranks);
  return run.tp ? choices.slice(0, 1) : choices;
}

/** Unknown batches are those that keep a pipeline filled, about four million tokens where that is enough. */
function batches(run: TrainingCase, dp: number, pp: number, seq: number): number[] {
  if (run.globalBatch) return [run.globalBatch];
  const usual = Math.max(1, Math.round((4 * 2 ** 20) / seq / dp));
  return [dp * Math.max(usual, 2 * pp), dp * Math.max(usual, 8 * pp)];
}

function microBatches(run: TrainingCase, globalBatch: number, dp: number): number[] {
  if (run.microBatch) return [Math.min(run.microBatch, Math.max(1, globalBatch / dp))];
  const perReplica = Math.max(1, Math.floor(globalBatch / dp));
  return powers(8).filter((size) => perReplica % size === 0);
}

/** Stacks whose tables list interleaving leave it out when it is off; elsewhere an unknown is a range. */
function interleavings(run: TrainingCase, layers: number, pp: number): number[] {
  if (run.vpp) return [run.vpp];
  // torchtitan cuts two stages for each rank unless told otherwise (distributed/pipeline_parallel.py, multi-stage schedules).
  if (run.schedule === "interleaved" && run.stack === "torchtitan") return [2];
  if (run.schedule === "interleaved") return [2, 4, 8].filter((vpp) => Math.ceil(layers / pp) >= vpp);
  if (pp === 1 || run.family === "bloom") return [1];
  // NVIDIA's tables of fine-tuning have no column for it.
  const listed = run.stack !== "bridge" || !/-(?:SFT|LoRA)$/.test(run.id);
  if (listed && ["bridge", "mindspeed", "torchtitan", "deepspeed", "fsdp"].includes(run.stack)) return [1];
  // Stages need not be equal: Llama 3's 126 layers run interleaved on 16 stages.
  return [1, 2, 4, 6].filter((vpp) => vpp === 1 || Math.ceil(layers / pp) >= vpp);
}

function recomputes(run: TrainingCase): Layout["recompute"][] {
  if (run.recompute) return [run.recompute];
  // NVIDIA's recipes recompute modules of a layer; others know only whole layers beyond that.
  const modules = run.stack === "bridge" || run.stack === "megatron-core" || run.stack === "megascale";
  if (modules && run.fusedAttention) return ["none", "selective"];
  return run.fusedAttention ? ["none", "selective", "full"] : ["selective", "full"];
}

function fits(run: TrainingCase, hardware: Hardware, setting: Setting): boolean {
  const setup = setupOf(run, hardware, setting, guessedConstants);
  const { layout } = setting;
  const ladder = recomputes(run);
  const cheaper = ladder[ladder.indexOf(layout.recompute) - 1];
  const room = hardware.memoryBytes * 0.95;
  // Recompute is dear: nobody turns it on where the run fits without.
  if (cheaper && deviceMemory(setup, { ...layout, recompute: cheaper }).total <= room) return false;
  return deviceMemory(setup, layout).total <= hardware.memoryBytes * 0.95;
}

/** Bytes on the fullest device in the case's first setting. */
export function predictMemory({ run, hardware, settings }: PreparedCase): number | null {
  const [setting] = settings;
  return setting ? deviceMemory(setupOf(run, hardware, setting, guessedConstants), setting.layout).total : null;
}

export function setupOf(run: TrainingCase, hardware: Hardware, setting: Setting, constants: Constants): StepSetup {
  return {
    shape: setting.shape,
    hardware,
    constants,
    stack: run.stack,
    seq: setting.seq,
    globalBatch: setting.globalBatch,
    fusedAttention: run.fusedAttention,
    attentionAge: run.attentionAge,
    sequenceParallel: run.sequenceParallel ?? run.stack !== "megatron-2021",
    tensorOverlap: run.tensorOverlap,
    forcedBalance: run.forcedBalance,
    staticRouting: run.staticRouting,
    capacityFactor: run.capacityFactor,
    adaptersOnly: run.adaptersOnly,
    rowwiseScaling: run.rowwiseScaling,
    blockScaled: run.blockScaled,
    releaseYears: run.releaseYears,
    fusedElementwise: run.compiled,
    offloadedOptimizer: run.offloadedOptimizer,
    optimizerBytes: run.stack === "deepseek" ? momentsInHalf : fullOptimizerBytes,
  };
}

/** The case's quantity under `constants`: the geometric middle between the best and the median setting, and the range. */
export function predictCase(prepared: PreparedCase, constants: Constants): CasePrediction {
  const { run, hardware, settings } = prepared;
  const values = settings.map((setting) => quantityOf(run, hardware, setting, constants));
  const [best = 0, median = best] = values;
  return {
    predicted: Math.sqrt(best * median),
    low: Math.min(...values),
    high: Math.max(...values),
    settings: values.length,
  };
}

const timeLike = (run: TrainingCase): boolean =>
  run.quantity === "stepSeconds" ||
  run.quantity === "layerSeconds" ||
  run.quantity === "days" ||
  run.quantity === "deviceHours";

/** Device-hours of whole published runs include what failures and restarts cost; large runs report nine tenths productive. */
const usualGoodput = 0.9;

function quantityOf(run: TrainingCase, hardware: Hardware, setting: Setting, constants: Constants): number {
  const setup = setupOf(run, hardware, setting, constants);
  const { layout, seq, globalBatch, devices, shape } = setting;
  if (run.quantity === "layerSeconds") return oneLayer(setup, layout);
  const seconds = stepSeconds(setup, layout).total;
  const tokensPerSecondPerDevice = (globalBatch * seq) / seconds / devices;
  const total = run.totalTokens ?? 0;
  switch (run.quantity) {
    case "stepSeconds":
      return seconds;
    case "tokensPerSecondPerDevice":
      return tokensPerSecondPerDevice;
    case "flopsPerSecondPerDevice":
      return tokensPerSecondPerDevice * trainingFlopsPerToken(shape.architecture, seq, run.convention);
    case "mfu":
      return (
        (tokensPerSecondPerDevice * trainingFlopsPerToken(shape.architecture, seq, run.convention)) /
        hardware.peakFlopsPerSecond
      );
    case "deviceHours":
      return total / tokensPerSecondPerDevice / 3600 / usualGoodput;
    case "days":
      return total / tokensPerSecondPerDevice / devices / 86400;
    default:
      return run.quantity satisfies never;
  }
}

function oneLayer(setup: StepSetup, layout: Layout): number {
  const pass = layerSeconds(setup, layout);
  const again = layout.recompute === "full" ? pass.forward : layout.recompute === "selective" ? pass.attention : 0;
  const traffic = layerTraffic(setup, layout, pass);
  return stackScale(setup.constants, setup.stack) * (pass.forward + pass.backward + again + traffic.tensor);
}
