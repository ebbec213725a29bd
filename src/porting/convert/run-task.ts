/**
 * Carries out one task of a conversion where it is called.
 * Knows: which task is which, how a failure is told. Does not know: threads.
 */

import type { FileEntry } from "../../checkpoint/integrity.ts";
import { BadInput } from "../../spec/bad-input.ts";
import type { TensorPieces } from "./tensor-pieces.ts";
import type { Reply, Task } from "./thread-messages.ts";
import { hashFile, writeShard } from "./write-shard.ts";

export function runTask(task: Task, pieces: TensorPieces, onBytes: (bytes: number) => void): FileEntry {
  return task.kind === "write" ? writeShard(task.shard, pieces, onBytes) : hashFile(task.path, task.name, onBytes);
}

/** An error as a message, because a class does not survive the way between threads. */
export function failureOf(error: unknown): Extract<Reply, { kind: "failed" }> {
  const problems = error instanceof BadInput ? error.problems : [];
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
  return { kind: "failed", problems, code, message: error instanceof Error ? error.message : String(error) };
}
