/**
 * A writer of an ended attempt: `node zombie-writer.mjs FOLDER EPOCH_FILE EPOCH STEP`. Waits until a newer attempt exists, then
 * publishes other weights for a later step, and notes beside the epoch file what came of it.
 * Knows: the same publishing as every worker. Does not know: who watches.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkFence } from "../dist/checkpoint/fence.js";
import { publishCheckpoint } from "../dist/checkpoint/publish.js";
import { safetensorsPieces } from "../dist/checkpoint/safetensors-write.js";

const [folder = "", epochFile = "", given = "", step = ""] = process.argv.slice(2);
const epoch = Number(given);
const { v, run, model, tokenizer, schedule, data, device } = newestManifest();

/** Training goes on meanwhile and drops older ones, so a name that was listed may be gone when it is read. */
function newestManifest() {
  for (;;) {
    const names = readdirSync(folder).filter((name) => /^step-\d{8}$/.test(name));
    try {
      return JSON.parse(readFileSync(join(folder, names.sort().at(-1) ?? "", "manifest.json"), "utf8"));
    } catch (error) {
      if (error.code !== "ENOENT") throw error;
    }
  }
}

const givesUp = Date.now() + 60_000;
const timer = setInterval(() => {
  if (!existsSync(folder) || Date.now() > givesUp) process.exit(1);
  if (Number(readFileSync(epochFile, "utf8")) <= epoch) return;
  clearInterval(timer);
  const spoilt = new Uint8Array(32).fill(7);
  const tensor = { name: "model.norm.weight", dtype: "F32", shape: [8], bytes: spoilt };
  const later = Number(step) + 1000;
  const manifest = { v, run, epoch, step: later, tokensSeen: later, model, tokenizer, schedule, data, device };
  let refused = null;
  try {
    publishCheckpoint({
      ...{ folder, manifest, durable: false },
      files: ["weights.safetensors", "optimizer.safetensors"].map((name) => ({
        name,
        pieces: [...safetensorsPieces([tensor], () => [spoilt])],
      })),
      fence: () => checkFence({ epochFile, epoch }),
    });
  } catch (error) {
    refused = String(error);
  }
  writeFileSync(`${epochFile}.zombie`, JSON.stringify({ refused, at: Date.now() / 1000 }));
}, 20);
