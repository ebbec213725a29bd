/**
 * `dualgauge init`: writes a commented run.yaml that trains a tiny model on a person's own text.
 * Knows: a good first run and where text may lie. Does not know: how a run is checked (check) or carried out (train).
 */
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { BadInput } from "../spec/bad-input.ts";
import { printDocument, words } from "./output.ts";
import { line } from "./render/layout.ts";
import { runFileTemplate } from "./run-file-template.ts";

export function register(program: Command): void {
  program
    .command("init")
    .description("write a commented run.yaml that trains a tiny model on your text")
    .argument("[folder]", "where run.yaml is to lie", ".")
    .option("--text <path...>", ".txt or .jsonl files, or folders of them (default: the folder itself)")
    .option("--name <name>", "the run's name (default: the folder's)")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nExample:\n  dualgauge init my-run --text ~/books && dualgauge train my-run/run.yaml")
    .action(init);
}

interface Options {
  readonly text?: string[];
  readonly name?: string;
  readonly json?: true;
}

function init(folder: string, options: Options): void {
  const target = join(folder, "run.yaml");
  if (existsSync(target)) throw new BadInput(`${target}: exists already; edit it, or choose another folder`);
  const given = options.text ?? [folder];
  const files = given.map((path) => textSource(path, folder, options.text !== undefined));
  const name = runName(options.name ?? basename(resolve(folder)));
  mkdirSync(folder, { recursive: true });
  // The flag refuses a file that appeared in between; nothing of a person's is ever overwritten.
  writeFileSync(target, runFileTemplate({ name, files }), { flag: "wx" });
  const next = [`dualgauge check ${target}`, `dualgauge train ${target}`];
  if (options.json) printDocument({ file: target, name, next });
  else words(options).print([line(`${target} is written`, "good"), ...next.map((command) => line(`next: ${command}`))]);
}

/** The path as run.yaml is to name it; BadInput when no text lies there. */
function textSource(path: string, folder: string, wasGiven: boolean): string {
  const where = wasGiven ? `--text ${path}` : path;
  if (!existsSync(path)) {
    throw new BadInput(`${where}: does not exist; name .txt or .jsonl files, or a folder of them, with --text`);
  }
  const isText = (name: string): boolean => /\.(txt|jsonl)$/i.test(name);
  const found = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: "utf8" }).some(isText)
    : isText(path);
  if (!found) throw new BadInput(`${where}: no .txt or .jsonl file there; name some with --text`);
  return relative(resolve(folder), resolve(path)) || ".";
}

/** `My Run!` → `my-run`: lower-case letters, digits and dashes. */
function runName(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 63);
  return name === "" ? "run" : name;
}
