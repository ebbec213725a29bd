/**
 * `dualgauge compare`: whether two sides are the same model, and where they part; exit 1 when they are not.
 * Knows: options, exit codes, where a report goes. Does not know: measures and limits (porting/compare).
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { compare } from "../porting/compare.ts";
import { dump } from "../porting/dump.ts";
import type { UrlOptions } from "../porting/parity/ask-server.ts";
import { sealReport, signingKey, verifyReport } from "../porting/parity/seal-report.ts";
import { BadInput } from "../spec/bad-input.ts";
import { printDocument, words } from "./output.ts";
import { compareLines, verifyReportLines } from "./render/compare.ts";
import { compareMarkdown } from "./render/compare-markdown.ts";
import { hanging, line } from "./render/layout.ts";

interface Options {
  readonly prompts?: string;
  readonly tokens: number;
  readonly report?: string;
  readonly sign?: string;
  readonly dump?: string;
  readonly verify?: string;
  readonly key?: string;
  readonly aModel?: string;
  readonly bModel?: string;
  readonly aKeyEnv?: string;
  readonly bKeyEnv?: string;
  readonly chat?: true;
  readonly json?: true;
}

const tokensMax = 4096;

const help = `
A and B each: a checkpoint, a run's directory or an export (the embedded engine answers); onnx:DIR (an
export's own graphs); a .safetensors or .npz trace; or the URL of an OpenAI-compatible server.

Exit 0: the same, or within tolerance. Exit 1: different. Exit 2: cannot be compared.

Examples:
  dualgauge compare runs/two-gauges exported --prompts examples/two-gauges/prompts.txt --report parity
  dualgauge compare exported http://ascend-1:8000/v1 --prompts questions.jsonl --b-key-env ASCEND_KEY
  dualgauge compare exported --prompts prompts.txt --dump here.safetensors
  dualgauge compare here.safetensors there.safetensors
  dualgauge compare --verify parity/compare.json`;

export function register(program: Command): void {
  program
    .command("compare")
    .description("say whether two sides are the same model, and where they part: weights, modules, logits, answers")
    .argument("[a]", "a directory, onnx:DIR, a trace or a URL")
    .argument("[b]", "the other one")
    .option("--prompts <file>", "one prompt a line; .jsonl lines may hold the right answer")
    .option("--tokens <n>", "tokens that A answers to each prompt", wholeNumber, 32)
    .option("--report <dir>", "write compare.json and compare.md there")
    .option("--sign <file>", "sign the report with this Ed25519 private key (PEM)")
    .option("--dump <file>", "write what A makes of the prompts as a trace, and compare nothing")
    .option("--verify <file>", "check a compare.json against its hash and signature, and compare nothing")
    .option("--key <file>", "with --verify: the Ed25519 public key (PEM) that must have signed it")
    .option("--a-model <name>", "which of A's models, where A is a server")
    .option("--b-model <name>", "which of B's models, where B is a server")
    .option("--a-key-env <name>", "environment variable that holds A's key")
    .option("--b-key-env <name>", "environment variable that holds B's key")
    .option("--chat", "ask two servers through chat completions")
    .option("--json", "print one JSON document")
    .addHelpText("after", help)
    .action(run);
}

async function run(a: string | undefined, b: string | undefined, options: Options): Promise<void> {
  if (options.verify !== undefined) return verifyOnly(options.verify, options);
  if (options.key !== undefined) throw new BadInput("--key: goes with --verify; --sign takes the private key");
  if (a === undefined) throw new BadInput("compare: needs two sides; give A and B, or --verify and a report");
  if (options.dump !== undefined) return dumpOnly(a, b, options.dump, options);
  if (b === undefined) throw new BadInput("compare: needs two sides; give B too, or --dump to write a trace of A");
  await compareBoth(a, b, options);
}

const progress = (text: string): void => words({ json: true }).print([line(text, "quiet")]);

async function compareBoth(a: string, b: string, options: Options): Promise<void> {
  const { prompts, tokens, json, chat } = options;
  // What would fail at the end fails before the work.
  if (options.sign !== undefined) signingKey(options.sign);
  const measured = await compare({
    ...{ a, b, prompts, answerTokens: tokens, chat, onProgress: progress },
    sides: {
      a: serverOptions("--a-key-env", options.aModel, options.aKeyEnv),
      b: serverOptions("--b-key-env", options.bModel, options.bKeyEnv),
    },
  });
  const report = sealReport(measured, options.sign);
  if (options.report !== undefined) {
    mkdirSync(options.report, { recursive: true });
    writeFileSync(join(options.report, "compare.json"), `${JSON.stringify(report, null, 2)}\n`);
    writeFileSync(join(options.report, "compare.md"), compareMarkdown(report));
  }
  if (json) printDocument(report);
  else words({ json }).print(compareLines(report));
  if (!json && options.report !== undefined) {
    words({ json }).print(hanging("  ", `report in ${options.report}, hash ${report.reportSha256.slice(0, 12)}`));
  }
  if (report.verdict === "different") process.exitCode = 1;
}

function serverOptions(option: string, model: string | undefined, keyName: string | undefined): UrlOptions {
  if (keyName === undefined) return { model };
  const key = process.env[keyName];
  if (key === undefined || key === "") throw new BadInput(`${option} ${keyName}: is not set; export it with the key`);
  return { model, key };
}

async function dumpOnly(a: string, b: string | undefined, file: string, options: Options): Promise<void> {
  if (b !== undefined) throw new BadInput(`--dump: writes a trace of A alone; leave ${b} out`);
  if (options.prompts === undefined) throw new BadInput("--prompts: is missing; name a file with one prompt a line");
  const request = { source: a, prompts: options.prompts, answerTokens: options.tokens, file, onProgress: progress };
  const report = await dump(request);
  if (options.json) printDocument(report);
  else {
    words({}).print([
      line(`dumped ${report.texts} texts to ${file} (${report.bytes} bytes)`, "good"),
      line(`  hash ${report.sha256}`),
      ...hanging("next: ", `dualgauge compare ${file} OTHER`),
    ]);
  }
}

function verifyOnly(file: string, { key, json }: Options): void {
  const verification = verifyReport(file, key);
  if (json) printDocument(verification);
  else words({}).print(verifyReportLines(verification));
  if (verification.problems.length > 0) process.exitCode = 1;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > tokensMax)
    throw new InvalidArgumentError(`Give a whole number from 0 to ${tokensMax}.`);
  return value;
}
