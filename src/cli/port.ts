/**
 * `dualgauge port`: writes a model so that the other vendor's stack can load it.
 * Knows: options, exit codes, which source goes which way. Does not know: formats (porting/).
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type AscendChip, ascendChips } from "../catalog/ascend-serving.ts";
import { port } from "../porting/port.ts";
import { BadInput } from "../spec/bad-input.ts";
import type { Platform } from "../spec/vocabulary.ts";
import { onInterrupt } from "./interrupt.ts";
import { printDocument, words } from "./output.ts";
import { isHuggingFace, runConversion, runPlan, runVerify } from "./port-conversion.ts";
import { line } from "./render/layout.ts";
import { portLines } from "./render/port.ts";

interface Options {
  readonly to: "bf16" | "fp32" | "w8a8-dynamic" | "onnx";
  readonly platform: Platform;
  readonly plan?: true;
  readonly verify?: true;
  readonly chip: AscendChip;
  readonly toolkit: string;
  readonly threads?: number;
  readonly capacity?: number;
  readonly json?: true;
}

export function register(program: Command): void {
  program
    .command("port")
    .description("write a model so that the other vendor's stack can load it")
    .argument("<source>", "a Hugging Face directory, a checkpoint, a run's directory, or an export")
    .argument("[dir]", "where to write; new or empty, or what an interrupted port left")
    .addOption(
      new Option("--to <format>", "what to write").choices(["bf16", "fp32", "w8a8-dynamic", "onnx"]).default("bf16"),
    )
    .option("--plan", "say what would be written and what the target lacks; write nothing")
    .option("--verify", "read back what port wrote to <source> and check every byte")
    .addOption(new Option("--chip <chip>", "target of --plan").choices(ascendChips).default("ascend910b"))
    .option("--toolkit <version>", "CANN version of the target of --plan", "9.1.0")
    .option("--threads <count>", "threads that convert (default: two a processor, at most 8)", threadCount)
    .option("--capacity <tokens>", "fix every shape in the ONNX graphs, as Ascend's ATC wants it", tokenCount)
    .addOption(
      new Option("--platform <platform>", "whose toolkit must know every operator")
        .choices(["ascend", "nvidia"])
        .default("ascend"),
    )
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExample:\n  dualgauge port DeepSeek-R1 R1-w8a8 --to w8a8-dynamic")
    .action(run);
}

function threadCount(text: string): number {
  if (!/^[1-8]$/.test(text)) throw new InvalidArgumentError("give 1 to 8");
  return Number(text);
}

function tokenCount(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError("give a whole number of tokens from 1");
  return Number(text);
}

async function run(source: string, destination: string | undefined, options: Options): Promise<void> {
  const interrupt = onInterrupt();
  try {
    await dispatch(source, destination, options, interrupt.signal);
  } catch (error) {
    if (interrupt.caught() === undefined) throw error;
    words({ json: true }).print([line("interrupted: nothing is there yet; the same command goes on")]);
    process.exitCode = 130;
  } finally {
    interrupt.dispose();
  }
}

async function dispatch(
  source: string,
  destination: string | undefined,
  options: Options,
  signal: AbortSignal,
): Promise<void> {
  const { to, json, threads, chip, toolkit, platform, capacity } = options;
  if (options.verify) return runVerify(source, { json, signal });
  const streams = to === "w8a8-dynamic" || ((to === "bf16" || to === "onnx" || options.plan) && isHuggingFace(source));
  if (options.plan) {
    if (!streams || to === "fp32") {
      throw new BadInput(
        "--plan: answers for a Hugging Face directory --to bf16, w8a8-dynamic or onnx; give one of these",
      );
    }
    return runPlan({ source, format: to, capacityTokens: capacity }, { chip, toolkit }, { json });
  }
  if (destination === undefined) throw new BadInput("port: no directory to write to; give one after the source");
  if (capacity !== undefined && to !== "onnx" && streams) {
    throw new BadInput(`--capacity: fixes the shapes of ONNX graphs, --to ${to} writes none; add --to onnx`);
  }
  if (streams) {
    const format = to === "w8a8-dynamic" ? to : "bf16";
    const graphs = to === "onnx" ? { platform, capacityTokens: capacity } : undefined;
    return runConversion({ source, destination, format, threads, graphs }, { json, signal });
  }
  await portEmbedded(source, destination, options, signal);
}

/** The embedded engine's models get ONNX graphs beside their weights. */
async function portEmbedded(
  source: string,
  destination: string,
  { to, platform, capacity, json }: Options,
  signal: AbortSignal,
): Promise<void> {
  const progress = words({ json: true });
  const report = await port({
    ...{ source, destination, platform, signal, capacityTokens: capacity },
    format: to === "fp32" ? "fp32" : "bf16",
    onProgress: (text) => progress.print([line(text, "quiet")]),
  });
  if (json) printDocument(report);
  else words({ json }).print(portLines(report));
}
