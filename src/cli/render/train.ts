/**
 * Prints a training plan: the answer, the layouts, where the time and the memory go, what was refused.
 * Knows: units and column widths (100 at most). Does not know: how anything was calculated.
 */

import type { MemoryParts } from "../../cost/memory.ts";
import type { AccuracyBadge } from "../../planner/accuracy.ts";
import { rankedParts, shownSeconds, whyLost } from "../../planner/explain.ts";
import type { SearchResult } from "../../planner/search.ts";
import type { TrainingEstimate } from "../../planner/train.ts";
import { layoutText } from "../../spec/layout.ts";
import { table, wrapped } from "./table.ts";

export interface RenderedPlan {
  readonly answer: string;
  readonly best: TrainingEstimate;
  readonly badge: AccuracyBadge;
  readonly stack: string;
  /** Absent for a single evaluation. */
  readonly search: SearchResult | null;
  readonly notes: readonly string[];
  /** Memory of the best layout's pipeline stages, first to last. */
  readonly memoryByStage: readonly MemoryParts[];
}

const gibibytes = (bytes: number): string => (bytes / 2 ** 30).toFixed(1);
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

export function renderPlan({ answer, best, badge, search, stack, notes, memoryByStage }: RenderedPlan): string {
  const blocks = [
    wrapped(answer).join("\n"),
    [`layout  ${layoutText(best.layout)} ${best.layout.schedule}`, ...facts(best, badge, stack)].join("\n"),
  ];
  blocks.push(partsTable(best));
  if (memoryByStage.length > 1) blocks.push(stageTable(memoryByStage));
  if (search) blocks.push(...searchBlocks(best, search));
  if (notes.length > 0) blocks.push(notes.flatMap((note) => wrapped(`note: ${note}`)).join("\n"));
  return `${blocks.join("\n\n")}\n`;
}

function facts(best: TrainingEstimate, badge: AccuracyBadge, stack: string): string[] {
  const money = best.cost === null ? "" : `, ${amount(best.cost)} dollars`;
  const energy = best.energyKilowattHours === null ? "" : `, ${amount(best.energyKilowattHours)} kWh`;
  const chance = best.probabilityByDeadline === null ? "" : `, by the deadline ${percent(best.probabilityByDeadline)}`;
  const interval = Number.isFinite(best.checkpointIntervalSeconds)
    ? `every ${(best.checkpointIntervalSeconds / 60).toFixed(0)} min`
    : "not needed";
  const idle = best.completion.failuresWhileWaiting;
  const waiting = idle >= 0.5 ? ` and ${amount(idle)} while it waits for repairs` : "";
  return [
    `step    ${shownSeconds(best.stepSeconds)}, ${best.tokensPerSecondPerDevice.toFixed(0)} tokens/s/device`,
    `MFU     ${percent(best.mfu)} model FLOPs (6 per active parameter, causal attention), HFU ${percent(best.hfu)}, of bf16 peak`,
    `days    p10 ${best.days.p10.toFixed(1)}  p50 ${best.days.p50.toFixed(1)}  p90 ${best.days.p90.toFixed(1)}${chance}`,
    `price   ${amount(best.deviceHours)} device-hours${money}${energy}`,
    `faults  ${amount(best.failuresExpected)} expected${waiting}, goodput ${percent(best.goodput)}, checkpoint ${interval}`,
    `error   ${percent(badge.medianError)} median on the nearest published runs, ${badge.basis} (${stack})`,
  ];
}

function amount(value: number): string {
  if (!Number.isFinite(value)) return "endless";
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} billion`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} million`;
  if (value >= 1e4) return Math.round(value).toLocaleString("en-US");
  return value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

function partsTable(best: TrainingEstimate): string {
  const parts = rankedParts(best.parts).filter(({ share }) => share >= 0.001);
  const memory = best.memoryParts;
  const kinds = [
    ["weights", memory.weights],
    ["gradients", memory.gradients],
    ["optimizer", memory.optimizer],
    ["activations", memory.activations],
    ["buffers", memory.buffers],
    ["total", memory.total],
  ] as const;
  const length = Math.max(parts.length, kinds.length);
  const rows = Array.from({ length }, (_, i) => {
    const part = parts[i];
    const kind = kinds[i];
    return [
      part?.name ?? "",
      part ? shownSeconds(part.seconds) : "",
      part ? percent(part.share) : "",
      kind?.[0] ?? "",
      kind ? gibibytes(kind[1]) : "",
    ];
  });
  return table(["step time", "seconds>", "share>", "fullest device", "GiB>"], rows);
}

const stagesShown = 8;

/** Memory of at most eight stages, spread evenly from the first to the last. */
function stageTable(stages: readonly MemoryParts[]): string {
  const shown = Math.min(stagesShown, stages.length);
  const rows = Array.from({ length: shown }, (_, i) => {
    const stage = Math.round((i * (stages.length - 1)) / (shown - 1));
    const parts = stages[stage];
    if (!parts) return [];
    const { weights, gradients, optimizer, activations, buffers, total } = parts;
    return [String(stage), ...[weights, gradients, optimizer, activations, buffers, total].map(gibibytes)];
  });
  return table(["GiB of stage>", "weights>", "gradients>", "optimizer>", "activations>", "buffers>", "total>"], rows);
}

function searchBlocks(best: TrainingEstimate, search: SearchResult): string[] {
  const blocks: string[] = [];
  const [runnerUp] = search.alternatives;
  const rows = [best, ...search.alternatives].map((estimate, i) =>
    layoutRow(i === 0 ? "best" : String(i + 1), estimate),
  );
  blocks.push(table(layoutColumns, rows));
  if (runnerUp) blocks.push(wrapped(`runner-up (2): ${whyLost(best, runnerUp)}`).join("\n"));
  const front = search.pareto.slice(0, 6).map((estimate) => layoutRow("", estimate));
  if (front.length > 1)
    blocks.push(`less memory or fewer devices, at the least cost in time:\n${table(layoutColumns, front)}`);
  const refused = Object.entries(search.rejected);
  const total = refused.reduce((sum, [, count]) => sum + count, 0);
  blocks.push(
    `${search.evaluated.toLocaleString("en-US")} layouts compared, ${total.toLocaleString("en-US")} refused:\n${table(
      ["refused>", "reason"],
      refused.slice(0, 8).map(([reason, count]) => [count.toLocaleString("en-US"), reason]),
    )}`,
  );
  return blocks;
}

const layoutColumns = [
  "",
  "tp>",
  "pp>",
  "dp>",
  "ep>",
  "cp>",
  "vpp>",
  "zero>",
  "recompute",
  "mbs>",
  "schedule",
  "step>",
  "GiB>",
  "p50 days>",
  "MFU>",
];

function layoutRow(name: string, { layout, stepSeconds, memoryBytesPerDevice, days, mfu }: TrainingEstimate): string[] {
  const { tp, pp, dp, ep, cp, vpp, zero, recompute, microBatch, schedule } = layout;
  return [
    name,
    ...[tp, pp, dp, ep, cp, vpp, zero].map(String),
    recompute,
    String(microBatch),
    schedule,
    shownSeconds(stepSeconds),
    gibibytes(memoryBytesPerDevice),
    days.p50.toFixed(1),
    percent(mfu),
  ];
}
