/**
 * Decides which of a pool's emulated faults strike this rank now, and says so before each does.
 * Knows: the list of faults, how often each has struck. Does not know: how a fault is brought about (strikes).
 */
import type { InjectedFault } from "../spec/emulation.ts";
import { random } from "../spec/random.ts";
import type { EventLog } from "./events.ts";

export interface DueFault {
  /** `<pool>/<index>`. */
  readonly id: string;
  readonly fault: InjectedFault;
}

export interface Injector {
  /** Faults of the given kinds that are to strike at `step` and have not struck as often as they may. */
  due(step: number, kinds: readonly InjectedFault["kind"][]): readonly DueFault[];
  /** Says, on disk, that it strikes now, and counts it. Call it only where it certainly will. */
  announce(due: DueFault, step: number): void;
}

export interface InjectorOptions {
  readonly pool: string;
  readonly faults: readonly InjectedFault[];
  readonly rank: number;
  readonly seed: number;
  /** Strikes so far, of earlier attempts. */
  readonly struck: Readonly<Record<string, number>>;
  readonly events: Pick<EventLog, "sayDurably">;
}

/** A full disk strikes at the first write from its step on; everything else at its step. */
function isStep({ kind, step: wanted = 0 }: InjectedFault, step: number): boolean {
  return wanted === 0 || (kind === "nospace" ? wanted <= step : wanted === step);
}

export function createInjector({ pool, faults, rank, seed, struck, events }: InjectorOptions): Injector {
  const own = faults
    .map((fault, index) => ({ id: `${pool}/${index}`, fault }))
    .filter(({ fault }) => fault.rank === rank);
  const counts = new Map(own.map(({ id }) => [id, struck[id] ?? 0]));
  const isDrawn = ({ id, fault }: DueFault, step: number): boolean =>
    fault.probability === undefined || random(seed, `fault/${id}/${step}`).uniform() < fault.probability;
  return {
    due: (step, kinds) =>
      own.filter(
        (due) =>
          kinds.includes(due.fault.kind) &&
          isStep(due.fault, step) &&
          (counts.get(due.id) ?? 0) < due.fault.times &&
          isDrawn(due, step),
      ),
    announce({ id, fault }, step) {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      events.sayDurably({ ev: "injected", fault: id, kind: fault.kind, step });
    },
  };
}
