/**
 * The verb `plan serve`: its options and an example.
 * Knows: how options are spelled. Does not know: any formula; the planner is loaded when it is asked something.
 */
import { type Command, InvalidArgumentError } from "commander";
import type { ServeOptions } from "./plan-serve-run.ts";

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new InvalidArgumentError(`${text.slice(0, 40)} is not a number.`);
  return value;
}

export function register(parent: Command): void {
  parent
    .command("serve")
    .description(
      "Throughput per device under a latency objective: layout, prompt and decode pools, cache, concurrency.",
    )
    .requiredOption("--model <file|preset>", "a config.json of Hugging Face, or a preset (dualgauge catalog models)")
    .requiredOption("--accelerator <id>", "an accelerator (dualgauge catalog accelerators)")
    .requiredOption("--devices <n>", "how many devices", number)
    .requiredOption("--isl <tokens>", "mean prompt length", number)
    .requiredOption("--osl <tokens>", "mean output length", number)
    .requiredOption("--ttft <seconds>", "mean time to the first token that must be met", number)
    .requiredOption("--tpot <seconds>", "mean time per output token that must be met", number)
    .option("--engine <name>", "vllm | vllm-ascend | mindie | sglang (default: the vendor's vLLM)")
    .option("--disaggregate <mode>", "auto | yes | no: separate devices for prompts and decoding", "auto")
    .option(
      "--precision <format>",
      "weights: bf16 | fp8 | w8a8 | w8a16 | w4a8 | w4a16 | nvfp4 | mxfp4 (default: as published)",
    )
    .option("--kv-precision <format>", "key/value cache: bf16 | fp8 | int8", "bf16")
    .option("--prefix-hit <share>", "share of prompt tokens found in a prefix cache", number, 0)
    .option("--mtp <tokens>", "tokens drafted per step by multi-token prediction", number, 0)
    .option("--emit <dialect>", "print command lines instead: vllm | vllm-ascend")
    .option("--json", "one JSON document on standard output")
    .addHelpText(
      "after",
      "\nExample:\n  dualgauge plan serve --model deepseek-r1 --accelerator h800-sxm --devices 144 --isl 4096 --osl 1024 --ttft 2 --tpot 0.05",
    )
    .action(async (options: ServeOptions) => {
      const { runPlanServe } = await import("./plan-serve-run.ts");
      await runPlanServe(options);
    });
}
