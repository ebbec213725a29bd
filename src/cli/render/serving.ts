/**
 * Shows a serving plan to a person: the answer in words first, then the tables, at most 100 columns.
 * Knows: rounding and units for reading. Does not know: how the plan was found.
 */

import type { ServingEstimate, ServingPlan, ServingPool, ServingQuestion } from "../../planner/serve.ts";
import type { Accuracy } from "../../planner/serve-accuracy.ts";
import { gibibyte } from "../../spec/quantities.ts";
import { wrapped } from "./table.ts";

const figure = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString("en-US") : value >= 10 ? value.toFixed(1) : value.toPrecision(2);
const milliseconds = (seconds: number): string => `${figure(seconds * 1000)} ms`;
const percent = (share: number): string => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** `tp 8, dp 4, ep` of a pool. */
export function layoutWords({ split }: ServingPool): string {
  const data = split.devices / split.attentionTp;
  return `tp ${split.attentionTp}, dp ${data}${split.expertParallel ? `, ep ${split.devices}` : ""}`;
}

/** One sentence that answers: how fast, where, within which latencies. */
export function servingAnswer(plan: ServingPlan, q: ServingQuestion, ranksPerDevice: number): string {
  const best = plan.best;
  const devices = q.devices / ranksPerDevice;
  const goal = `${milliseconds(q.ttftSeconds)} to the first token and ${milliseconds(q.tpotSeconds)} per token`;
  if (!best) {
    const worst = Object.entries(plan.rejected).sort((a, b) => b[1] - a[1])[0];
    return `cannot serve ${q.architecture.name} on ${devices} device(s) within ${goal}${worst ? `; most layouts: ${worst[0]}` : ""}`;
  }
  const perDevice = best.outputTokensPerSecondPerDevice * ranksPerDevice;
  const how =
    best.prefill === null
      ? `${best.decode.groups} × (${layoutWords(best.decode)})`
      : `prompts on ${share(best.prefill)}, decoding on ${share(best.decode)}`;
  return `${figure(perDevice)} output tokens/s per device (${figure(best.requestsPerSecond)} requests/s on ${devices}) within ${goal}: ${how}`;
}

const share = (pool: ServingPool): string => `${pool.groups} × (${layoutWords(pool)})`;

/** The whole text, line by line. */
export function renderServing(
  plan: ServingPlan,
  q: ServingQuestion,
  ranksPerDevice: number,
  accuracy: Accuracy,
  seconds: number,
): string[] {
  const lines = wrapped(servingAnswer(plan, q, ranksPerDevice));
  const error =
    accuracy.medianError === null
      ? "nothing comparable was published"
      : `off by ${percent(accuracy.medianError)} (median)`;
  lines.push(`accuracy: ${accuracy.basis}; ${error} on the nearest published runs`, "");
  if (ranksPerDevice > 1) lines.push(`Ranks below are dies: the software sees ${ranksPerDevice} per device.`, "");
  if (plan.best) lines.push(...table(plan.best, plan.alternatives, ranksPerDevice), "", ...poolLines(plan.best, q), "");
  const rejected = Object.entries(plan.rejected).sort((a, b) => b[1] - a[1]);
  lines.push(`${plan.evaluated.toLocaleString("en-US")} layouts considered in ${seconds.toFixed(2)} s; not taken:`);
  for (const [reason, count] of rejected.slice(0, 8))
    lines.push(`${String(count).padStart(7)}  ${reason}`.slice(0, 100));
  return lines;
}

function table(best: ServingEstimate, alternatives: readonly ServingEstimate[], ranksPerDevice: number): string[] {
  const head = ["", "prompts", "decoding or both", "tok/s/device", "TTFT ms", "TPOT ms"];
  const body = [best, ...alternatives].map((e, i) => [
    i === 0 ? "best" : String(i + 1),
    e.prefill ? share(e.prefill) : "same ranks",
    share(e.decode),
    figure(e.outputTokensPerSecondPerDevice * ranksPerDevice),
    figure(e.ttftSeconds * 1000),
    figure(e.tpotSeconds * 1000),
  ]);
  const widths = head.map((text, c) => Math.max(text.length, ...body.map((row) => row[c]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, c) => (c < 3 ? cell.padEnd(widths[c] ?? 0) : cell.padStart(widths[c] ?? 0)))
      .join("  ")
      .trimEnd();
  return [line(head), ...body.map(line)];
}

function poolLines(best: ServingEstimate, q: ServingQuestion): string[] {
  const pools: [string, ServingPool][] = best.prefill
    ? [
        ["prompts", best.prefill],
        ["decoding", best.decode],
      ]
    : [["prompts and decoding", best.decode]];
  return pools.flatMap(([name, pool]) => {
    const parts = Object.entries(pool.parts)
      .filter(([part, value]) => part !== "total" && value > 0.005 * pool.parts.total)
      .sort((a, b) => b[1] - a[1])
      .map(([part, value]) => `${part} ${percent(value / pool.parts.total)}`);
    return [
      `${name}: ${pool.sequences.toLocaleString("en-US")} sequences a group; cache for ${pool.cacheTokens.toLocaleString("en-US")} tokens a group`,
      `  weights ${(pool.weightBytesPerDevice / gibibyte).toFixed(1)} GiB a rank of ${(q.accelerator.memoryBytes / gibibyte).toFixed(0)}; a step of ${milliseconds(pool.parts.total)}: ${parts.join(", ")}`.slice(
        0,
        100,
      ),
    ];
  });
}
