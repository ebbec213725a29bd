/**
 * `plan validate`: predicts published runs from a file and says how far off the model is.
 * Knows: the file's two shapes, training rows from inference rows. Does not know: formulas.
 */
import { readFile, stat } from "node:fs/promises";
import type { Command } from "commander";
import { BadInput } from "../spec/bad-input.ts";

/** The largest file of published runs that is read. */
const bytesMax = 64 * 2 ** 20;

export function register(plan: Command): void {
  plan
    .command("validate")
    .description("How far is the model off on published runs?")
    .argument("<file>", 'JSON: an array of runs or {"runs": […]}')
    .option(
      "--quality <word>",
      "only rows of this quality (rows that give none count as ok); all takes every row",
      "all",
    )
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", "\nExample:\n  dualgauge plan validate training-runs.json --quality ok")
    .action(async (file: string, options: { quality: string; json?: boolean }) => {
      const rows = await readRows(file);
      const chosen = options.quality === "all" ? rows : rows.filter((row) => qualityOf(row) === options.quality);
      const { summarize } = await import("../planner/validate.ts");
      const results = await predictions(chosen);
      const report = { rows: results, summary: summarize(results) };
      if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
      else {
        const { renderValidation } = await import("./render/validate.ts");
        process.stdout.write(renderValidation(report));
      }
    });
}

async function readRows(file: string): Promise<unknown[]> {
  const shown = file.slice(0, 200);
  const size = await stat(file).then(
    (info) => (info.isFile() ? info.size : null),
    () => null,
  );
  if (size === null) throw new BadInput(`${shown}: no such file; give a JSON file of published runs`);
  if (size > bytesMax) throw new BadInput(`${shown}: over ${bytesMax / 2 ** 20} MiB; split it`);
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, "utf8"));
  } catch {
    throw new BadInput(`${shown}: not JSON; give an array of runs or {"runs": […]}`);
  }
  if (Array.isArray(value)) return value;
  if (typeof value === "object" && value !== null && "runs" in value && Array.isArray(value.runs)) return value.runs;
  throw new BadInput(`${shown}: neither an array nor {"runs": […]}; give one of them`);
}

function qualityOf(row: unknown): unknown {
  return typeof row === "object" && row !== null && "quality" in row ? row.quality : "ok";
}

async function predictions(rows: readonly unknown[]) {
  const { validateTrainingRow } = await import("../planner/validate-training.ts");
  const { isInferenceRow, validateInference } = await import("../planner/serve-validate.ts");
  return rows.flatMap((row) => (isInferenceRow(row) ? validateInference([row]) : [validateTrainingRow(row)]));
}
