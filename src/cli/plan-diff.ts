/**
 * `plan diff`: what changed between two plans that were saved with --json.
 * Knows: files and the table. Does not know: how a plan is made.
 */
import { readFile, stat } from "node:fs/promises";
import type { Command } from "commander";
import { diffPlans, type PlanDifference } from "../planner/diff.ts";
import { BadInput } from "../spec/bad-input.ts";
import { table } from "./render/table.ts";

const bytesMax = 64 * 2 ** 20;

export function register(plan: Command): void {
  plan
    .command("diff")
    .description("What changed between two plans?")
    .argument("<before>", "a plan saved with --json")
    .argument("<after>", "another one")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample:\n  dualgauge plan diff before.json after.json")
    .action(async (before: string, after: string, options: { json?: boolean }) => {
      const differences = diffPlans(await readPlan(before), await readPlan(after));
      process.stdout.write(options.json ? `${JSON.stringify({ differences })}\n` : render(differences));
    });
}

async function readPlan(file: string): Promise<unknown> {
  const shown = file.slice(0, 200);
  const size = await stat(file).then(
    (info) => (info.isFile() ? info.size : null),
    () => null,
  );
  if (size === null) throw new BadInput(`${shown}: no such file; give a plan saved with --json`);
  if (size > bytesMax) throw new BadInput(`${shown}: over ${bytesMax / 2 ** 20} MiB; that is no plan`);
  try {
    return JSON.parse(await readFile(file, "utf8"));
  } catch {
    throw new BadInput(`${shown}: not JSON; give a plan saved with --json`);
  }
}

function render(differences: readonly PlanDifference[]): string {
  if (differences.length === 0) return "the plans are the same\n";
  const shown = differences
    .filter(({ path }) => !path.startsWith("alternatives") && !path.startsWith("pareto"))
    .slice(0, 60);
  const rows = shown.map(({ path, before, after, change }) => [
    path.slice(0, 40),
    figure(before),
    figure(after),
    change === null ? "" : `${change > 0 ? "+" : ""}${(change * 100).toFixed(1)} %`,
  ]);
  return `${differences.length} fields differ\n\n${table(["field", "before>", "after>", "change>"], rows)}\n`;
}

function figure(value: unknown): string {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(5);
  return value === undefined ? "-" : String(value).slice(0, 24);
}
