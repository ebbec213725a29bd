/**
 * Opens a trained model of the embedded engine as the source of a conversion, straight from its checkpoint's own file.
 * Knows: what an export holds besides the parameters. Does not know: formats to convert to, files to write.
 */
import { statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { openSafetensors } from "../../checkpoint/safetensors-file.ts";
import { openTokenizer } from "../../engine/tokenizer.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { copiesOf, json, tokenizerFiles } from "../export-files.ts";
import { toGenerationConfig, toModelConfig } from "../model-config.ts";
import { openModel } from "../open-model.ts";
import type { ModelSource, SourceTensor } from "./model-source.ts";
import { parseStrictObject } from "./strict-json.ts";

/** `given` is a checkpoint or a run's directory, whose newest checkpoint that verifies is taken. BadInput says what is wrong with it. */
export async function openCheckpointSource(given: string): Promise<ModelSource> {
  const model = await openModel(given);
  try {
    const { config, manifest, weights } = model;
    if (!manifest) throw new BadInput(`${given}: is no checkpoint; give a checkpoint or a run's directory`);
    const { start, tensors } = readLayout(weights.path);
    const file = basename(weights.path);
    const named = (name: string, from: string): SourceTensor => {
      const entry = tensors.get(from);
      if (!entry) throw new BadInput(`${weights.path}: tensor ${from} is missing; train it again`);
      const { dtype, shape, begin, end } = entry;
      return { name, dtype, shape, file, at: start + begin, bytes: end - begin };
    };
    const { bos, eos } = openTokenizer(model.tokenizer, config);
    const text = JSON.stringify(toModelConfig(config, { format: "bf16", bos, eos }));
    const { size, mtimeMs } = statSync(weights.path);
    return {
      ...{ given, path: dirname(weights.path), modelType: config.model_type, layers: config.num_hidden_layers },
      origin: { kind: "checkpoint", run: manifest.run, epoch: manifest.epoch, step: manifest.step },
      config: parseStrictObject(text, join(given, "config.json")).members,
      block: undefined,
      tensors: [
        ...model.parameters.map(({ name }) => named(name, name)),
        ...[...copiesOf(config)].map(([name, from]) => named(name, from)),
      ],
      shards: [{ file, bytes: size, modifiedMs: mtimeMs }],
      sideFiles: [],
      made: new Map([
        ["generation_config.json", json(toGenerationConfig(config, { bos, eos }))],
        ...tokenizerFiles(model),
      ]),
    };
  } finally {
    model.close();
  }
}

function readLayout(path: string): Pick<ReturnType<typeof openSafetensors>, "start" | "tensors"> {
  const opened = openSafetensors(path);
  opened.close();
  return opened;
}
