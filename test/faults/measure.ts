/**
 * Reads off a journal what was noticed, how fast, and what was done: the columns of docs/faults.md.
 * Knows: a row's expectations, reduced state. Does not know: how the fault was brought about, simulated or real.
 */
import type { RunEvent } from "../../src/journal/event.ts";
import type { RunState } from "../../src/journal/state.ts";
import type { FaultRow } from "./matrix.ts";

export interface Measured {
  readonly id: string;
  readonly detectedBy: readonly string[];
  /** The longest of its faults; null when there was none to detect. */
  readonly detectSeconds: number | null;
  readonly recoverSeconds: number | null;
  readonly lostSteps: number;
  readonly actions: readonly string[];
  /** Faults or decisions that the row does not allow. */
  readonly falseActions: number;
  readonly ended: string;
  readonly reason: string | undefined;
  /** Expectations of the row that did not hold; empty when all did. */
  readonly problems: readonly string[];
}

/** What came of a run; `undisturbedWeights` is what it must end in when it finishes. */
export function measure(
  row: FaultRow,
  run: {
    state: RunState;
    events: readonly RunEvent[];
    violations: readonly string[];
    /** When faults struck, in seconds since the run was created, as whoever injected them knows. */
    struckAt: readonly number[];
  },
  undisturbedWeights: string | null | undefined,
): Measured {
  const { state, events, violations, struckAt } = run;
  const isAllowed = (list: readonly string[], value: string): boolean => list.includes(value);
  const longest = (values: readonly (number | null)[]): number | null =>
    values.reduce((most, value) => (value === null ? most : Math.max(most ?? 0, value)), null);
  const unexpected = state.faults.filter(({ detected }) => !isAllowed(row.kinds, detected.kind));
  const decided = state.faults.map(({ detected, decision }) =>
    detected.retried ? "retry" : (decision?.action ?? "none"),
  );
  const wrong = decided.filter((action) => !isAllowed(row.actions, action));
  const weights = state.finished?.weightsSha256;
  const problems = [
    ...violations,
    ...unexpected.map(({ detected }) => `${detected.kind} is not expected: ${detected.why}`),
    ...wrong.map((action) => `${action} is not expected`),
    ...(row.kinds.length > 0 && state.faults.length === 0 ? ["nothing was detected"] : []),
    ...(state.phase === row.ends ? [] : [`ended ${state.phase}, not ${row.ends}: ${state.reasons.join("; ")}`]),
    ...(state.phase === "failed" && state.reasons.length === 0 ? ["failed without a reason"] : []),
    ...(state.phase === "finished" && weights !== undisturbedWeights
      ? ["the weights are not the undisturbed run's"]
      : []),
  ];
  return {
    id: row.id,
    detectedBy: [...new Set(state.faults.map(({ detected }) => detected.detectedBy))],
    detectSeconds: longest(
      state.faults.map(({ at, detected }) => {
        const since = at - state.createdAt;
        const struck = struckAt.filter((time) => time <= since).at(-1);
        // What the supervisor reckons may begin only when somebody noticed; who injected knows better.
        return struck === undefined || detected.detectedBy === "checkpoint" ? detected.detectSeconds : since - struck;
      }),
    ),
    recoverSeconds: longest(state.faults.map(({ recoverSeconds }) => recoverSeconds)),
    lostSteps: state.lostSteps,
    actions: [...new Set([...decided, ...selfHelp(events)])],
    falseActions: unexpected.length + wrong.length,
    ended: state.phase,
    reason: state.reasons[0],
    problems,
  };
}

/** What the supervisor did about itself. */
function selfHelp(events: readonly RunEvent[]): string[] {
  const has = (type: RunEvent["type"]): boolean => events.some((event) => event.type === type);
  return [
    ...(has("adopted") || events.some((event) => event.type === "launched" && event.data.adopted) ? ["adopt"] : []),
    ...(has("blinded") ? ["blind: none"] : []),
    ...(events.some((event) => event.type === "supervisor-stopped" && event.data.reason === "signal") ? ["stop"] : []),
    ...(has("run-failed") ? ["stop with reasons"] : []),
  ];
}

/** Several runs of one row as one: the longest times, the most steps lost, everything that was ever done. */
export function worst(results: readonly Measured[]) {
  const most = (of: (one: Measured) => number | null): number | null =>
    results.reduce<number | null>((found, one) => {
      const value = of(one);
      return value === null ? found : Math.max(found ?? 0, value);
    }, null);
  const all = (of: (one: Measured) => readonly string[]): string[] => [...new Set(results.flatMap(of))];
  return {
    detectedBy: all(({ detectedBy }) => detectedBy),
    detectSeconds: most(({ detectSeconds }) => detectSeconds),
    recoverSeconds: most(({ recoverSeconds }) => recoverSeconds),
    lostSteps: most(({ lostSteps }) => lostSteps) ?? 0,
    actions: all(({ actions }) => actions),
    falseActions: results.reduce((sum, one) => sum + one.falseActions, 0),
    ended: all(({ ended }) => [ended]),
    reason: results[0]?.reason,
    problems: all(({ problems }) => problems),
  };
}
