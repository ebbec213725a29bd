/**
 * Says why an event may not follow a state, so that the journal refuses it on writing and on reading.
 * Knows: the order in which a run's events make sense. Does not know: what they change (reduce).
 */
import type { RunEvent } from "./event.ts";
import type { Attempt, RunState } from "./state.ts";

/** The reason for which `event` is illegal after `state`, or undefined. */
export function illegal(state: RunState, event: RunEvent): string | undefined {
  if (event.seq !== state.seq + 1) return `seq ${event.seq} after ${state.seq}`;
  if (event.at < state.at) return `time falls from ${state.at} to ${event.at}`;
  if (event.type === "run-created") {
    if (state.created !== undefined) return "the run was created already";
    return event.epoch === 0 ? undefined : `a run starts with epoch 0, not ${event.epoch}`;
  }
  if (state.created === undefined) return `${event.type} before run-created`;
  if (event.run !== state.created.name) return `belongs to run ${event.run}, not ${state.created.name}`;
  const newEpoch = event.type === "launch-intended" ? state.epoch + 1 : state.epoch;
  if (event.epoch !== newEpoch) return `${event.type}: epoch ${event.epoch}, not ${newEpoch}`;
  return after(state, event) ?? inAttempt(state.attempt, event);
}

/** Rules about the run as a whole. */
function after(state: RunState, event: RunEvent): string | undefined {
  const { phase, attempt } = state;
  if (phase === "finished" && event.type !== "supervisor-started" && event.type !== "supervisor-stopped") {
    return `${event.type} after run-finished`;
  }
  if (
    phase === "failed" &&
    event.type !== "supervisor-started" &&
    event.type !== "supervisor-stopped" &&
    event.type !== "run-resumed"
  ) {
    return `${event.type} after run-failed`;
  }
  switch (event.type) {
    case "run-resumed":
      return phase === "failed" ? undefined : `run-resumed while ${phase}`;
    case "launch-intended":
      if (attempt !== undefined && attempt.status !== "ended") return `attempt ${attempt.epoch} has not ended`;
      if (event.data.resume === null && state.published) return "a start at step 0 after a checkpoint was published";
      return undefined;
    case "fault-detected":
      if (event.data.id !== state.faults.length) return `fault ${event.data.id} after ${state.faults.length} faults`;
      if (!event.data.retried && state.undecided !== undefined) return `fault ${state.undecided} is undecided`;
      return undefined;
    case "decided":
      return state.undecided === event.data.fault ? undefined : `fault ${event.data.fault} is not undecided`;
    case "recovered":
      return state.recovering.includes(event.data.fault) ? undefined : `fault ${event.data.fault} is not recovering`;
    case "run-finished":
      return phase === "finishing" ? undefined : `run-finished while ${phase}`;
    case "finish-refused":
      return state.finishIntended ? undefined : "finish-refused without the intent";
    case "finish-intended":
      return attempt?.completed !== undefined ? undefined : "the last step is not completed";
    case "run-failed":
      return attempt === undefined || attempt.status === "ended" ? undefined : `attempt ${attempt.epoch} has not ended`;
    default:
      return undefined;
  }
}

/** Rules about what may be said of the current attempt. */
function inAttempt(attempt: Attempt | undefined, event: RunEvent): string | undefined {
  switch (event.type) {
    case "launched":
      return attempt?.status === "intended" ? undefined : "launched without the intent";
    case "adopted":
    case "stop-intended":
    case "attempt-ended":
      return attempt !== undefined && attempt.status !== "ended" ? undefined : `${event.type} without a living attempt`;
    case "worker-started":
    case "worker-exited":
    case "progress":
    case "validation":
    case "checkpoint-published":
    case "fault-injected":
    case "noted":
    case "completed": {
      if (attempt === undefined) return `${event.type} without an attempt`;
      const { rank, seq } = event.data.source;
      const seen = attempt.seen[String(rank)] ?? 0;
      if (seq <= seen) return `${event.type}: record ${seq} of rank ${rank} was counted already`;
      if (event.type === "progress" && event.data.step <= attempt.step) {
        return `step ${event.data.step} after step ${attempt.step} of the same attempt`;
      }
      return undefined;
    }
    default:
      return undefined;
  }
}
