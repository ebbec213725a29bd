/**
 * Reads a finished conversion back: every byte against its hash, index and description against what the shards hold.
 * Knows: what `convert` writes. Does not know: the source, which may be gone.
 */
import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import * as z from "zod";
import { openSafetensors } from "../../checkpoint/safetensors-file.ts";
import { MalformedSafetensors } from "../../checkpoint/safetensors-header.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { descriptionName, indexNames, json } from "./description.ts";
import { trackProgress } from "./progress.ts";
import { runTasks } from "./run-tasks.ts";
import type { Task } from "./thread-messages.ts";
import { workName } from "./work-folder.ts";

const Listed = z.looseObject({
  v: z.literal(1),
  source: z.looseObject({ kind: z.string() }),
  files: z.array(
    z.strictObject({
      name: z.string().regex(/^[^/\0]{1,255}$/),
      bytes: z.int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

export interface VerifyReport {
  readonly path: string;
  readonly files: number;
  readonly bytes: number;
  readonly tensors: number;
  /** What is wrong, one line each; empty when all is as it was written. */
  readonly problems: readonly string[];
}

/** `port.json`: its last key is a hash over the rest, so that a changed list does not pass. */
export function sealReport(report: object): Uint8Array {
  return json({ ...report, seal: sealOf(report) });
}

const sealOf = (report: object): string => createHash("sha256").update(JSON.stringify(report)).digest("hex");

/** Reads all of `given`. BadInput when it holds no finished port at all. */
export async function verifyConversion(
  given: string,
  { threads, onProgress, signal }: { threads?: number; onProgress?: (line: string) => void; signal?: AbortSignal } = {},
): Promise<VerifyReport> {
  const path = resolve(given);
  if (!existsSync(join(path, "port.json"))) {
    const unfinished = existsSync(join(path, workName)) ? "holds an unfinished port; run its command again" : undefined;
    throw new BadInput(`${given}: ${unfinished ?? "holds no port.json; give a directory that port wrote"}`);
  }
  const problems: string[] = [];
  const listed = readList(path, problems);
  const total = listed.reduce((sum, { bytes }) => sum + bytes, 0);
  const tasks: Task[] = [];
  for (const { name, bytes } of listed) {
    const stat = lstatSync(join(path, name), { throwIfNoEntry: false });
    if (!stat) problems.push(`${name}: is missing`);
    else if (!stat.isFile()) problems.push(`${name}: is no regular file`);
    else if (stat.size !== bytes) problems.push(`${name}: has ${stat.size} bytes, port.json says ${bytes}`);
    else tasks.push({ kind: "hash", name, path: join(path, name), bytes });
  }
  const wanted = new Map(listed.map(({ name, sha256 }) => [name, sha256]));
  const progress = trackProgress(total, onProgress);
  await runTasks(tasks, {
    source: { path, given, direct: false },
    threads: threads ?? (total < 64 << 20 ? 0 : Math.min(availableParallelism(), 8)),
    signal,
    onBytes: (bytes) => progress.add(bytes),
    onDone: (_task, { name, sha256 }) => {
      if (sha256 !== wanted.get(name)) problems.push(`${name}: its SHA-256 differs from port.json's`);
    },
  });
  const names = new Set([...wanted.keys(), "port.json"]);
  for (const name of readdirSync(path)) if (!names.has(name)) problems.push(`${name}: is not listed in port.json`);
  const tensors = problems.length === 0 ? checkTensors(path, [...wanted.keys()], problems) : 0;
  return { path, files: listed.length, bytes: total, tensors, problems };
}

function readList(path: string, problems: string[]): z.infer<typeof Listed>["files"] {
  const text = readFileSync(join(path, "port.json"));
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text));
  } catch {
    problems.push("port.json: is not JSON");
    return [];
  }
  const parsed = Listed.safeParse(value);
  if (!parsed.success) {
    problems.push(...parsed.error.issues.map((issue) => `port.json: ${issue.path.join(".")}: ${issue.message}`));
    return [];
  }
  // Not what the schema gives back: it puts the keys in another order.
  const { seal, ...report } = Object.fromEntries(Object.entries(Object(value)));
  // An export of the embedded engine carries no seal.
  const isSealed = parsed.data.source.kind === "hugging-face" || seal !== undefined;
  const asWritten = isSealed ? seal === sealOf(report) && Buffer.compare(text, sealReport(report)) === 0 : true;
  if (!asWritten) problems.push("port.json: was changed after it was written");
  return parsed.data.files;
}

/** Index and description must name exactly what the shards hold. */
function checkTensors(path: string, names: readonly string[], problems: string[]): number {
  const places = new Map<string, string>();
  let total = 0;
  for (const file of names.filter((name) => name.endsWith(".safetensors"))) {
    try {
      const opened = openSafetensors(join(path, file));
      opened.close();
      for (const { name, begin, end } of opened.tensors.values()) {
        if (places.has(name)) problems.push(`${file}: tensor ${name} is also in ${places.get(name)}`);
        places.set(name, file);
        total += end - begin;
      }
    } catch (error) {
      if (!(error instanceof MalformedSafetensors)) throw error;
      problems.push(`${file}: ${error.message}`);
    }
  }
  const index = Object.values(indexNames).find((name) => names.includes(name));
  if (index) {
    const { metadata, weight_map: map } = Index.parse(JSON.parse(readFileSync(join(path, index), "utf8")));
    if (metadata.total_size !== total) problems.push(`${index}: total_size is ${metadata.total_size}, not ${total}`);
    const entries = Object.entries(map);
    const wrong = entries.find(([name, file]) => places.get(name) !== file);
    if (wrong) problems.push(`${index}: tensor ${wrong[0]} is not in ${wrong[1]}`);
    if (entries.length !== places.size) problems.push(`${index}: names ${entries.length} of ${places.size} tensors`);
  }
  if (names.includes(descriptionName)) {
    const described = z.looseObject({}).parse(JSON.parse(readFileSync(join(path, descriptionName), "utf8")));
    for (const name of places.keys()) {
      if (!Object.hasOwn(described, name)) problems.push(`${descriptionName}: does not describe ${name}`);
    }
  }
  return places.size;
}

const Index = z.looseObject({
  metadata: z.looseObject({ total_size: z.number() }),
  weight_map: z.record(z.string(), z.string()),
});
