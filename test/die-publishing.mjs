/**
 * Publishes step 1, then step 2, and kills itself with SIGKILL at the point named: a program of its own, because nothing
 * that runs after a kill -9 may help. Runs the built library.
 * Knows: the hooks of a publication. Does not know: what the test expects.
 */
import { openSync } from "node:fs";
import { publishCheckpoint } from "../dist/checkpoint/publish.js";

const [folder, point, manifest] = process.argv.slice(2);
const count = { open: 0, piece: 0 };
let armed = false;

function at(name) {
  if (armed && name === point) process.kill(process.pid, "SIGKILL");
}

function* pieces() {
  for (let piece = 0; piece < 2; piece++) {
    yield new Uint8Array(5000).fill(piece);
    at(`piece-${++count.piece}`);
  }
}

function publish(step) {
  publishCheckpoint({
    folder,
    manifest: { ...JSON.parse(manifest), step },
    files: ["weights.safetensors", "optimizer.safetensors"].map((name) => ({ name, pieces: pieces() })),
    durable: true,
    fence: () => at("fence"),
    openForWrite: (path) => {
      at(`open-${++count.open}`);
      return openSync(path, "wx");
    },
  });
  at("published");
}

publish(1);
armed = true;
count.open = 0;
count.piece = 0;
publish(2);
