/**
 * Tells which injected fault a detected one is, so that what was brought about and what was seen can be compared.
 * Knows: as what each injected kind may show. Does not know: how faults are injected or detected.
 */
import type { InjectedFaultKind } from "../spec/emulation.ts";
import type { FaultKind } from "../spec/vocabulary.ts";
import type { EventData } from "./event.ts";
import type { RunState } from "./state.ts";

/** As what an injected fault may be seen; the first is the usual one. A rank that is slow enough looks hung, for example. */
const showsAs: Record<InjectedFaultKind, readonly FaultKind[]> = {
  crash: ["process-signal"],
  hang: ["hang", "link-silent"],
  exit: ["process-exit", "program-error", "bad-input"],
  // A heap that is nearly full collects garbage for seconds before it gives up, and says nothing meanwhile.
  oom: ["out-of-memory", "process-signal", "process-exit", "hang", "link-silent"],
  nan: ["nan"],
  bitflip: ["corrupt-gradient", "corrupt-checkpoint", "loss-spike"],
  slow: ["straggler", "hang"],
  linkslow: ["link-slow", "link-silent", "hang"],
  linkdown: ["link-down", "link-silent"],
  nospace: ["no-space"],
};

/** Index in `state.strikes` of the oldest strike that explains the fault and explains no other yet. */
export function injectionOf(state: RunState, fault: EventData["fault-detected"]): number | undefined {
  const fits = (kind: string): boolean =>
    (showsAs as Record<string, readonly string[]>)[kind]?.includes(fault.kind) ?? false;
  const candidates = state.strikes.flatMap((strike, index) =>
    strike.detectedAs === undefined && fits(strike.kind) ? [{ strike, index }] : [],
  );
  // What is stored outlives the attempt; everything else is seen in the attempt in which it struck.
  const here = candidates.filter(
    ({ strike }) => fault.kind === "corrupt-checkpoint" || strike.epoch === (state.attempt?.epoch ?? -1),
  );
  const exact = here.find(({ strike }) => strike.rank === fault.rank || strike.rank === fault.peer);
  return (exact ?? here[0])?.index;
}
