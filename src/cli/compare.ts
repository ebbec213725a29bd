/**
 * `dualgauge compare`: whether two directories hold the same model; exit 1 when they do not.
 * Knows: options, exit codes. Does not know: measures and limits (porting/compare).
 */
import { type Command, InvalidArgumentError } from "commander";
import { compare } from "../porting/compare.ts";
import { printDocument, words } from "./output.ts";
import { compareLines } from "./render/compare.ts";
import { line } from "./render/layout.ts";

interface Options {
  readonly prompts: string;
  readonly tokens: number;
  readonly json?: true;
}

const tokensMax = 4096;

export function register(program: Command): void {
  program
    .command("compare")
    .description("say whether two directories hold the same model: by weights, logits and greedy answers")
    .argument("<a>", "a checkpoint, a run's directory (its newest verified checkpoint), or an export")
    .argument("<b>", "the other one")
    .requiredOption("--prompts <file>", "a text file with one prompt a line")
    .option("--tokens <n>", "tokens that A answers to each prompt", wholeNumber, 32)
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nExit 0: the same, or within tolerance. Exit 1: different.\n\nExample:\n  dualgauge compare runs/two-gauges exported --prompts examples/two-gauges/prompts.txt",
    )
    .action(run);
}

async function run(a: string, b: string, { prompts, tokens, json }: Options): Promise<void> {
  const progress = words({ json: true });
  const onProgress = (text: string): void => progress.print([line(text, "quiet")]);
  const report = await compare({ a, b, prompts, answerTokens: tokens, onProgress });
  if (json) printDocument(report);
  else words({ json }).print(compareLines(report));
  if (report.verdict === "different") process.exitCode = 1;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > tokensMax)
    throw new InvalidArgumentError(`Give a whole number from 0 to ${tokensMax}.`);
  return value;
}
