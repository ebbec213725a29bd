/**
 * `dualgauge serve`: one model behind an OpenAI-compatible endpoint, until a signal ends it.
 * Knows: options and the order of opening and closing. Does not know: routes (serving/app), the engine.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { createApp } from "../serving/app.ts";
import { openEmbedded } from "../serving/embedded.ts";
import { listen } from "../serving/listen.ts";
import { BadInput } from "../spec/bad-input.ts";
import { onInterrupt } from "./interrupt.ts";
import { printDocument, words } from "./output.ts";
import { hanging, line } from "./render/layout.ts";

const graceSeconds = 10;

interface Options {
  readonly port: string;
  readonly host: string;
  readonly name?: string;
  readonly threads: string;
  readonly json?: true;
}

export function register(program: Command): void {
  program
    .command("serve")
    .description("answer OpenAI requests from a model through the embedded engine, until Ctrl-C")
    .argument(
      "<dir>",
      "an exported directory, a checkpoint, or a run's directory (its export, else its newest checkpoint)",
    )
    .option("--port <port>", "TCP port; 0 takes a free one", "8000")
    .option("--host <host>", "address to listen on", "127.0.0.1")
    .option("--name <name>", "how the model is called (default: after its run)")
    .option("--threads <n>", "threads of the engine", "1")
    .option("--json", "print one JSON document once it listens")
    .addHelpText("after", "\nExample:\n  dualgauge serve runs/two-gauges --port 8000")
    .action(serve);
}

async function serve(dir: string, options: Options): Promise<void> {
  const port = wholeNumber("--port", options.port, { min: 0, max: 65_535 });
  const threads = wholeNumber("--threads", options.threads, { min: 1, max: 256 });
  const interrupt = onInterrupt();
  const backend = await openEmbedded(exportOf(dir), { name: options.name, threads });
  try {
    const app = createApp({ backend, now: () => Date.now() / 1000, places: 8 });
    const server = await listen(app, { host: options.host, port });
    const { model, path } = backend;
    if (options.json) printDocument({ url: server.url, model, path, pid: process.pid });
    else {
      words(options).print([
        line(`${model} answers at ${server.url}/v1`, "good"),
        ...hanging("  from   ", path),
        ...hanging("  try    ", `curl ${server.url}/v1/completions -H 'content-type: application/json' \\`),
        line(`           -d '${JSON.stringify({ model, prompt: "The ", max_tokens: 60 })}'`),
      ]);
    }
    await interrupt.asked;
    await server.close({ graceSeconds });
  } finally {
    await backend.close();
    interrupt.dispose();
  }
}

/** A run's export where there is one. */
export function exportOf(dir: string): string {
  const exported = join(dir, "export");
  return existsSync(join(dir, "journal.jsonl")) && existsSync(join(exported, "config.json")) ? exported : dir;
}

function wholeNumber(option: string, text: string, { min, max }: { min: number; max: number }): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new BadInput(`${option} ${text}: is no whole number from ${min} to ${max}; give one`);
}
