/**
 * The command line: finds the verb, loads its file alone, and turns errors into exit codes.
 * Knows: the verbs and the exit codes (0 done, 1 negative verdict, 2 bad input, 130 interrupted). Does not know: any verb's options.
 */
import { Command, CommanderError } from "commander";
import { BadInput } from "../spec/bad-input.ts";

/** A verb's file exports `register`, which adds the verb with its options and action to the program. */
interface Verb {
  summary: string;
  load: () => Promise<{ register: (program: Command) => void }>;
}

const verbs: Record<string, Verb> = {
  plan: { summary: "answer with figures before money is spent", load: () => import("./plan.ts") },
  catalog: { summary: "list known accelerators and models, with sources", load: () => import("./catalog.ts") },
};

export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command("dualgauge")
    .description("Train on one vendor's accelerators, serve on another's, and let no hardware fault lose the run.")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "dualgauge: ")) });
  const verb = verbs[argv[0] ?? ""];
  if (verb) (await verb.load()).register(program);
  else for (const [name, { summary }] of Object.entries(verbs)) program.command(name).description(summary);
  try {
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    process.exitCode = exitCodeFor(error);
  }
}

function exitCodeFor(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof BadInput) {
    for (const problem of error.problems) process.stderr.write(`dualgauge: ${problem}\n`);
    return 2;
  }
  throw error;
}

await main(process.argv.slice(2));
