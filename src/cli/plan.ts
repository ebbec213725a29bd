/**
 * The verb `plan`: a group that loads the one subcommand that was typed.
 * Knows: the names of the subcommands. Does not know: their options; `plan train --help` must not wait for the others.
 */
import type { Command } from "commander";

interface Subcommand {
  summary: string;
  load: () => Promise<{ register: (program: Command) => void }>;
}

const subcommands: Record<string, Subcommand> = {
  train: {
    summary: "will this training run finish on this hardware, by when, in which layout",
    load: () => import("./plan-train.ts"),
  },
  serve: {
    summary: "how many tokens a second within a latency objective, with layout and prompt:decode split",
    load: () => import("./plan-serve.ts"),
  },
  fleet: {
    summary: "which chips of a mixed fleet train and which serve, per period",
    load: () => import("./plan-fleet.ts"),
  },
  validate: { summary: "how far the model is off on published runs", load: () => import("./plan-validate.ts") },
  diff: { summary: "what changed between two plans", load: () => import("./plan-diff.ts") },
};

/** Adds `plan`; what follows it on the command line goes to a group of its own, so that only the typed subcommand is loaded. */
export function register(program: Command): void {
  program
    .command("plan")
    .description("Answer with figures before money is spent.")
    .argument("[subcommand...]", Object.keys(subcommands).join(", "))
    .helpOption(false)
    .allowUnknownOption()
    .action((args: string[], _options: unknown, command: Command) => runGroup(args, command));
}

async function runGroup(args: readonly string[], parent: Command): Promise<void> {
  const group = parent.createCommand("plan").description("Answer with figures before money is spent.");
  group.copyInheritedSettings(parent);
  group.name("dualgauge plan").helpOption("-h, --help");
  const given = (args[0] === "help" ? args[1] : args[0]) ?? "";
  const chosen = subcommands[given];
  if (chosen) (await chosen.load()).register(group);
  else if (given !== "" && !given.startsWith("-")) {
    const { BadInput, didYouMean } = await import("../spec/bad-input.ts");
    throw new BadInput(
      `plan: unknown subcommand ${given.slice(0, 60)}${didYouMean(given, Object.keys(subcommands))}; see dualgauge plan --help`,
    );
  } else for (const [name, { summary }] of Object.entries(subcommands)) group.command(name).description(summary);
  group.addHelpText("after", "\nExample:\n  dualgauge plan train --help");
  await group.parseAsync(args.length === 0 ? ["--help"] : [...args], { from: "user" });
}
