/**
 * Searches every legal layout of a training question and keeps what a person would want to compare.
 * Knows: the space of layouts, counting of refusals, the Pareto front. Does not know: formulas, rendering.
 */
import { deviceMemory } from "../cost/memory.ts";
import type { Layout, Recompute, Schedule } from "../spec/layout.ts";
import { divisors } from "../spec/quantities.ts";
import { brokenRule, type LayoutFrame } from "./layout-rules.ts";
import { evaluateTraining, memoryShare, type PreparedQuestion, type TrainingEstimate } from "./train.ts";

export interface SearchOptions {
  /** Fields that must have these values; the rest is searched. */
  readonly fixed: Partial<Layout>;
  /** Schedules to try; interleaving is tried with 1f1b unless one is named. */
  readonly schedules: readonly Schedule[];
  /** How many alternatives with other parallel degrees to keep. */
  readonly keep: number;
}

export interface SearchResult {
  readonly best: TrainingEstimate | null;
  /** The next best with other degrees of tensor, pipeline, expert or context parallelism, at most `keep`. */
  readonly alternatives: readonly TrainingEstimate[];
  /** Layouts that no other beats in step time, memory per device and devices used at once. */
  readonly pareto: readonly TrainingEstimate[];
  /** How many layouts were refused, by reason. */
  readonly rejected: Readonly<Record<string, number>>;
  /** Layouts whose memory was computed. */
  readonly evaluated: number;
  /** The refused layout that came nearest to fitting, when none fits. */
  readonly nearest: { layout: Layout; bytesOver: number } | null;
}

/** Searches `prepared`'s legal layouts; the effort grows with their number and nothing else. */
export function searchLayouts(prepared: PreparedQuestion, options: SearchOptions): SearchResult {
  const collector = new Collector(options.keep);
  for (const layout of candidates(prepared, options)) collector.consider(prepared, layout);
  return collector.result();
}

const fitsWithin = [10, 100, Number.POSITIVE_INFINITY] as const;

function overReason(bytesOver: number): string {
  const over = bytesOver / 2 ** 30;
  const bound = fitsWithin.find((limit) => over <= limit) ?? Number.POSITIVE_INFINITY;
  return bound === 10
    ? "does not fit: by up to 10 GiB"
    : bound === 100
      ? "does not fit: by 10 to 100 GiB"
      : "does not fit: by over 100 GiB";
}

/** Keeps, per combination of degrees and devices, the fastest layout, and the Pareto front. */
class Collector {
  private readonly rejected = new Map<string, number>();
  private readonly bestByDegrees = new Map<string, TrainingEstimate>();
  private readonly all: { estimate: TrainingEstimate; devices: number }[] = [];
  private evaluated = 0;
  private nearest: { layout: Layout; bytesOver: number } | null = null;
  private readonly keep: number;

  constructor(keep: number) {
    this.keep = keep;
  }

  consider(prepared: PreparedQuestion, layout: Layout): void {
    const rule = brokenRule(frameFor(prepared, layout), layout);
    if (rule) {
      this.refuse(rule.reason);
      return;
    }
    this.evaluated++;
    const room = prepared.setup.hardware.memoryBytes * memoryShare;
    const over = deviceMemory(prepared.setup, layout).total - room;
    if (over > 0) {
      if (!this.nearest || over < this.nearest.bytesOver) this.nearest = { layout, bytesOver: over };
      this.refuse(overReason(over));
      return;
    }
    const estimate = evaluateTraining(prepared, layout);
    const devices = layout.tp * layout.pp * layout.dp * layout.cp;
    this.all.push({ estimate, devices });
    const key = `${layout.tp}/${layout.pp}/${layout.cp}/${layout.ep}/${devices}`;
    const known = this.bestByDegrees.get(key);
    if (!known || estimate.stepSeconds < known.stepSeconds) this.bestByDegrees.set(key, estimate);
  }

  private refuse(reason: string): void {
    this.rejected.set(reason, (this.rejected.get(reason) ?? 0) + 1);
  }

  result(): SearchResult {
    const ranked = [...this.bestByDegrees.values()].sort((a, b) => a.stepSeconds - b.stepSeconds);
    const sorted = [...this.rejected].sort((a, b) => b[1] - a[1]);
    return {
      best: ranked[0] ?? null,
      alternatives: ranked.slice(1, this.keep + 1),
      pareto: paretoFront(this.all),
      rejected: Object.fromEntries(sorted),
      evaluated: this.evaluated,
      nearest: ranked.length > 0 ? null : this.nearest,
    };
  }
}

/** Fastest first, then every layout that needs less memory or fewer devices than all faster ones. */
function paretoFront(all: readonly { estimate: TrainingEstimate; devices: number }[]): TrainingEstimate[] {
  const sorted = [...all].sort(
    (a, b) =>
      a.estimate.stepSeconds - b.estimate.stepSeconds ||
      a.estimate.memoryBytesPerDevice - b.estimate.memoryBytesPerDevice,
  );
  const front: { estimate: TrainingEstimate; devices: number }[] = [];
  for (const entry of sorted) {
    const beaten = front.some(
      (kept) =>
        kept.estimate.memoryBytesPerDevice <= entry.estimate.memoryBytesPerDevice * 1.02 &&
        kept.devices <= entry.devices,
    );
    if (!beaten) front.push(entry);
  }
  return front.map(({ estimate }) => estimate);
}

/** The frame in which a candidate is judged: it may leave devices idle, which then stand by as spares. */
export function frameFor(prepared: PreparedQuestion, layout: Layout): LayoutFrame {
  const { question, setup } = prepared;
  return {
    architecture: question.architecture,
    devices: layout.tp * layout.pp * layout.dp * layout.cp,
    globalBatch: question.globalBatch,
    seq: question.seq,
    nodeDevices: Math.max(setup.hardware.nodeDevices, Math.min(setup.hardware.domainDevices, 64)),
  };
}

const upTo = (values: readonly number[], most: number): number[] => values.filter((value) => value <= most);
const powers = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/** All combinations worth judging; those that break a rule are counted by the collector. */
function* candidates(prepared: PreparedQuestion, options: SearchOptions): Generator<Layout> {
  const { question } = prepared;
  const { fixed } = options;
  const a = question.architecture;
  const only = <T>(value: T | undefined, values: readonly T[]): readonly T[] =>
    value === undefined ? values : [value];
  const node = frameFor(prepared, oneDevice).nodeDevices;
  const batchDivisors = divisors(question.globalBatch);
  const contexts = question.seq > 16384 ? upTo(powers, question.seq / 4096) : [1];
  for (const tp of only(fixed.tp, upTo(powers, node)))
    for (const pp of only(fixed.pp, pipelines(a.layers, question.devices)))
      for (const cp of only(fixed.cp, contexts)) {
        const room = Math.floor(question.devices / (tp * pp * cp));
        if (room < 1) continue;
        for (const dp of only(fixed.dp, replicas(room, batchDivisors)))
          for (const ep of only(fixed.ep, expertDegrees(a.moe?.experts ?? 0, dp * cp * tp)))
            for (const microBatch of only(fixed.microBatch, [1, 2, 4, 8]))
              for (const [schedule, vpp] of schedulesFor(options, pp, a.layers))
                for (const zero of only(fixed.zero, shardings(pp, dp * cp)))
                  for (const recompute of only<Recompute>(fixed.recompute, ["none", "selective", "full"]))
                    yield { tp, pp, dp, ep, cp, vpp, zero, recompute, microBatch, schedule };
      }
}

const oneDevice: Layout = {
  tp: 1,
  pp: 1,
  dp: 1,
  ep: 1,
  cp: 1,
  vpp: 1,
  zero: 0,
  recompute: "none",
  microBatch: 1,
  schedule: "1f1b",
};

function pipelines(layers: number, devices: number): number[] {
  const sizes = new Set([
    ...upTo(powers, 64),
    ...divisors(layers),
    ...upTo(divisors(devices), 64),
    3,
    5,
    6,
    7,
    9,
    10,
    12,
    14,
    15,
    20,
    24,
    28,
  ]);
  return [...sizes].filter((pp) => pp <= layers && pp <= devices && pp <= 128).sort((a, b) => a - b);
}

/** Replicas that use every device, and the most that divide the batch. */
function replicas(room: number, batchDivisors: readonly number[]): number[] {
  let most = 1;
  for (const divisor of batchDivisors) if (divisor <= room) most = divisor;
  return most === room ? [room] : [room, most];
}

function expertDegrees(experts: number, ranks: number): number[] {
  return experts === 0 ? [1] : upTo(divisors(experts), Math.min(ranks, 320));
}

function shardings(pp: number, ranks: number): Layout["zero"][] {
  if (ranks === 1) return [0];
  return pp === 1 ? [1, 2, 3] : [1];
}

function* schedulesFor({ fixed, schedules }: SearchOptions, pp: number, layers: number): Generator<[Schedule, number]> {
  const widest = Math.ceil(layers / pp);
  for (const schedule of schedules) {
    if (schedule === "interleaved" && pp === 1 && schedules.length > 1) continue;
    const choices = schedule === "interleaved" ? upTo([2, 3, 4, 5, 6, 8, 10], widest) : [1];
    for (const vpp of fixed.vpp === undefined ? choices : [fixed.vpp])
      if (fixed.vpp === undefined || schedules.length === 1 || vpp > 1 === (schedule === "interleaved"))
        yield [schedule, vpp];
  }
}
