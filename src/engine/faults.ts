/**
 * Lets a pool's emulated faults strike at their moments of a step.
 * Knows: which kind strikes when, and what it needs. Does not know: how it is brought about (strikes), which are due (injector).
 */
import { listCheckpoints } from "../checkpoint/checkpoint-folder.ts";
import { random } from "../spec/random.ts";
import type { WorkerSpec } from "../spec/worker-spec.ts";
import type { Stretch } from "./arena.ts";
import type { Injector } from "./injector.ts";
import type { Link } from "./link.ts";
import { crash, flipStoredBit, hang, runOutOfMemory, spin } from "./strikes.ts";

export interface Faults {
  /** At the beginning of a step. */
  atStart(step: number): void;
  /** When this rank has its partial sum, after `seconds` of computing and before it is checked and sent. */
  computed(step: number, seconds: number, sum: Stretch): Promise<void>;
}

export function createFaults(spec: WorkerSpec, injector: Injector, links: readonly Link[]): Faults {
  const { folders, train } = spec;
  let slow = { factor: 1, until: 0 };
  let linksSlowUntil = 0;
  const draw = (what: string, step: number): number => random(train.seed, `strike/${what}/${step}`).uniform();
  return {
    atStart(step) {
      if (linksSlowUntil === step) for (const link of links) link.limit(undefined);
      for (const due of injector.due(step, ["slow"])) {
        injector.announce(due, step);
        slow = { factor: due.fault.factor, until: step + due.fault.steps };
      }
      if (links.length > 0) {
        for (const due of injector.due(step, ["linkslow"])) {
          injector.announce(due, step);
          linksSlowUntil = step + due.fault.steps;
          for (const link of links) link.limit(due.fault.bytesPerSecond);
        }
      }
    },
    async computed(step, seconds, sum) {
      if (step < slow.until) await spin((slow.factor - 1) * seconds);
      for (const due of injector.due(step, ["bitflip"])) {
        const stored = listCheckpoints(folders.memory).at(-1) ?? listCheckpoints(folders.disk).at(-1);
        const isStored = due.fault.target === "checkpoint";
        // With nothing sent and nothing stored there is nothing to flip: it does not fire.
        if (isStored ? stored === undefined : links.length === 0) continue;
        injector.announce(due, step);
        if (isStored) flipStoredBit(stored!.path, draw("checkpoint", step));
        else links[0]!.corruptNextChunk(Math.floor(draw("gradient", step) * 2 ** 31));
      }
      for (const due of injector.due(step, ["nan"])) {
        injector.announce(due, step);
        sum.floats[0] = Number.NaN;
      }
      if (links.length > 0) {
        for (const due of injector.due(step, ["linkdown"])) {
          injector.announce(due, step);
          for (const link of links) link.destroy();
        }
      }
      for (const due of injector.due(step, ["crash", "hang", "exit", "oom"])) {
        injector.announce(due, step);
        if (due.fault.kind === "crash") crash();
        else if (due.fault.kind === "hang") hang();
        else if (due.fault.kind === "exit") process.exit(due.fault.code);
        else runOutOfMemory();
      }
    },
  };
}
