/**
 * The first event of a run, from its run file.
 * Knows: what the journal keeps of a run file. Does not know: the rest of it.
 */
import type { EventData } from "../journal/event.ts";
import { isProgramRun, poolOrder, type RunFile } from "../spec/run-file.ts";

export function createdEvent(
  file: RunFile,
  given: { identity: string; folder: string; memory: { folder: string; memoryBacked: boolean } },
): EventData["run-created"] {
  return {
    name: file.name,
    identity: given.identity,
    folder: given.folder,
    steps: (isProgramRun(file) ? file.program.steps : file.train?.steps) ?? 0,
    pools: file.pools.map(({ name, emulate, workers, spares }) => ({
      ...{ name, workers, spares },
      platform: emulate.platform,
      // A program computes on what is there; only the embedded engine's pools stand for something else.
      emulated: !isProgramRun(file),
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
