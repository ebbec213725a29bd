/**
 * The command line: finds the verb, loads its file alone, and turns errors into exit codes.
 * Knows: the verbs and the exit codes (0 done, 1 negative verdict, 2 bad input, 130 interrupted). Does not know: any verb's options.
 */
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";

/** A verb's file exports `register`, which adds the verb with its options and action to the program. */
interface Verb {
  summary: string;
  load: () => Promise<{ register: (program: Command) => void }>;
}

const verbs: Record<string, Verb> = {
  plan: { summary: "answer with figures before money is spent", load: () => import("./plan.ts") },
  catalog: { summary: "list known accelerators and models, with sources", load: () => import("./catalog.ts") },
  init: { summary: "write a commented run.yaml for your text", load: () => import("./init.ts") },
  check: { summary: "read a run.yaml and its data, and change nothing", load: () => import("./check.ts") },
  run: { summary: "all of it: train, port, compare, serve, answer", load: () => import("./run.ts") },
  train: { summary: "train through faults, over pools, to the last step", load: () => import("./train.ts") },
  status: { summary: "say where a run stands", load: () => import("./status.ts") },
  events: { summary: "tell what happened, or what happens", load: () => import("./events.ts") },
  diagnose: {
    summary: "say which of a log's errors is the cause, whose it is and what to do",
    load: () => import("./diagnose.ts"),
  },
  port: { summary: "write a model so that the other vendor's stack can load it", load: () => import("./port.ts") },
  compare: {
    summary: "say whether two sides are the same model, and where they part",
    load: () => import("./compare.ts"),
  },
  serve: { summary: "answer OpenAI requests from a model", load: () => import("./serve.ts") },
};

export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command("dualgauge")
    .description("Train on one vendor's accelerators, serve on another's, and let no hardware fault lose the run.")
    .version(version(), "-V, --version")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(oneLine(text)) });
  // A reader that went away (`dualgauge events | head`) ends the output, not the run.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreBrokenPipe);
  const verb = verbs[(argv[0] === "help" ? argv[1] : argv[0]) ?? ""];
  try {
    if (verb) (await verb.load()).register(program);
    else for (const [name, { summary }] of Object.entries(verbs)) program.command(name).description(summary);
    // A verb that is no verb gets commander's own line with the nearest one.
    await program.parseAsync(argv.length === 0 ? ["--help"] : [...argv], { from: "user" });
  } catch (error) {
    process.exitCode = await exitCodeFor(error);
  }
}

/** Commander writes its suggestion on a line of its own. */
const oneLine = (text: string): string => text.replace(/^error: /, "dualgauge: ").replace(/\n\(/, " (");

function version(): string {
  const parsed: unknown = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return typeof parsed === "object" && parsed !== null && "version" in parsed ? String(parsed.version) : "unknown";
}

function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}

/** What the machine refuses and a person can mend; anything else is a defect of dualgauge and keeps its stack. */
const mendable: Record<string, string> = {
  ENOSPC: "the disk is full; free some space",
  EDQUOT: "the disk quota is used up; free some space",
  EROFS: "the file system is read-only; choose another place",
  EACCES: "permission denied; choose another place or mend the permissions",
  EPERM: "not permitted; choose another place or mend the permissions",
  ENOTDIR: "a part of the path is no folder; choose another place",
  EISDIR: "is a folder; name a file",
  ENAMETOOLONG: "the name is too long; choose a shorter one",
  EMFILE: "too many open files; raise `ulimit -n`",
};

async function exitCodeFor(error: unknown): Promise<number> {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  // Loaded only now: --help has no use for it.
  const { BadInput } = await import("../spec/bad-input.ts");
  if (error instanceof BadInput) {
    for (const problem of error.problems) process.stderr.write(`dualgauge: ${problem}\n`);
    return 2;
  }
  if (error instanceof Error && "code" in error && typeof error.code === "string") {
    const what = mendable[error.code];
    const path = "path" in error && typeof error.path === "string" ? error.path : "dualgauge";
    if (what !== undefined) {
      process.stderr.write(`dualgauge: ${path}: ${what}\n`);
      return 2;
    }
  }
  throw error;
}

await main(process.argv.slice(2));
