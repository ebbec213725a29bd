/**
 * What every export of the embedded engine's models has beside its own weights: tokenizer files, tensors that are there twice.
 * Knows: Hugging Face's file names, what a multi-token-prediction layer shares. Does not know: number formats, where files go.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BadInput } from "../spec/bad-input.ts";
import type { DeepseekConfig } from "../spec/deepseek-config.ts";
import type { OpenedModel } from "./open-model.ts";
import { byteTokenizerConfig, byteTokenizerJson } from "./tokenizer-files.ts";

/**
 * Names under which an export repeats a parameter, and which. Published checkpoints repeat what the extra layer shares with the model
 * (README_WEIGHTS.md), and vLLM expects to find it.
 */
export function copiesOf(config: DeepseekConfig): ReadonlyMap<string, string> {
  if (config.num_nextn_predict_layers === 0) return new Map();
  const prefix = `model.layers.${config.num_hidden_layers}`;
  return new Map([
    [`${prefix}.embed_tokens.weight`, "model.embed_tokens.weight"],
    [`${prefix}.shared_head.head.weight`, "lm_head.weight"],
  ]);
}

/** `tokenizer.json` and `tokenizer_config.json`; BadInput where the user's is not what the model was trained with. */
export function tokenizerFiles(model: OpenedModel): [string, Uint8Array][] {
  const { tokenizer, config } = model;
  if (tokenizer === "byte") {
    return [
      ["tokenizer.json", json(byteTokenizerJson())],
      ["tokenizer_config.json", json(byteTokenizerConfig(config.max_position_embeddings))],
    ];
  }
  const beside = join(dirname(tokenizer), "tokenizer_config.json");
  const content = readFileSync(tokenizer);
  if (model.manifest?.tokenizer.kind === "file") {
    const { sha256 } = model.manifest.tokenizer;
    if (createHash("sha256").update(content).digest("hex") !== sha256) {
      throw new BadInput(`${tokenizer}: is not the tokenizer that the model was trained with; put that one back`);
    }
  }
  return [
    ["tokenizer.json", content],
    [
      "tokenizer_config.json",
      existsSync(beside)
        ? readFileSync(beside)
        : json({ tokenizer_class: "PreTrainedTokenizerFast", model_max_length: config.max_position_embeddings }),
    ],
  ];
}

export function json(value: object): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
