/**
 * Carries a checkpoint from one tier into another, so that it outlives the host's memory and can move to another pool.
 * Knows: verification and publication. Does not know: why it is carried.
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { CorruptCheckpoint } from "./corrupt-checkpoint.ts";
import { type Published, publishCheckpoint } from "./publish.ts";
import { readFully } from "./safetensors-file.ts";
import { verifyCheckpoint } from "./verify-checkpoint.ts";

/**
 * Verifies `from`, publishes the same bytes durably in `toFolder` and gives where they are. CorruptCheckpoint when `from` does not verify.
 * Promoting twice is promoting once.
 */
export async function promote(from: string, toFolder: string): Promise<Published> {
  const { files, ...manifest } = await verifyCheckpoint(from);
  const published = publishCheckpoint({
    folder: toFolder,
    manifest,
    files: files.map(({ name }) => ({ name, pieces: piecesOf(join(from, name)) })),
    durable: true,
  });
  // Copied after it was verified: what was hashed on the way must be what was verified.
  const changed = files.find((file, index) => file.sha256 !== published.files[index]?.sha256);
  if (changed) throw new CorruptCheckpoint({ path: from, file: changed.name, why: "changed while it was copied" });
  return published;
}

function* piecesOf(path: string): Iterable<Uint8Array> {
  const fd = openSync(path, "r");
  try {
    const buffer = new Uint8Array(1 << 22);
    for (let at = 0; ; ) {
      const count = readFully(fd, buffer, at);
      if (count === 0) return;
      yield buffer.subarray(0, count);
      at += count;
    }
  } finally {
    closeSync(fd);
  }
}
