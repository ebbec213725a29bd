/**
 * Runs a conversion's tasks, on threads where there is enough to do.
 * Knows: threads, interruption, what an error becomes. Does not know: what the tasks are for.
 */
import { setImmediate } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { FileEntry } from "../../checkpoint/integrity.ts";
import { BadInput } from "../../spec/bad-input.ts";
import { failureOf, runTask } from "./run-task.ts";
import { openTensorPieces } from "./tensor-pieces.ts";
import type { Reply, SourcePlace, Task } from "./thread-messages.ts";

export interface TaskRun {
  readonly source: SourcePlace;
  /** Called in the order in which tasks end. */
  readonly onDone: (task: Task, file: FileEntry) => void;
  readonly onBytes: (bytes: number) => void;
  /** 0 runs everything in the calling thread. */
  readonly threads: number;
  readonly signal?: AbortSignal | undefined;
}

/** Resolves when all are done; rejects with the first failure, or the signal's reason, after every thread has ended. */
export async function runTasks(tasks: readonly Task[], run: TaskRun): Promise<void> {
  if (run.threads === 0) return runHere(tasks, run);
  const waiting = [...tasks];
  const workers: Worker[] = [];
  const stop = new AbortController();
  try {
    await Promise.all(
      Array.from({ length: Math.min(run.threads, tasks.length) }, () => {
        const worker = new Worker(threadEntry(), {
          workerData: run.source,
          execArgv: [],
          resourceLimits: { maxOldGenerationSizeMb: 128, maxYoungGenerationSizeMb: 8 },
        });
        workers.push(worker);
        return serve(worker, waiting, run, stop.signal);
      }),
    );
  } finally {
    stop.abort();
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** Gives one thread task after task until none waits. */
function serve(worker: Worker, waiting: Task[], run: TaskRun, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let task: Task | undefined;
    const next = (): void => {
      task = stopped.aborted ? undefined : waiting.shift();
      if (task) worker.postMessage(task);
      else resolve();
    };
    const interrupt = (): void => reject(run.signal?.reason);
    run.signal?.addEventListener("abort", interrupt, { once: true });
    stopped.addEventListener("abort", () => run.signal?.removeEventListener("abort", interrupt), { once: true });
    worker.on("message", (reply: Reply) => {
      if (reply.kind === "bytes") run.onBytes(reply.bytes);
      else if (reply.kind === "failed") reject(errorOf(reply));
      else if (task) {
        run.onDone(task, reply.file);
        next();
      }
    });
    worker.on("error", reject);
    worker.on("exit", (code) => reject(new Error(`a conversion thread ended with ${code}`)));
    if (run.signal?.aborted) interrupt();
    else next();
  });
}

async function runHere(tasks: readonly Task[], { source, onDone, onBytes, signal }: TaskRun): Promise<void> {
  const pieces = openTensorPieces(source);
  try {
    for (const task of tasks) {
      signal?.throwIfAborted();
      onDone(task, runTask(task, pieces, onBytes));
      await setImmediate();
    }
  } catch (error) {
    if (error === signal?.reason) throw error;
    throw errorOf(failureOf(error), error);
  } finally {
    pieces.close();
  }
}

function errorOf({ problems, code, message }: Extract<Reply, { kind: "failed" }>, cause?: unknown): Error {
  if (problems.length > 0) return new BadInput(...problems);
  if (code === undefined && cause instanceof Error) return cause;
  return Object.assign(new Error(message, { cause }), code !== undefined && { code });
}

/** A thread starts from built JavaScript; under a test runner that executes the sources it is the built copy beside them. */
function threadEntry(): URL {
  const built = import.meta.url.endsWith(".ts") ? "../../../dist/porting/convert/" : "./";
  return new URL(`${built}convert-thread.js`, import.meta.url);
}
