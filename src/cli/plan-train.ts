/**
 * `plan train`: a training question from the command line, answered in words, a table or JSON.
 * Knows: the options and their defaults. Does not know: any formula; the planner is loaded when it is asked something.
 */
import type { Command } from "commander";
import type { TrainOptions } from "./plan-train-run.ts";

const example = `
Examples:
  dualgauge plan train --model deepseek-v3 --accelerator h800-sxm --devices 2048 --tokens 14.8e12 \\
    --seq 4096 --global-batch 15360 --precision fp8 --deadline 60
  dualgauge plan train --model llama-3.1-405b --accelerator h100-sxm --devices 16384 --tokens 15.6e12 \\
    --seq 8192 --global-batch 2048 --layout tp=8,pp=16,dp=128,recompute=selective --json`;

export function register(plan: Command): void {
  plan
    .command("train")
    .description("Will this run finish on this hardware, by when, at what price, in which layout?")
    .requiredOption(
      "--model <file|preset>",
      "a preset (dualgauge catalog models) or the path of a Hugging Face config.json",
    )
    .requiredOption("--accelerator <id>", "an accelerator (dualgauge catalog accelerators)")
    .requiredOption("--devices <n>", "how many devices there are")
    .requiredOption("--tokens <n>", "tokens to train on, such as 14.8e12")
    .option("--seq <n>", "sequence length", "4096")
    .option("--global-batch <n>", "sequences per step; default: about 16 million tokens")
    .option("--precision <format>", "bf16, fp16, fp8 or fp4", "bf16")
    .option(
      "--layout <spec>",
      "evaluate one layout: tp=8,pp=16,ep=1,cp=1,dp=16,vpp=1,zero=1,recompute=none,micro-batch=1",
    )
    .option(
      "--schedule <name>",
      "1f1b, interleaved, zero-bubble or dualpipe; default: 1f1b and interleaved are compared",
    )
    .option(
      "--stack <name>",
      "software stack, such as megatron-core, torchtitan or deepseek; default: bridge on NVIDIA, mindspeed on Ascend",
    )
    .option("--deadline <days>", "days within which it must be done")
    .option(
      "--reliability <id|rate>",
      "a published system, or failures per node and day; default: the nearest published",
    )
    .option("--spares <nodes>", "idle nodes that replace failed ones; default: 1 in 12, as BLOOM-176B kept")
    .option("--repair-days <days>", "mean days until a failed node comes back as a spare", "1")
    .option("--dollars-per-device-hour <x>", "price of a device")
    .option("--alternatives <k>", "how many other layouts to list", "4")
    .option("--emit <framework>", "print the command lines instead: megatron, mindspeed, torchtitan or slurm")
    .option("--json", "one JSON document on stdout")
    .addHelpText("after", example)
    .action(async (options: TrainOptions) => {
      const { runPlanTrain } = await import("./plan-train-run.ts");
      await runPlanTrain(options);
    });
}
