/**
 * Carries `plan train` out: checks what was given, asks the planner, prints.
 * Knows: options, files, the JSON contract. Does not know: formulas.
 */
import { requireAccelerator } from "../catalog/accelerators.ts";
import { calibration } from "../catalog/calibration.ts";
import { findModel, requireModel } from "../catalog/models.ts";
import { failuresPerNodeDay, reliabilityFor } from "../catalog/reliability.ts";
import { constantsFrom, type Stack, stacks } from "../cost/constants.ts";
import { trainingPrecisions } from "../cost/hardware.ts";
import { type AccuracyBadge, accuracyBadge } from "../planner/accuracy.ts";
import { answerLine, whyLost } from "../planner/explain.ts";
import { brokenRule } from "../planner/layout-rules.ts";
import { frameFor, type SearchResult, searchLayouts } from "../planner/search.ts";
import {
  evaluateTraining,
  memoryByStage,
  memoryShare,
  type PreparedQuestion,
  prepareQuestion,
  type TrainingEstimate,
  type TrainingQuestion,
} from "../planner/train.ts";
import { withSimulatedCompletion } from "../simulator/simulate-training.ts";
import type { Architecture } from "../spec/architecture.ts";
import { BadInput, didYouMean } from "../spec/bad-input.ts";
import { type Layout, layoutText, parseLayout, type Schedule, schedules } from "../spec/layout.ts";
import { parameterCounts } from "../spec/parameter-counts.ts";
import { amount, secondsPerDay, wholeNumber } from "../spec/quantities.ts";
import { type RenderedPlan, renderPlan } from "./render/train.ts";

/** The options as commander hands them over. */
export interface TrainOptions {
  model: string;
  accelerator: string;
  devices: string;
  tokens: string;
  seq: string;
  globalBatch?: string;
  precision: string;
  layout?: string;
  schedule?: string;
  stack?: string;
  deadline?: string;
  reliability?: string;
  spares?: string;
  repairDays: string;
  dollarsPerDeviceHour?: string;
  alternatives: string;
  emit?: string;
  json?: boolean;
}

/** No installation has more devices than this; a larger number is a slip. */
const devicesMax = 10_000_000;

interface Found {
  readonly best: TrainingEstimate;
  /** Absent for a single evaluation. */
  readonly search: SearchResult | null;
}

export async function runPlanTrain(options: TrainOptions): Promise<void> {
  const question = await questionFrom(options);
  const badge = badgeFor(question);
  const prepared = prepareQuestion({ ...question, stepDeviation: Math.max(0.03, badge.medianError * 1.4826) });
  const started = performance.now();
  const schedule = scheduleFrom(options.schedule);
  const keep = wholeNumber("--alternatives", Number(options.alternatives), 0, 1000);
  const fixed = options.layout === undefined ? {} : parseLayout(options.layout);
  const ranked =
    options.layout === undefined
      ? searched(prepared, schedule, keep)
      : { best: single(prepared, completed(prepared, fixed, schedule)), search: null };
  const found = simulated(prepared.question, ranked);
  const seconds = (performance.now() - started) / 1000;
  if (options.emit !== undefined) {
    const { emitTraining } = await import("../planner/emit.ts");
    process.stdout.write(emitTraining(options.emit, prepared.question, found.best));
    return;
  }
  const answer = answerLine(found.best, question.deadlineDays);
  const notes = notesFor(prepared, found.best, options.spares === undefined);
  const stages = memoryByStage(prepared, found.best.layout);
  const shown = { ...found, answer, badge, notes, stack: question.stack, memoryByStage: stages };
  if (options.json)
    process.stdout.write(
      `${JSON.stringify(document({ ...shown, seconds, spares: sparesOf(question, options.spares === undefined) }), null, 2)}\n`,
    );
  else process.stdout.write(renderPlan(shown));
}

/** Replicas of the layout that is answered with: the sampling error of P(deadline) stays within ±4 %, and it is printed. */
const replicasOfBest = 400;

/** Faults that one answer may simulate, for the best layout and for all others listed: about a tenth of a second each. */
const faultsOfBest = 500_000;
const faultsOfOthers = 500_000;

/** The layouts that are shown, with simulated completions: the closed form that ranked thousands knows means, not tails. */
function simulated(question: TrainingQuestion, { best, search }: Found): Found {
  const seed = 1;
  const done = withSimulatedCompletion(question, best, { replicas: replicasOfBest, faults: faultsOfBest, seed });
  if (!search) return { best: done, search };
  const others = search.alternatives.length + search.pareto.length;
  const faults = faultsOfOthers / Math.max(1, others);
  const each = (estimate: TrainingEstimate): TrainingEstimate =>
    estimate === best ? done : withSimulatedCompletion(question, estimate, { replicas: 200, faults, seed });
  return {
    best: done,
    search: { ...search, alternatives: search.alternatives.map(each), pareto: search.pareto.map(each) },
  };
}

/** The question that the options ask; every slip in them is BadInput. */
async function questionFrom(options: TrainOptions): Promise<TrainingQuestion> {
  const accelerator = requireAccelerator(options.accelerator, "--accelerator");
  const architecture = await architectureFrom(options.model);
  const seq = wholeNumber("--seq", Number(options.seq), 1, 2 ** 24);
  const usual = Math.max(1, Math.round((16 * 2 ** 20) / seq));
  const globalBatch =
    options.globalBatch === undefined ? usual : wholeNumber("--global-batch", Number(options.globalBatch), 1, 2 ** 26);
  const precision = trainingPrecisions.find((known) => known === options.precision);
  if (!precision)
    throw new BadInput(
      `--precision: unknown format ${options.precision.slice(0, 40)}${didYouMean(options.precision, trainingPrecisions)}; use one of ${trainingPrecisions.join(", ")}`,
    );
  const reliability = options.reliability ?? reliabilityFor(accelerator.id)?.id;
  const devices = wholeNumber("--devices", Number(options.devices), 1, devicesMax);
  return {
    architecture,
    accelerator,
    devices,
    tokens: amount("--tokens", Number(options.tokens), 0, 1e18),
    seq,
    globalBatch,
    precision,
    stack: stackFrom(options.stack, accelerator.platform),
    constants: constantsFrom(calibration.constants),
    deadlineDays: options.deadline === undefined ? null : amount("--deadline", Number(options.deadline), 0, 36_500),
    failuresPerNodeDay: reliability === undefined ? defaultFailuresPerNodeDay : failuresPerNodeDay(reliability),
    dollarsPerDeviceHour:
      options.dollarsPerDeviceHour === undefined
        ? null
        : amount("--dollars-per-device-hour", Number(options.dollarsPerDeviceHour), 0, 1e6),
    checkpointBytesPerSecondPerNode: 1e9,
    restartSeconds: 600,
    detectSeconds: 120,
    spareNodes:
      options.spares === undefined
        ? Math.ceil((usualSpareShare * devices) / accelerator.nodeDevices)
        : wholeNumber("--spares", Number(options.spares), 0, devicesMax),
    repairSeconds: secondsPerDay * amount("--repair-days", Number(options.repairDays), 0, 3650),
    stepDeviation: 0.1,
  };
}

/** Four spare nodes for 48 at BLOOM-176B, the smaller of the two published shares (OPT-175B: twelve for 124). */
const usualSpareShare = 1 / 12;

/** Between the two published A100 clusters and Llama 3's; used where no system of the chip's generation is published. */
const defaultFailuresPerNodeDay = 4e-3;

async function architectureFrom(given: string): Promise<Architecture> {
  const preset = findModel(given);
  if (preset) return preset.architecture();
  const looksLikeFile = /[/\\]|\.json$/.test(given);
  if (!looksLikeFile) return requireModel(given, "--model").architecture();
  // The schemas of a config.json are loaded only for one.
  const { configBytesMax, parseConfig } = await import("../spec/hugging-face-config.ts");
  const { readFile, stat } = await import("node:fs/promises");
  const size = await stat(given).then(
    (info) => (info.isFile() ? info.size : null),
    () => null,
  );
  if (size === null)
    throw new BadInput(`--model: no file ${given.slice(0, 200)}; give the path of a config.json or a preset`);
  if (size > configBytesMax)
    throw new BadInput(
      `--model: ${given.slice(0, 200)} has ${size} bytes; give the model's config.json, not its weights`,
    );
  return parseConfig(await readFile(given, "utf8"), given.slice(0, 200));
}

function stackFrom(given: string | undefined, platform: string | null): Stack {
  if (given === undefined) return platform === "ascend" ? "mindspeed" : platform === "nvidia" ? "bridge" : "maxtext";
  const found = stacks.find((stack) => stack === given);
  if (found) return found;
  throw new BadInput(
    `--stack: unknown stack ${given.slice(0, 40)}${didYouMean(given, stacks)}; use one of ${stacks.join(", ")}`,
  );
}

function scheduleFrom(given: string | undefined): Schedule | null {
  if (given === undefined) return null;
  const found = schedules.find((schedule) => schedule === given);
  if (found) return found;
  throw new BadInput(
    `--schedule: unknown schedule ${given.slice(0, 40)}${didYouMean(given, schedules)}; use one of ${schedules.join(", ")}`,
  );
}

/** A full layout from the fields given: dp fills the devices, the rest takes its plainest value. */
function completed(prepared: PreparedQuestion, fixed: Partial<Layout>, schedule: Schedule | null): Layout {
  const { devices } = prepared.question;
  const { tp = 1, pp = 1, cp = 1, ep = 1, vpp = 1, recompute = "none", microBatch = 1 } = fixed;
  const dp = fixed.dp ?? Math.max(1, Math.floor(devices / (tp * pp * cp)));
  const zero = fixed.zero ?? (dp * cp > 1 ? 1 : 0);
  return {
    tp,
    pp,
    dp,
    ep,
    cp,
    vpp,
    zero,
    recompute,
    microBatch,
    schedule: schedule ?? fixed.schedule ?? (vpp > 1 ? "interleaved" : "1f1b"),
  };
}

function single(prepared: PreparedQuestion, layout: Layout): TrainingEstimate {
  const rule = brokenRule({ ...frameFor(prepared, layout), devices: prepared.question.devices }, layout);
  if (rule) throw new BadInput(`--layout: ${rule.sentence}; change one of them`);
  const estimate = evaluateTraining(prepared, layout);
  const room = prepared.setup.hardware.memoryBytes;
  if (estimate.memoryBytesPerDevice > room)
    throw new BadInput(
      `--layout: needs ${(estimate.memoryBytesPerDevice / 2 ** 30).toFixed(1)} GiB on the fullest device of ${(room / 2 ** 30).toFixed(0)} GiB; raise tp, pp, ep or zero, or turn recompute on`,
    );
  return estimate;
}

function searched(prepared: PreparedQuestion, schedule: Schedule | null, keep: number): Found {
  const search = searchLayouts(prepared, {
    fixed: {},
    schedules: schedule
      ? [schedule]
      : prepared.question.stack === "deepseek"
        ? ["1f1b", "dualpipe"]
        : ["1f1b", "interleaved"],
    keep,
  });
  if (search.best) return { best: search.best, search };
  const nearest = search.nearest
    ? `; the nearest, ${layoutText(search.nearest.layout)}, lacks ${(search.nearest.bytesOver / 2 ** 30).toFixed(1)} GiB a device`
    : "";
  const main = Object.entries(search.rejected)[0]?.[0] ?? "no layout divides";
  throw new BadInput(
    `plan train: no layout works on ${prepared.question.devices} devices (most often: ${main})${nearest}; give more devices or another batch`,
  );
}

/** The stock that the simulation was given. */
function sparesOf({ spareNodes = 0, repairSeconds = secondsPerDay }: TrainingQuestion, assumed: boolean): Spares {
  return { nodes: spareNodes, repairSeconds, assumed };
}

interface Spares {
  readonly nodes: number;
  readonly repairSeconds: number;
  /** Whether nobody said how many there are. */
  readonly assumed: boolean;
}

function badgeFor(question: TrainingQuestion): AccuracyBadge {
  const { architecture, accelerator, devices, seq, precision, stack } = question;
  return accuracyBadge({
    accelerator: accelerator.id,
    stack,
    precision: precision === "fp16" ? "bf16" : precision,
    mixture: architecture.moe !== null,
    activeParameters: parameterCounts(architecture).active,
    devices,
    seq,
  });
}

function notesFor(prepared: PreparedQuestion, best: TrainingEstimate, usualSpares: boolean): string[] {
  const { question, setup } = prepared;
  const { layout } = best;
  const { spareNodes = 0, repairSeconds = secondsPerDay } = question;
  const days = repairSeconds / secondsPerDay;
  const notes = [
    `${spareNodes} spare nodes beyond the ${question.devices} devices${usualSpares ? " (assumed: 1 in 12; --spares says otherwise)" : ""} stand in for failed ones, which come back after ${days === 1 ? "a day" : `${days} days`} on average; spares are not in the price`,
  ];
  const idle = question.devices - layout.tp * layout.pp * layout.dp * layout.cp;
  if (idle > 0)
    notes.push(`${idle} devices stay idle: no faster layout uses them; give them to --spares and ask again`);
  if (question.accelerator.platform === "ascend") notes.push("few Ascend runs are published: take this as an estimate");
  if (best.memoryBytesPerDevice > setup.hardware.memoryBytes * memoryShare)
    notes.push("less than 6 % of the memory stays free: fragmentation may end the run");
  return notes;
}

/** The JSON contract of `plan train`. */
function document(found: RenderedPlan & { seconds: number; spares: Spares }): unknown {
  const { best, search, answer, badge, seconds, notes, spares, stack, memoryByStage: stages } = found;
  return {
    answer,
    best: { ...best, memoryByStage: stages, accuracy: badge },
    alternatives: (search?.alternatives ?? []).map((estimate) => ({ ...estimate, lost: whyLost(best, estimate) })),
    pareto: search?.pareto ?? [],
    rejected: search?.rejected ?? {},
    evaluated: search?.evaluated ?? 1,
    seconds,
    stack,
    spares,
    notes,
  };
}
