/**
 * Hugging Face Trainer's checkpoints: `checkpoint-100/` with safetensors or `.bin` weights and trainer_state.json, written last.
 * Under FSDP the weights are a distributed checkpoint beside it, under DeepSpeed a `global_step100/`.
 * Knows: the index of shards, and that the folder's number is trainer_state's global_step. Does not know: tensors.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import type { CheckpointFormat } from "./checkpoint-format.ts";
import { whyDcpIncomplete } from "./dcp.ts";
import { whyDeepspeedIncomplete } from "./deepspeed.ts";
import { namesBelow, namesIn, numbered, smallText } from "./entries.ts";
import { whyNotWholeSafetensors, whyNotWholeTorch } from "./whole-file.ts";

export const huggingFace: CheckpointFormat = {
  list(dir) {
    return namesIn(dir).flatMap((name) => {
      const step = numbered(name, /checkpoint-/);
      const path = join(dir, name);
      return step === undefined ? [] : [{ step, path, whyIncomplete: () => whyIncomplete(path, step) }];
    });
  },
};

const jsonBytesMax = 64 << 20;
const Index = z.looseObject({ weight_map: z.record(z.string(), z.string().regex(/^[^/\0]+$/)) });
const State = z.looseObject({ global_step: z.int().nonnegative() });

function whyIncomplete(path: string, step: number): string | undefined {
  const weights = whyWeights(path);
  if (weights !== undefined) return weights;
  for (const name of namesBelow(path).filter((name) => name.endsWith(".pt") || name.endsWith(".pth"))) {
    const why = whyNotWholeTorch(join(path, name));
    if (why !== undefined) return `${name}: ${why}`;
  }
  const state = parse(State, join(path, "trainer_state.json"));
  if (state === undefined) return "trainer_state.json: is missing or torn";
  return state.global_step === step ? undefined : `trainer_state.json: is of step ${state.global_step}`;
}

function whyWeights(path: string): string | undefined {
  for (const [single, whole] of [
    ["model.safetensors", whyNotWholeSafetensors],
    ["adapter_model.safetensors", whyNotWholeSafetensors],
    ["pytorch_model.bin", whyNotWholeTorch],
  ] as const) {
    const indexName = `${single}.index.json`;
    if (existsSync(join(path, indexName))) {
      const index = parse(Index, join(path, indexName));
      if (index === undefined) return `${indexName}: is torn or no index`;
      const shards = [...new Set(Object.values(index.weight_map))];
      if (shards.length === 0) return `${indexName}: names no shard`;
      for (const shard of shards) {
        const why = whole(join(path, shard));
        if (why !== undefined) return `${shard}: ${why}`;
      }
      return undefined;
    }
    if (existsSync(join(path, single))) {
      const why = whole(join(path, single));
      return why === undefined ? undefined : `${single}: ${why}`;
    }
  }
  return whySharded(path);
}

/** Weights that only all ranks together have: accelerate's `pytorch_model_fsdp_0/` or `.bin`, or DeepSpeed's own checkpoint. */
function whySharded(path: string): string | undefined {
  const names = namesBelow(path);
  const folders = names.filter((name) => /^(?:pytorch_model_fsdp|optimizer)_\d+$/.test(name));
  for (const name of folders) {
    const why = whyDcpIncomplete(join(path, name));
    if (why !== undefined) return `${name}/${why}`;
  }
  const own = names.find((name) => /^global_step\d+$/.test(name));
  if (own !== undefined) {
    const why = whyDeepspeedIncomplete(join(path, own));
    return why === undefined ? undefined : `${own}/${why}`;
  }
  if (folders.some((name) => name.startsWith("pytorch_model"))) return undefined;
  const whole = names.find((name) => /^pytorch_model_fsdp(?:_\d+)?\.bin$/.test(name));
  if (whole === undefined) return "holds no weights";
  const why = whyNotWholeTorch(join(path, whole));
  return why === undefined ? undefined : `${whole}: ${why}`;
}

function parse<T>(schema: z.ZodType<T>, path: string): T | undefined {
  const text = smallText(path, jsonBytesMax);
  if (text === undefined) return undefined;
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // torn
  }
}
