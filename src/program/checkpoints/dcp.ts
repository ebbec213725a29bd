/**
 * PyTorch's distributed checkpoints: `__<rank>_<n>.distcp` and `.metadata`, whose presence is the commit.
 * Knows: torch/distributed/checkpoint/filesystem.py's layout. Does not know: tensors. `.metadata` is a pickle and is never executed.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { CheckpointFormat } from "./checkpoint-format.ts";
import { namesIn, numbered } from "./entries.ts";
import { isDict, isObject, MalformedPickle, type Pickled, readPickle } from "./pickle.ts";
import { unreadable, whyNotAsLong } from "./whole-file.ts";

export const dcp: CheckpointFormat = {
  list(dir) {
    return namesIn(dir).flatMap((name) => {
      // torchtitan: `step-100`; others: `epoch_0_step_100`, `checkpoint-100`, `100`.
      const step = numbered(name, /(?:[A-Za-z0-9]+[-_.])*/);
      if (step === undefined) return [];
      const path = join(dir, name);
      return [{ step, path, whyIncomplete: () => whyDcpIncomplete(path) }];
    });
  },
};

const metadataBytesMax = 256 << 20;

/** Why the folder is no complete distributed checkpoint. */
export function whyDcpIncomplete(path: string): string | undefined {
  let bytes: Buffer;
  try {
    const stat = statSync(join(path, ".metadata"));
    if (!stat.isFile()) return ".metadata: is no regular file";
    const { size } = stat;
    if (size > metadataBytesMax) return `.metadata: ${size} bytes are more than is read`;
    bytes = readFileSync(join(path, ".metadata"));
  } catch (error) {
    return `.metadata: ${unreadable(error)}`;
  }
  let ends: ReadonlyMap<string, number>;
  try {
    ends = endsOfFiles(readPickle(bytes));
  } catch (error) {
    if (!(error instanceof MalformedPickle)) throw error;
    return `.metadata: ${error.message}`;
  }
  if (ends.size === 0) return ".metadata: names no file";
  for (const [name, end] of ends) {
    // A checkpoint never reaches outside its own folder.
    if (name.startsWith("/") || name.split("/").includes("..")) return `.metadata: names ${name.slice(0, 200)}`;
    const why = whyNotAsLong(join(path, name), end);
    if (why !== undefined) return `${name}: ${why}`;
  }
  return undefined;
}

/** Of each file that any `_StorageInfo` names, the last byte that is needed. */
function endsOfFiles(root: Pickled): ReadonlyMap<string, number> {
  const ends = new Map<string, number>();
  const seen = new Set<object>();
  const waiting: Pickled[] = [root];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value !== "object" || value === null || value instanceof Uint8Array || seen.has(value)) continue;
    seen.add(value);
    if (Array.isArray(value)) for (const item of value) waiting.push(item);
    else if (isDict(value)) for (const entry of value.entries) waiting.push(...entry);
    else if (isObject(value)) {
      if (value.className.endsWith("._StorageInfo")) addEnd(ends, value.state);
      waiting.push(value.args, value.state);
      for (const item of value.items) waiting.push(item);
      for (const entry of value.entries) waiting.push(...entry);
    }
  }
  return ends;
}

function addEnd(ends: Map<string, number>, state: Pickled): void {
  const of = (key: string): Pickled => (isDict(state) ? state.entries.find(([name]) => name === key)?.[1] : undefined);
  const path = of("relative_path");
  const [offset, length] = [of("offset"), of("length")];
  if (typeof path !== "string" || typeof offset !== "number" || typeof length !== "number") {
    throw new MalformedPickle("a _StorageInfo without relative_path, offset and length");
  }
  ends.set(path, Math.max(ends.get(path) ?? 0, offset + length));
}
