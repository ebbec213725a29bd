/**
 * The thread that hashes and writes what was staged, beside training.
 * Knows: staging slots, publication, retention, the fence. Does not know: the trainer. It imports no schema library, so that it starts fast.
 */
import { openSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { checkFence, Fenced } from "./fence.ts";
import { publishCheckpoint } from "./publish.ts";
import { retain } from "./retain.ts";
import type { ThreadSetup, WriteRequest, WriteResult } from "./thread-protocol.ts";

/** Adds nothing to one word of each page, so that the pages exist before the trainer's first copy; atomic, so it loses no store. */
function touch(slot: SharedArrayBuffer): void {
  const words = new Int32Array(slot);
  for (let word = 0; word < words.length; word += 1024) Atomics.add(words, word, 0);
}

function write({ slot, manifest, noSpace }: WriteRequest, setup: ThreadSetup): WriteResult {
  const { tier, folder, files, fence, keep } = setup;
  const memory = setup.slots[slot];
  if (!memory) throw new RangeError(`no staging slot ${slot}`);
  const durable = tier === "disk";
  const start = performance.now();
  try {
    const { path, bytes } = publishCheckpoint({
      folder,
      manifest,
      durable,
      files: files.map(({ name, header, begin, end }) => ({
        name,
        pieces: [header, new Uint8Array(memory, begin, end - begin)],
      })),
      ...(fence && { fence: () => checkFence(fence) }),
      ...(noSpace && { openForWrite: () => openSync("/dev/full", "w") }),
    });
    retain(folder, { keep, readBack: durable });
    return { ok: true, slot, path, bytes, seconds: (performance.now() - start) / 1000 };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const code = error instanceof Fenced ? "FENCED" : "code" in error ? String(error.code) : "UNKNOWN";
    return { ok: false, slot, code, message: error.message };
  }
}

const port = parentPort;
if (port) {
  const setup: ThreadSetup = workerData;
  setup.slots.forEach(touch);
  port.on("message", (request: WriteRequest) => port.postMessage(write(request, setup)));
}
