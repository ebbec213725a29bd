/**
 * `dualgauge check`: whether a run file and its data are fit to start, without starting or changing anything.
 * Knows: what to show of a run that is fit. Does not know: what is wrong with one that is not (load-run).
 */
import type { Command } from "commander";
import { telemetryTools } from "../devices/telemetry-tools.ts";
import { poolOrder } from "../spec/run-file.ts";
import { loadRun } from "./load-run.ts";
import { printDocument, words } from "./output.ts";
import { fleet } from "./render/fleet.ts";
import { hanging, line } from "./render/layout.ts";
import { decimal, nats } from "./render/quantities.ts";

export function register(program: Command): void {
  program
    .command("check")
    .description("read a run.yaml and its data, and change nothing; exit 2 with one line per problem")
    .argument("<run.yaml>", "a run file, or a run's directory")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExample:\n  dualgauge check examples/two-gauges/run.yaml")
    .action(check);
}

/** What will be known of devices; said here, because a run without a vendor's tool says nothing of it. */
function telemetry(tools: readonly string[]): string {
  return tools.length === 0
    ? "neither nvidia-smi nor npu-smi is on PATH: nothing will be known of devices"
    : `${tools.join(" and ")} will be asked while it runs`;
}

function check(given: string, options: { json?: true }): void {
  const { file, parameters, corpus, identity } = loadRun(given, { whole: true });
  if (options.json) {
    printDocument({
      ok: true,
      run: file.name,
      identity,
      parameters,
      tokens: corpus?.tokens ?? null,
      unigramEntropy: corpus?.unigramEntropy ?? null,
      steps: file.program?.steps ?? file.train?.steps ?? null,
      ...(file.program && { program: file.program, telemetry: telemetryTools() }),
      pools: poolOrder(file).map(({ name, workers, spares, emulate }) => ({
        name,
        platform: emulate.platform,
        emulated: emulate.platform !== "cpu",
        workers,
        spares,
        faults: emulate.faults.length,
      })),
    });
    return;
  }
  const text =
    corpus && `${decimal(corpus.tokens)} tokens; single tokens have ${nats(corpus.unigramEntropy)} nats of entropy`;
  words(options).print([
    line(`${given} is fit to run`, "good"),
    ...(text ? hanging("data    ", text) : []),
    ...fleet(file, { parameters }),
    ...(file.program === undefined ? [] : hanging("devices ", telemetry(telemetryTools()))),
    line(`next: dualgauge train ${given}`),
  ]);
}
