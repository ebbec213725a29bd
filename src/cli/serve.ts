/**
 * `dualgauge serve`: an OpenAI-compatible endpoint over a fleet of backends, or over one model in the embedded engine, until a signal ends it.
 * Knows: options, signals, watching the file, the order of opening and closing. Does not know: routes and routing (serving/gateway).
 */
import { existsSync, statSync, unwatchFile, watchFile } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { type FleetFile, parseFleetFile } from "../serving/gateway/fleet-file.ts";
import { readFleetFile } from "../serving/gateway/read-fleet-file.ts";
import { type ServedFleet, serveFleet } from "../serving/gateway/serve-fleet.ts";
import { BadInput } from "../spec/bad-input.ts";
import { onInterrupt } from "./interrupt.ts";
import { printDocument, words } from "./output.ts";
import { hanging, line } from "./render/layout.ts";

interface Options {
  readonly port?: string;
  readonly host?: string;
  readonly name?: string;
  readonly threads: string;
  readonly json?: true;
}

const watchMilliseconds = 1000;

export function register(program: Command): void {
  program
    .command("serve")
    .description("answer OpenAI requests from many backends, or from one model in the embedded engine, until Ctrl-C")
    .argument(
      "<fleet-or-dir>",
      "a FLEET.yaml (docs/reference/gateway.md); or an exported directory, a checkpoint, or a run's directory",
    )
    .option("--port <port>", "TCP port; 0 takes a free one (default: FLEET.yaml's, else 8000)")
    .option("--host <host>", "address to listen on (default: FLEET.yaml's, else 127.0.0.1)")
    .option("--name <name>", "how the model of a directory is called (default: after its run)")
    .option("--threads <n>", "threads of each embedded engine", "1")
    .option("--json", "print one JSON document once it listens")
    .addHelpText(
      "after",
      "\nA changed FLEET.yaml is taken on without dropping a request, on its own or by SIGHUP.\n" +
        "\nExamples:\n  dualgauge serve FLEET.yaml\n  dualgauge serve runs/two-gauges --port 8000",
    )
    .action(serve);
}

async function serve(given: string, options: Options): Promise<void> {
  const listen = {
    ...(options.port !== undefined && { port: wholeNumber("--port", options.port, { min: 0, max: 65_535 }) }),
    ...(options.host !== undefined && { host: options.host }),
  };
  const threads = wholeNumber("--threads", options.threads, { min: 1, max: 256 });
  const isFile = statSync(given, { throwIfNoEntry: false })?.isFile() ?? false;
  if (isFile && options.name !== undefined) throw new BadInput("--name: is for a directory; name models in the file");
  const read = (): FleetFile => {
    const file = isFile ? readFleetFile(given) : fleetOf(exportOf(given));
    return { ...file, listen: { ...file.listen, ...listen } };
  };
  const say = (text: string): void => void process.stderr.write(`dualgauge serve: ${text}\n`);
  const interrupt = onInterrupt(isFile ? ["SIGINT", "SIGTERM"] : undefined);
  try {
    const served = await serveFleet(read(), { say, env: process.env, embedded: { threads, name: options.name } });
    const unwatch = isFile ? takeOnChanges(given, served, read, say) : undefined;
    announce(served, options);
    await interrupt.asked;
    unwatch?.();
    await served.close();
  } finally {
    interrupt.dispose();
  }
}

/** By SIGHUP or when the file's time changes. A file that cannot be taken on is said so, and the old one stays. */
function takeOnChanges(
  path: string,
  served: ServedFleet,
  read: () => FleetFile,
  say: (text: string) => void,
): () => void {
  let turn = Promise.resolve();
  const reload = (): void => {
    turn = turn.then(async () => {
      try {
        await served.reload(read());
        say(`${path} is taken on`);
      } catch (error) {
        if (!(error instanceof BadInput)) throw error;
        for (const problem of error.problems) say(`${problem} (the old file stays in force)`);
      }
    });
  };
  const changed = ({ mtimeMs }: { mtimeMs: number }, before: { mtimeMs: number }): void => {
    // An editor may take the file away for a moment.
    if (mtimeMs !== before.mtimeMs && mtimeMs !== 0) reload();
  };
  process.on("SIGHUP", reload);
  watchFile(path, { interval: watchMilliseconds, persistent: false }, changed);
  return () => {
    process.off("SIGHUP", reload);
    unwatchFile(path, changed);
  };
}

function announce({ url, gateway }: ServedFleet, options: Options): void {
  const { fleet } = gateway;
  const models = [...fleet.models.keys()];
  const [model = "none"] = models;
  const backends = fleet.backends.map(({ file, from }) => ({ name: file.name, platform: file.platform, from }));
  if (options.json) {
    const [only] = fleet.backends;
    const path = only?.file.directory === undefined ? undefined : only.from;
    printDocument({ url, model, ...(path !== undefined && { path }), models, backends, pid: process.pid });
    return;
  }
  words(options).print([
    line(`${models.join(", ")} ${models.length === 1 ? "answers" : "answer"} at ${url}/v1`, "good"),
    ...backends.flatMap(({ name, platform, from }) => hanging("  from   ", `${from} (${name}, ${platform})`)),
    ...hanging("  try    ", `curl ${url}/v1/completions -H 'content-type: application/json' \\`),
    line(`           -d '${JSON.stringify({ model, prompt: "The ", max_tokens: 60 })}'`),
  ]);
}

/** One embedded backend is a fleet of one. */
function fleetOf(directory: string): FleetFile {
  const backends = [{ name: "embedded", directory, platform: "cpu", engine: "embedded", capacity: 64 }];
  return parseFleetFile({ backends, drainSeconds: 10 }, directory);
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
