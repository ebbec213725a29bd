/**
 * The first event of a run, from its run file.
 * Knows: what the journal keeps of a run file. Does not know: the rest of it.
 */
import type { EventData } from "../journal/event.ts";
import { poolOrder, type RunFile } from "../spec/run-file.ts";

export function createdEvent(
  file: RunFile,
  given: { identity: string; folder: string; memory: { folder: string; memoryBacked: boolean } },
): EventData["run-created"] {
  return {
    name: file.name,
    identity: given.identity,
    folder: given.folder,
    steps: file.train.steps,
    pools: file.pools.map(({ name, emulate, workers, spares }) => ({
      ...{ name, workers, spares },
      platform: emulate.platform,
      emulated: true,
    })),
    order: poolOrder(file).map(({ name }) => name),
    injections: file.pools.flatMap(({ name, emulate }) =>
      emulate.faults.map(({ kind, rank, step }, index) => ({
        ...{ fault: `${name}/${index}`, pool: name, kind, rank },
        step: step ?? null,
      })),
    ),
    memoryFolder: given.memory.folder,
    memoryBacked: given.memory.memoryBacked,
  };
}
