/**
 * `dualgauge diagnose`: says which of a log's many errors is the cause, whose it is and what to do.
 * Knows: options, exit codes. Does not know: logs (diagnosis/diagnose), words (render/diagnosis).
 */
import type { Command } from "commander";
import { diagnoseLogs } from "../diagnosis/diagnose.ts";
import { onInterrupt } from "./interrupt.ts";
import { printDocument, words } from "./output.ts";
import { diagnosisLines } from "./render/diagnosis.ts";
import { line } from "./render/layout.ts";

export function register(program: Command): void {
  program
    .command("diagnose")
    .description("say which of a log's errors is the cause, whose it is and what to do")
    .argument("<log...>", "log files, folders, patterns, .gz files, or - for standard input")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nExamples:\n  dualgauge diagnose slurm-4711.out\n  dmesg | dualgauge diagnose - logs/ --json",
    )
    .action(run);
}

async function run(logs: string[], { json }: { readonly json?: true }): Promise<void> {
  const interrupt = onInterrupt();
  const progress = words({ json: true });
  // A pipe that never ends must not keep Ctrl-C from being answered with what was found so far.
  interrupt.signal.addEventListener("abort", () => process.stdin.destroy(), { once: true });
  try {
    const diagnosis = await diagnoseLogs({
      logs,
      stdin: input(),
      signal: interrupt.signal,
      note: (text) => progress.print([line(text, "quiet")]),
    });
    if (interrupt.caught() !== undefined) {
      progress.print([line("interrupted: this is the diagnosis of what was read until then")]);
      process.exitCode = 130;
    }
    const { rootCause, findings } = diagnosis;
    if (json) printDocument({ rootCause, findings });
    else words({}).print(diagnosisLines(diagnosis));
  } finally {
    interrupt.dispose();
  }
}

async function* input(): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of process.stdin) if (chunk instanceof Uint8Array) yield chunk;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_STREAM_PREMATURE_CLOSE")) throw error;
  }
}
