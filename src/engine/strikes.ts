/**
 * Brings emulated faults about, each at the level where it is real: signals, exits, a full heap, flipped bits.
 * Knows: how each is done. Does not know: when (injector), who notices.
 */
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";

/** Never returns: SIGKILL reaches the process before the call does. */
export function crash(): void {
  process.kill(process.pid, "SIGKILL");
}

/** Stops this process until somebody continues it. */
export function hang(): void {
  process.kill(process.pid, "SIGSTOP");
}

/** Fills V8's heap until V8 gives up (SIGABRT); the launcher bounds it with `--max-old-space-size`. */
export function runOutOfMemory(): never {
  const held: unknown[] = [];
  for (;;) held.push(Array.from({ length: 50_000 }, (_, i) => ({ i })));
}

/** Keeps the processor busy, so that the rank computes slower; I/O goes on every 20 ms. */
export async function spin(seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const pause = Math.min(end, performance.now() + 20);
    while (performance.now() < pause);
    await setImmediate();
  }
}

/** Flips one bit in the second half of a checkpoint's weights file, where there are only values; `draw` from 0 to 1. */
export function flipStoredBit(checkpoint: string, draw: number): void {
  const fd = openSync(join(checkpoint, "weights.safetensors"), "r+");
  try {
    const { size } = fstatSync(fd);
    const at = Math.floor(size / 2 + (draw * size) / 2);
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, at);
    byte[0]! ^= 0x10;
    writeSync(fd, byte, 0, 1, at);
  } finally {
    closeSync(fd);
  }
}
