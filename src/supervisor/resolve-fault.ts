/**
 * What is done about one fault: restart → evict and use a spare → next pool → fail with reasons. Pure.
 * Knows: the ladder and its budgets. Does not know: how it is carried out. Every rung says why, with figures.
 */
import type { Decision } from "../journal/event.ts";
import type { Fault, RunState } from "../journal/state.ts";
import type { PoolSpec } from "../spec/run-file.ts";
import { chooseNodes, type Policy } from "./policy.ts";

/** What the ladder has to go by. */
interface Case {
  readonly state: RunState;
  readonly fault: Fault;
  readonly policy: Policy;
  readonly pool: PoolSpec;
  readonly nodes: readonly string[];
}

/** The decision about fault `id`, which must be in `state.faults`. */
export function resolveFault(state: RunState, id: number, policy: Policy): Decision {
  const fault = state.faults[id];
  const pool = policy.pools.find(({ name }) => name === fault?.pool) ?? policy.pools[0];
  if (fault === undefined || pool === undefined) throw new RangeError(`no fault ${id} or no pool`);
  const given: Case = { state, fault, policy, pool, nodes: state.attempt?.nodes ?? [] };
  const { advice, kind } = fault.detected;
  switch (advice) {
    case "none":
    case "retry":
      return stay(given, "nothing has to be done");
    case "fix-job":
      return fail(
        given,
        "fix-job",
        `${fault.detected.why}; mend the run file or the program, then run the same command`,
      );
    case "free-space":
      return fail(given, "free-space", `${fault.detected.why}; free space, then run the same command`);
    case "fail-over":
      return leave(given, `pool ${pool.name} cannot run this: ${fault.detected.why}`);
    case "evict-node":
      return fault.detected.diagnosis === undefined ? degraded(given) : broken(given);
    case "restart":
      return kind === "loss-spike" ? rollBack(given) : restart(given);
    default:
      return advice satisfies never;
  }
}

function restart(given: Case): Decision {
  const { fault, policy, state } = given;
  const { maxFaultsPerRoot } = policy.failover;
  const idle = sinceProgress(given);
  const { diagnosis } = fault.detected;
  if (diagnosis?.action === "fix-job" && idle.filter((one) => isSameError(one, fault)).length >= 2) {
    const why = `${diagnosis.code} twice at the same step: ${diagnosis.why}; a restart fails in the same way`;
    return fail(given, "fix-job", `${why}; mend the job, then run the same command`);
  }
  const raised = idle.filter(({ detected }) => sameException(detected, fault.detected)).length;
  if (raised >= 2) {
    const why = `the same exception ${raised} times at step ${fault.detected.step} without progress`;
    const said = fault.detected.evidence.at(-1) ?? fault.detected.why;
    return fail(given, "fix-job", `${why}: ${said}; mend the program, then run the same command`);
  }
  const same = idle.filter(({ detected }) => detected.root === fault.detected.root).length;
  if (same >= maxFaultsPerRoot) {
    return escalate(
      given,
      same,
      `${ordinal(same)} ${fault.detected.root} without progress (maxFaultsPerRoot ${maxFaultsPerRoot})`,
    );
  }
  // Faults that take turns must not restart for ever either.
  if (idle.length > 2 * maxFaultsPerRoot) {
    return leave(given, `${idle.length} faults at step ${state.highestStep} without progress`);
  }
  return (
    overBudget(given) ??
    decision(given, "restart", `${ordinal(same)} time without progress, restarting on the same nodes`)
  );
}

/** A program that raises the same words again, whatever rank and node, will do so for ever; numbers in them may differ. */
function sameException(a: Fault["detected"], b: Fault["detected"]): boolean {
  if (a.kind !== "program-error" || b.kind !== "program-error") return false;
  const words = ({ evidence }: Fault["detected"]): string =>
    (evidence.find((line) => !/^exit code |^then: /.test(line)) ?? "").replace(/0x[0-9a-f]+|\d+/gi, "#");
  return words(a) !== "" && words(a) === words(b);
}

/** The same root again: another node if there is one to blame and one to use, else another pool. */
function escalate(given: Case, same: number, why: string): Decision {
  const swapped = evict(given, why);
  if (swapped !== undefined) return swapped;
  if (nextPool(given) !== undefined || same > 2 * given.policy.failover.maxFaultsPerRoot) return leave(given, why);
  return decision(given, "restart", `${why}, but there is no spare and no other pool`);
}

function evict(given: Case, why: string): Decision | undefined {
  const { node } = given.fault.detected;
  if (node === null) return undefined;
  const perNode = given.policy.program?.workersPerNode;
  const nodes = chooseNodes(given.pool, [...given.state.evicted, node], given.nodes, perNode);
  if (nodes === undefined) return undefined;
  return { ...decision(given, "evict-node", `${why}; a spare takes the place of ${node}`), nodes, evicted: node };
}

/** The same words on two attempts are the job's, whichever rank said them first. */
function isSameError({ detected }: Fault, { detected: { diagnosis } }: Fault): boolean {
  return detected.diagnosis?.code === diagnosis?.code && detected.diagnosis?.action === "fix-job";
}

/** Hardware that its own log calls broken: a spare if there is one, else it is tried once more like any fault. */
function broken(given: Case): Decision {
  const why = given.fault.detected.diagnosis?.why ?? given.fault.detected.why;
  return overBudget(given) ?? evict(given, why) ?? restart(given);
}

/** Slow, not broken: a spare if there is one, the next pool if the budget is spent, else it is borne. */
function degraded(given: Case): Decision {
  return (
    overBudget(given) ??
    evict(given, "slow, not broken") ??
    stay(given, "slow, not broken, and there is no spare: it is borne")
  );
}

/**
 * A jump of the loss is either the data's (then the same step gives the same bits again and training goes on) or a silent
 * corruption (then it does not come again): the step is computed once more from a checkpoint before it.
 */
function rollBack(given: Case): Decision {
  const { step } = given.fault.detected;
  // Only a computation that gives the same bits again can tell a corruption from the data's own doing.
  if (given.policy.program !== undefined) return stay(given, "a program's loss may jump by itself; a person may look");
  if (step < 2) return stay(given, "there is no step before it to go back to");
  const over = overBudget(given);
  const chosen = over ?? decision(given, "restart", `computing step ${step} again from a checkpoint before it`);
  return { ...chosen, beforeStep: step };
}

/** Leaving the pool because its faults exceed what it may show; undefined when they do not or there is nowhere to go. */
function overBudget(given: Case): Decision | undefined {
  const { state, pool, policy } = given;
  if (nextPool(given) === undefined) return undefined;
  const { maxFaultsPerPool, maxFaultsPerProductiveHour, minProductiveSeconds } = policy.failover;
  const faults = poolFaults(given).length;
  if (faults > maxFaultsPerPool) {
    return leave(given, `pool ${pool.name} has shown ${faults} faults, maxFaultsPerPool is ${maxFaultsPerPool}`);
  }
  const productive = state.poolProductiveSeconds[pool.name] ?? 0;
  const perHour = (faults * 3600) / productive;
  if (productive >= minProductiveSeconds && perHour > maxFaultsPerProductiveHour) {
    const rate = `${faults} faults in ${productive.toFixed(0)} productive seconds are ${perHour.toFixed(0)} an hour`;
    return leave(given, `pool ${pool.name}: ${rate}, maxFaultsPerProductiveHour is ${maxFaultsPerProductiveHour}`);
  }
  return undefined;
}

/** To the next pool, or the end of the run when there is none. */
function leave(given: Case, why: string): Decision {
  const next = nextPool(given);
  const nodes =
    next === undefined ? undefined : chooseNodes(next, given.state.evicted, [], given.policy.program?.workersPerNode);
  if (next === undefined || nodes === undefined)
    return fail(given, "fail-over", `${why}; there is no other pool to go to`);
  const evidence = poolFaults(given).map(({ id, detected }) => `fault ${id} at step ${detected.step}: ${detected.why}`);
  return { ...decision(given, "fail-over", why), pool: next.name, nodes, evidence: evidence.slice(-20) };
}

function nextPool({ state, policy, pool }: Case): PoolSpec | undefined {
  return policy.pools.find(({ name }) => name !== pool.name && !state.poolsLeft.includes(name));
}

/** Faults of the pool that count: those that nobody mended in place, since a person last looked. */
function poolFaults({ state, pool }: Case): Fault[] {
  return state.faults.slice(state.budgetFrom).filter((fault) => fault.pool === pool.name && !fault.detected.retried);
}

/** The same, without any step completed since. */
function sinceProgress(given: Case): Fault[] {
  return poolFaults(given).filter(({ highestStep }) => highestStep === given.state.highestStep);
}

function decision({ fault, pool, nodes }: Case, action: Decision["action"], why: string): Decision {
  const base = { fault: fault.id, pool: pool.name, nodes: [...nodes], evicted: null, beforeStep: null, fails: false };
  return { ...base, action, why, evidence: [] };
}

const stay = (given: Case, why: string): Decision => decision(given, "none", why);
const fail = (given: Case, action: Decision["action"], why: string): Decision => ({
  ...decision(given, action, why),
  fails: true,
});
const ordinal = (count: number): string => ["", "first", "second", "third"][count] ?? `${count}th`;
