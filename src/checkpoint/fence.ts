/**
 * Keeps a worker of an older attempt from publishing: the newest epoch stands in a file, written before each launch.
 * Knows: the epoch file. Does not know: attempts, who raises the epoch.
 */
import { readFileSync } from "node:fs";

export interface EpochFence {
  /** Holds the newest epoch in decimal. */
  readonly epochFile: string;
  /** The epoch of the one who asks. */
  readonly epoch: number;
}

/** A newer epoch exists: the one who asked is a zombie and must not write. */
export class Fenced extends Error {
  override readonly name = "Fenced";
}

/** Throws Fenced when the file states a newer epoch, or nothing that can be read: without a token nobody writes. */
export function checkFence({ epochFile, epoch }: EpochFence): void {
  const text = readFileSync(epochFile, "utf8").trim();
  if (!/^\d{1,15}$/.test(text)) throw new Fenced(`${epochFile}: holds no epoch`);
  if (Number(text) > epoch) throw new Fenced(`epoch ${epoch} ended: ${epochFile} says ${text}`);
}
