/**
 * Megatron-LM's and MindSpeed's checkpoints: `iter_0000100/`, and a tracker that names the newest.
 * Knows: the layouts (`torch`: mp_rank_* folders; `torch_dist`: distributed checkpoint and metadata.json, which is written last;
 * `torch_dcp` and `fsdp_dtensor`: without the latter) and that the tracker is written last and not atomically (megatron/training/checkpointing.py). Does not know: tensors.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { writeDurably } from "../../host/files.ts";
import type { CheckpointFormat } from "./checkpoint-format.ts";
import { whyDcpIncomplete } from "./dcp.ts";
import { firstGap, lackedBy, namesBelow, namesIn, numbered, smallText } from "./entries.ts";
import { whyNotWholeTorch } from "./whole-file.ts";

export const trackerName = "latest_checkpointed_iteration.txt";

export const megatron: CheckpointFormat = {
  list(dir) {
    const tracked = trackedStep(dir);
    const found = namesIn(dir).flatMap((name) => {
      const step = numbered(name, /iter_/);
      return step === undefined ? [] : [{ step, path: join(dir, name), ranks: rankFolders(join(dir, name)) }];
    });
    return found.map(({ step, path, ranks }) => ({
      step,
      path,
      whyIncomplete() {
        if (existsSync(join(path, "metadata.json")) || existsSync(join(path, ".metadata"))) {
          const isCommitted = tracked !== undefined && step <= tracked;
          // Without a tracker that can be read, those beside it show whether metadata.json is still to come.
          const needsConfig =
            !isCommitted &&
            (tracked !== undefined || found.some((other) => existsSync(join(other.path, "metadata.json"))));
          return whyDistributed(path, needsConfig);
        }
        const why = whyRanks(path, ranks);
        if (why !== undefined) return why;
        const older = found.filter((other) => other.step < step).sort((a, b) => b.step - a.step)[0];
        const lacking = lackedBy(ranks, older?.ranks ?? [], tracked !== undefined && step <= tracked);
        return lacking === undefined ? undefined : `${lacking}: is missing, iter ${older?.step} has it`;
      },
    }));
  },
  point(dir, step) {
    const path = join(dir, trackerName);
    const before = smallText(path);
    if (before === String(step)) return undefined;
    writeDurably(path, String(step));
    return before ?? "nothing";
  },
};

/** undefined when the tracker is absent, torn, or names a release. */
function trackedStep(dir: string): number | undefined {
  const text = smallText(join(dir, trackerName));
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

const rankFolders = (path: string): string[] => namesBelow(path).filter((name) => name.startsWith("mp_rank_"));

function whyDistributed(path: string, needsConfig: boolean): string | undefined {
  const text = smallText(join(path, "metadata.json"), 1 << 16);
  if (text === undefined) return needsConfig ? "metadata.json: is missing" : whyDcpIncomplete(path);
  try {
    JSON.parse(text);
  } catch {
    return "metadata.json: is torn";
  }
  const common = existsSync(join(path, "common.pt")) ? whyNotWholeTorch(join(path, "common.pt")) : undefined;
  if (common !== undefined) return `common.pt: ${common}`;
  if (existsSync(join(path, ".metadata"))) return whyDcpIncomplete(path);
  return namesBelow(path).length > 1 ? undefined : "holds nothing but metadata.json";
}

function whyRanks(path: string, ranks: readonly string[]): string | undefined {
  if (ranks.length === 0) return "holds neither metadata.json nor mp_rank_ folders";
  const gap = firstGap(ranks.map((name) => Number(/^mp_rank_(\d+)/.exec(name)?.[1])));
  if (gap !== undefined) return `mp_rank_${String(gap).padStart(2, "0")}: is missing`;
  for (const rank of ranks) {
    const files = namesBelow(join(path, rank)).filter((name) => name.endsWith(".pt"));
    if (files.length === 0) return `${rank}: holds no .pt file`;
    for (const name of files) {
      const why = whyNotWholeTorch(join(path, rank, name));
      if (why !== undefined) return `${rank}/${name}: ${why}`;
    }
  }
  return undefined;
}
