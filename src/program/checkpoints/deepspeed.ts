/**
 * DeepSpeed's checkpoints: `global_step100/` with one file per rank, and `latest`, which names the newest.
 * Knows: names of model and ZeRO files (deepspeed/runtime/engine.py); `latest` is written last and may be stale or torn.
 * Does not know: tensors.
 */
import { join } from "node:path";
import { writeDurably } from "../../host/files.ts";
import type { CheckpointFormat } from "./checkpoint-format.ts";
import { firstGap, lackedBy, namesBelow, namesIn, numbered, smallText } from "./entries.ts";
import { whyNotWholeTorch } from "./whole-file.ts";

export const deepspeed: CheckpointFormat = {
  list(dir) {
    const latest = numbered(smallText(join(dir, "latest")) ?? "", /global_step/);
    const found = namesIn(dir).flatMap((name) => {
      const step = numbered(name, /global_step/);
      return step === undefined ? [] : [{ step, path: join(dir, name), files: ptFiles(join(dir, name)) }];
    });
    return found.map(({ step, path, files }) => ({
      step,
      path,
      whyIncomplete() {
        const why = whyFiles(path, files);
        if (why !== undefined) return why;
        const older = found.filter((other) => other.step < step).sort((a, b) => b.step - a.step)[0];
        const lacking = lackedBy(files, older?.files ?? [], latest !== undefined && step <= latest);
        return lacking === undefined ? undefined : `${lacking}: is missing, global_step${older?.step} has it`;
      },
    }));
  },
  point(dir, step) {
    const path = join(dir, "latest");
    const before = smallText(path);
    if (before === `global_step${step}`) return undefined;
    writeDurably(path, `global_step${step}`);
    return before ?? "nothing";
  },
};

const ptFiles = (path: string): string[] => namesBelow(path).filter((name) => name.endsWith(".pt"));
const zeroFile = /^(?:bf16_|fp16_)?zero_pp_rank_(\d+)_mp_rank_(\d+)(_optim_states|_model_states)\.pt$/;
const modelFile = /^mp_rank_(\d+)_model_states\.pt$/;

/** Why the folder is no complete checkpoint of DeepSpeed's, by itself. */
export const whyDeepspeedIncomplete = (path: string): string | undefined => whyFiles(path, ptFiles(path));

function whyFiles(path: string, files: readonly string[]): string | undefined {
  if (!files.some((name) => modelFile.test(name) || /_model_states\.pt$|^layer_/.test(name)))
    return "holds no model states";
  const models = files.flatMap((name) => modelFile.exec(name)?.[1] ?? []).map(Number);
  const gap = firstGap(models);
  if (gap !== undefined) return `mp_rank_${String(gap).padStart(2, "0")}_model_states.pt: is missing`;
  // Of each kind and model rank, the data-parallel ranks must be all there, and as many as of every other model rank.
  const groups = new Map<string, number[]>();
  for (const name of files) {
    const [, data, model, kind] = zeroFile.exec(name) ?? [];
    if (kind !== undefined) groups.set(`${kind} ${model}`, [...(groups.get(`${kind} ${model}`) ?? []), Number(data)]);
  }
  const most = Math.max(0, ...[...groups.values()].map((ranks) => ranks.length));
  for (const [group, ranks] of groups) {
    const [kind, model] = group.split(" ");
    const missing = firstGap(ranks) ?? (ranks.length < most ? ranks.length : undefined);
    if (missing !== undefined) return `zero_pp_rank_${missing}_mp_rank_${model}${kind}.pt: is missing`;
  }
  for (const name of files) {
    const why = whyNotWholeTorch(join(path, name));
    if (why !== undefined) return `${name}: ${why}`;
  }
  return undefined;
}
