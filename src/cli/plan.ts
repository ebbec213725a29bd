/**
 * The verb `plan`: a group that loads the one subcommand that was typed.
 * Knows: the names of the subcommands. Does not know: their options; `plan train --help` must not wait for the others.
 */
import type { Command } from "commander";
import { BadInput, didYouMean } from "../spec/bad-input.ts";

interface Subcommand {
  summary: string;
  load: () => Promise<{ register: (program: Command) => void }>;
}

const subcommands: Record<string, Subcommand> = {};

/** Adds `plan` with the subcommand named in `argv` alone, or with all their summaries when none is. */
export async function register(program: Command, argv: readonly string[]): Promise<void> {
  const plan = program.command("plan").description("Answer with figures before money is spent.");
  const given = argv[1] ?? "";
  const chosen = subcommands[given];
  if (chosen) {
    (await chosen.load()).register(plan);
    return;
  }
  if (given !== "" && !given.startsWith("-") && given !== "help")
    throw new BadInput(
      `plan: unknown subcommand ${given.slice(0, 60)}${didYouMean(given, Object.keys(subcommands))}; see dualgauge plan --help`,
    );
  for (const [name, { summary }] of Object.entries(subcommands)) plan.command(name).description(summary);
  plan.addHelpText(
    "after",
    "\nExample:\n  dualgauge plan train --model deepseek-v3 --accelerator h800-sxm --devices 2048 --tokens 14.8e12",
  );
}
