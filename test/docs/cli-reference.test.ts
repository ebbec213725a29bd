/** docs/reference/cli.md is what `--help` says of every verb; `npx vitest run test/docs -u` rewrites it. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Command } from "commander";
import { expect, test } from "vitest";

const folder = resolve(import.meta.dirname, "../../src/cli");
const files = readdirSync(folder).filter(
  (name) =>
    name.endsWith(".ts") && /^export (async )?function register\(/m.test(readFileSync(join(folder, name), "utf8")),
);

interface Verb {
  register(program: Command, argv?: readonly string[]): void | Promise<void>;
}

/** A file's verb and its subcommands, each as the page shows it; `plan-train.ts` is `plan train`. */
async function help(file: string): Promise<string> {
  const [group, subcommand] = basename(file, ".ts").split(/-(.*)/);
  const program = new Command(subcommand === undefined ? "dualgauge" : `dualgauge ${group}`).exitOverride();
  const loaded: Verb = await import(join(folder, file));
  await loaded.register(program, [group ?? ""]);
  const verb = subcommand ?? group;
  const command = program.commands.find((candidate) => candidate.name() === verb);
  if (command === undefined) throw new Error(`${file} registers no verb ${verb}`);
  return [command, ...command.commands].map(helpOf).join("\n");
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part), getOutHelpWidth: () => 100 });
  command.outputHelp();
  const name = /^Usage: dualgauge ([a-z ]*[a-z])/.exec(text)?.[1] ?? command.name();
  return `## ${name}\n\n\`\`\`\n${text.trimEnd()}\n\`\`\`\n`;
}

/** `plan` and `catalog` only lead to their subcommands. */
const groups = new Set(["plan.ts", "catalog.ts"]);

test.each(files)("%s has --json and an example", async (file) => {
  const text = await help(file);
  if (file !== "plan.ts") expect(text).toContain("--json");
  if (!groups.has(file)) expect(text).toContain("Example");
});

test("the page is current", async () => {
  const sections = await Promise.all(files.map(help));
  const page = [
    "# Command line",
    "",
    "`./bin/dualgauge.js <verb>`. With `--json` a verb prints one JSON document on stdout and everything else on stderr. Exit",
    "codes: 0 done, 1 a negative verdict (run failed, models differ), 2 bad input (one line: where, what, how to mend; nothing",
    "was changed), 130 interrupted. RUN is a run's directory or a run.yaml.",
    "",
    "<!-- by: npx vitest run test/docs -u (from each verb's --help) -->",
    "",
    ...sections,
  ].join("\n");
  await expect(page).toMatchFileSnapshot("../../docs/reference/cli.md");
});
