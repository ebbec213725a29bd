/**
 * Prints a validation: the verdict in one line, then errors by family and accelerator, then the worst rows.
 * Knows: the report's shape and units. Does not know: how a prediction is made.
 */
import type { ErrorSummary, ValidationRow, ValidationSummary } from "../../planner/validate.ts";
import { table } from "./table.ts";

const percent = (share: number | null): string => (share === null ? "" : `${(share * 100).toFixed(1)} %`);

export function renderValidation({
  rows,
  summary,
}: {
  rows: readonly ValidationRow[];
  summary: ValidationSummary;
}): string {
  const predicted = summary.count - summary.unpredicted;
  const answer =
    predicted === 0
      ? `none of ${summary.count} runs could be predicted`
      : `off by ${percent(summary.median)} in the median, ${percent(summary.p90)} at the 90th percentile, over ${predicted} of ${summary.count} runs`;
  const groups = [
    ...Object.entries(summary.byBasis).map(([name, group]) => groupRow("", name, group)),
    ...Object.entries(summary.byFamily).map(([name, group]) => groupRow("family", name, group)),
    ...Object.entries(summary.byAccelerator).map(([name, group]) => groupRow("accelerator", name, group)),
  ];
  const blocks = [answer, table(["by", "", "runs>", "median>", "mean>", "p90>", "bias>"], groups)];
  const worst = [...rows]
    .filter((row) => row.error !== null)
    .sort((a, b) => (b.error ?? 0) - (a.error ?? 0))
    .slice(0, 8);
  if (worst.length > 0)
    blocks.push(table(["worst", "quantity", "predicted>", "measured>", "error>"], worst.map(worstRow)));
  const reasons = new Map<string, number>();
  for (const row of rows) if (row.reason) reasons.set(row.reason, (reasons.get(row.reason) ?? 0) + 1);
  if (reasons.size > 0)
    blocks.push(
      table(
        ["not predicted>", "reason"],
        [...reasons].map(([reason, count]) => [String(count), reason.slice(0, 84)]),
      ),
    );
  return `${blocks.join("\n\n")}\n`;
}

function groupRow(kind: string, name: string, { count, median, mean, p90, bias }: ErrorSummary): string[] {
  return [kind, name, String(count), percent(median), percent(mean), percent(p90), percent(bias)];
}

function worstRow(row: ValidationRow): string[] {
  const figure = (value: number | null): string => (value === null ? "" : value.toPrecision(4));
  return [row.id.slice(0, 44), row.quantity ?? "", figure(row.predicted), figure(row.measured), percent(row.error)];
}
