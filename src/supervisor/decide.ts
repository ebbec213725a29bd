/**
 * Decides the next thing to be done for a run from its state alone: pure, total and dull.
 * Knows: reduced state, policy. Does not know: clocks, files, launchers, who carries an intent out.
 */
import type { CheckpointRef, Decision, Outcome } from "../journal/event.ts";
import type { Attempt, RunState } from "../journal/state.ts";
import { chooseNodes, type Policy } from "./policy.ts";
import { resolveFault } from "./resolve-fault.ts";

export type Intent =
  | { readonly type: "resolve"; readonly decision: Decision }
  | { readonly type: "recovered"; readonly fault: number; readonly recoverSeconds: number; readonly lostSteps: number }
  /** Stop what lives of the attempt and close it. */
  | { readonly type: "end-attempt"; readonly outcome: Outcome; readonly why: string }
  /** Find the checkpoint to go on from; `carry` puts it on disk first. */
  | {
      readonly type: "choose-checkpoint";
      readonly beforeStep: number | null;
      readonly distrusted: string | null;
      readonly carry: boolean;
    }
  | {
      readonly type: "launch";
      readonly pool: string;
      readonly nodes: readonly string[];
      readonly resume: CheckpointRef | null;
      readonly why: string;
    }
  | { readonly type: "finish"; readonly step: number }
  | { readonly type: "fail"; readonly reasons: readonly string[] };

/** The next intent, or undefined while there is nothing to do but watch. */
export function decide(state: RunState, policy: Policy): Intent | undefined {
  const { phase, attempt, undecided, plan } = state;
  if (phase === "new" || phase === "finished" || phase === "failed" || phase === "interrupted") return undefined;
  if (undecided !== undefined) return { type: "resolve", decision: resolveFault(state, undecided, policy) };
  const recovered = recoveredFault(state);
  if (recovered !== undefined) return recovered;
  if (attempt !== undefined && attempt.status !== "ended") return endOf(attempt, plan);
  if (attempt?.outcome === "completed" && plan === undefined) {
    return { type: "finish", step: attempt.completed?.step ?? policy.steps };
  }
  if (plan?.fails) return { type: "fail", reasons: reasonsOf(state, plan) };
  return nextAttempt(state, policy);
}

/** Training goes on: the first step of an attempt closes every fault that led to it. */
function recoveredFault(state: RunState): Intent | undefined {
  const { attempt } = state;
  if (attempt?.firstStepAt === undefined || attempt.status === "ended" || state.plan !== undefined) return undefined;
  if (state.recovering.length === 0) return undefined;
  const fault = state.faults.find(({ id, epoch }) => state.recovering.includes(id) && epoch < attempt.epoch);
  if (fault === undefined) return undefined;
  const recoverSeconds = Math.max(0, attempt.firstStepAt - fault.at);
  return { type: "recovered", fault: fault.id, recoverSeconds, lostSteps: fault.lostSteps };
}

function endOf(attempt: Attempt, plan: Decision | undefined): Intent | undefined {
  if (plan !== undefined) return { type: "end-attempt", outcome: "fault", why: `fault ${plan.fault}: ${plan.action}` };
  if (attempt.completed !== undefined) {
    return { type: "end-attempt", outcome: "completed", why: `step ${attempt.completed.step} is completed` };
  }
  // The launch did not get as far as saying whether it succeeded (the disk was full): whatever came of it is ended.
  if (attempt.status === "intended") {
    return { type: "end-attempt", outcome: "never-started", why: "the launch was not completed" };
  }
  // A stop without a plan was a person's; the supervisor that asked for it died before it was done.
  if (attempt.status === "stopping") return { type: "end-attempt", outcome: "stopped", why: "was being stopped" };
  return undefined;
}

function nextAttempt(state: RunState, policy: Policy): Intent {
  const { plan, attempt, resume } = state;
  const made = state.attempts - state.attemptsBudgetFrom;
  if (made >= policy.failover.maxAttempts) {
    return {
      type: "fail",
      reasons: reasonsOf(state, plan, `${made} attempts were made, failover.maxAttempts allows no more`),
    };
  }
  if (resume === undefined) {
    const fault = plan === undefined ? undefined : state.faults[plan.fault];
    const distrusted = fault?.detected.kind === "corrupt-checkpoint" ? (attempt?.resume?.path ?? null) : null;
    const carry = plan !== undefined && attempt !== undefined && plan.pool !== attempt.pool;
    return { type: "choose-checkpoint", beforeStep: plan?.beforeStep ?? null, distrusted, carry };
  }
  if (
    resume.checkpoint === null &&
    policy.program !== undefined &&
    state.attempts === 0 &&
    state.quarantined.length > 0
  ) {
    const why = `${state.quarantined.length} checkpoints are there and none is complete, and what was trained does not start again at step 0 by itself`;
    return { type: "fail", reasons: reasonsOf(state, plan, why) };
  }
  if (resume.checkpoint === null && state.published) {
    const why = "no checkpoint verifies, and a run that has made steps does not start again at step 0 by itself";
    return { type: "fail", reasons: reasonsOf(state, plan, why) };
  }
  const pool = policy.pools.find(({ name }) => name === (plan?.pool ?? state.pool)) ?? policy.pools[0];
  if (pool === undefined) return { type: "fail", reasons: ["the run file has no pool"] };
  const perNode = policy.program?.workersPerNode ?? 1;
  const before = attempt?.pool === pool.name ? attempt.nodes : [];
  const nodes = plan?.nodes ?? chooseNodes(pool, state.evicted, before, perNode);
  if (nodes === undefined || nodes.length < pool.workers * perNode) {
    return { type: "fail", reasons: reasonsOf(state, plan, `pool ${pool.name} has fewer good nodes than workers`) };
  }
  const why = plan?.why ?? (attempt === undefined ? "first attempt" : "the run goes on");
  return { type: "launch", pool: pool.name, nodes, resume: resume.checkpoint, why };
}

/** The newest reason first, then the faults that led there. */
function reasonsOf(state: RunState, plan: Decision | undefined, first?: string): string[] {
  const own = [first, plan?.fails ? plan.why : undefined].filter((reason) => reason !== undefined);
  const recent = state.faults.slice(-5).map((fault) => `fault ${fault.id} on ${fault.pool}: ${fault.detected.why}`);
  return [...own, ...recent];
}
