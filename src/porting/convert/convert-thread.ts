/**
 * The thread that converts shards, one after the other.
 * Knows: its tasks. Does not know: which shards there are, what is done already.
 */
import { parentPort, workerData } from "node:worker_threads";
import { failureOf, runTask } from "./run-task.ts";
import { openTensorPieces } from "./tensor-pieces.ts";
import type { Reply, SourcePlace, Task } from "./thread-messages.ts";

/** A message for each so many bytes. */
const reportBytes = 64 << 20;

const port = parentPort;
if (port) {
  const place: SourcePlace = workerData;
  const reply = (message: Reply): void => port.postMessage(message);
  port.on("message", (task: Task) => {
    const pieces = openTensorPieces(place);
    let unsaid = 0;
    try {
      const file = runTask(task, pieces, (bytes) => {
        unsaid += bytes;
        if (unsaid < reportBytes) return;
        reply({ kind: "bytes", bytes: unsaid });
        unsaid = 0;
      });
      reply({ kind: "bytes", bytes: unsaid });
      reply({ kind: "done", file });
    } catch (error) {
      reply(failureOf(error));
    } finally {
      pieces.close();
    }
  });
}
