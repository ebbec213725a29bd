/**
 * `dualgauge train`: trains a run to its last step, through faults and over pools, and goes on where it stopped.
 * Knows: options, exit codes and what is printed at the end. Does not know: how training is supervised.
 */
import type { Command } from "commander";
import { trainDocument } from "../journal/select.ts";
import type { RunState } from "../journal/state.ts";
import { isProgramRun } from "../spec/run-file.ts";
import { onInterrupt } from "./interrupt.ts";
import { loadRun } from "./load-run.ts";
import { printDocument, words } from "./output.ts";
import { fleet } from "./render/fleet.ts";
import { line } from "./render/layout.ts";
import { faultTable } from "./render/outcome.ts";
import { defaultDirectory } from "./run-place.ts";
import { trainRun } from "./train-run.ts";

export function register(program: Command): void {
  program
    .command("train")
    .description("train to the last step, through faults and over pools; the same command goes on where it stopped")
    .argument("<run>", "a run.yaml, or the directory of a run to go on with")
    .option("--dir <dir>", "the run's directory (default: runs/<name>)")
    .option("--json", "print one JSON document at the end, progress on stderr")
    .addHelpText("after", "\nExample:\n  dualgauge train examples/two-gauges/run.yaml --dir runs/first")
    .action(train);
}

async function train(given: string, options: { dir?: string; json?: true }): Promise<void> {
  const run = loadRun(given);
  const dir = options.dir ?? (run.isDirectory ? given : defaultDirectory(run.file.name));
  const terminal = words(options);
  const interrupt = onInterrupt();
  try {
    const preface = fleet(run.file, run);
    const state = await trainRun({ run, dir, preface, terminal, signal: interrupt.signal });
    const document = trainDocument(state);
    if (options.json) printDocument(document);
    else {
      terminal.print([
        ...(document.faults.length > 0 ? [line(""), ...faultTable(document.faults)] : []),
        ...next(state, dir, isProgramRun(run.file)),
      ]);
    }
    process.exitCode = exitCode(state);
  } finally {
    interrupt.dispose();
  }
}

/** 0 finished, 1 failed, 130 stopped by a person. */
export function exitCode({ phase }: RunState): number {
  if (phase === "finished") return 0;
  return phase === "failed" ? 1 : 130;
}

function next({ phase }: RunState, dir: string, isProgram: boolean) {
  switch (phase) {
    case "finished":
      if (isProgram) return [];
      return [line(`next: dualgauge port ${dir} ${dir}/export`), line(`      dualgauge serve ${dir}`)];
    case "failed":
      return [line(`next: mend the cause, then dualgauge train ${dir}`)];
    default:
      return [line(`next: dualgauge train ${dir}`)];
  }
}
