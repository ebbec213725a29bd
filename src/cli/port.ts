/**
 * `dualgauge port`: writes a trained model so that the other vendor's stack can load it.
 * Knows: options, exit codes. Does not know: formats (porting/port).
 */
import { type Command, Option } from "commander";
import type { ExportFormat } from "../porting/model-config.ts";
import { port } from "../porting/port.ts";
import type { Platform } from "../spec/vocabulary.ts";
import { onInterrupt } from "./interrupt.ts";
import { printDocument, words } from "./output.ts";
import { line } from "./render/layout.ts";
import { portLines } from "./render/port.ts";

interface Options {
  readonly to: ExportFormat;
  readonly platform: Platform;
  readonly json?: true;
}

export function register(program: Command): void {
  program
    .command("port")
    .description("write Hugging Face files and ONNX graphs that the other vendor's stack can load")
    .argument("<source>", "a checkpoint, a run's directory (its newest verified checkpoint), or an export")
    .argument("<dir>", "where to write; new or empty")
    .addOption(new Option("--to <format>", "number format of the weights").choices(["bf16", "fp32"]).default("bf16"))
    .addOption(
      new Option("--platform <platform>", "whose toolkit must know every operator")
        .choices(["ascend", "nvidia"])
        .default("ascend"),
    )
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExample:\n  dualgauge port runs/two-gauges exported --to bf16 --platform ascend")
    .action(run);
}

async function run(source: string, destination: string, { to, platform, json }: Options): Promise<void> {
  const interrupt = onInterrupt();
  const out = words({ json });
  const progress = words({ json: true });
  try {
    const report = await port({
      source,
      destination,
      format: to,
      platform,
      signal: interrupt.signal,
      onProgress: (text) => progress.print([line(text, "quiet")]),
    });
    if (json) printDocument(report);
    else out.print(portLines(report));
  } catch (error) {
    if (interrupt.caught() === undefined) throw error;
    progress.print([line("interrupted: nothing was written")]);
    process.exitCode = 130;
  } finally {
    interrupt.dispose();
  }
}
