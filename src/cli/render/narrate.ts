/**
 * Tells a run as it happens: what each event of the journal means to a reader, in lines.
 * Knows: events and the state before and after each. Does not know: terminals, clocks, files.
 */
import type { CheckpointRef, EventData, RunEvent } from "../../journal/event.ts";
import { ettr } from "../../journal/select.ts";
import type { Fault, RunState } from "../../journal/state.ts";
import { type Line, moment, part } from "./layout.ts";
import { outcome } from "./outcome.ts";
import { count, decimal, nats, ratio, seconds } from "./quantities.ts";

/** Lines for `event`, which turned `before` into `after`; none for what only machines need. */
export function narrate(before: RunState, event: RunEvent, after: RunState): Line[] {
  const at = event.at - after.createdAt;
  switch (event.type) {
    case "run-created":
      return event.data.memoryBacked
        ? []
        : moment(at, `no memory-backed storage here: the memory tier is the disk folder ${event.data.memoryFolder}`);
    case "run-resumed":
      return moment(at, `tries again: ${event.data.why}`);
    case "supervisor-started":
      return before.attempts === 0 ? [] : moment(at, `goes on with run ${event.run} from step ${after.step}`);
    case "supervisor-stopped":
      return stopped(at, event.data, after);
    case "launch-intended":
      return launch(at, event.data, after);
    case "launched":
      return [];
    case "adopted":
      return moment(at, `attempt ${after.attempts} is still alive: took its workers over at step ${after.step}`);
    case "progress":
      return progress(at, before, after);
    case "validation":
      return moment(at, `validation loss ${nats(event.data.loss)} nats/token at step ${event.data.step}`);
    case "checkpoint-published":
      return event.data.checkpoint.tier === "disk"
        ? moment(at, `${place(event.data.checkpoint)} written`, "quiet")
        : [];
    case "checkpoint-promoted":
      return moment(at, `carried over: ${place(event.data.checkpoint)} holds what was only in memory`);
    case "checkpoint-quarantined":
      return [
        ...moment(at, `${place(event.data.checkpoint)} does not verify and is never loaded`, "bad"),
        ...part("seen", event.data.why),
        ...part("done", `moved to ${event.data.to}; an older one is used`),
      ];
    case "fault-injected": {
      const { kind, rank, step } = event.data;
      return moment(
        at,
        `(emulated: the ${after.pool} pool lets "${kind}" strike rank ${rank} in step ${step})`,
        "quiet",
      );
    }
    case "fault-detected":
      return detected(at, event.data, after);
    case "decided":
      return decided(event.data, before, after);
    case "recovered":
      return moment(
        at,
        `fault ${event.data.fault} is over${cost(event.data.recoverSeconds, event.data.lostSteps)}`,
        "good",
      );
    case "noted": {
      const { rank, what, count: times, detail, device } = event.data;
      const user = rank === null ? "" : `, which rank ${rank} computes on`;
      const who = device !== undefined ? `${device.name}${user}` : rank === null ? "the program" : `rank ${rank}`;
      return moment(at, `${who}: ${what}${times > 1 ? ` (${times} times so far)` : ""}: ${detail}`, "quiet");
    }
    case "blinded":
      return moment(at, `cannot see ${event.data.view} (${event.data.why}); nothing is concluded from its silence`);
    case "sighted":
      return moment(at, `sees ${event.data.view} again`);
    case "finish-refused":
      return [
        ...moment(at, `the checkpoint of step ${event.data.step} does not hold what was trained`, "bad"),
        ...part("seen", event.data.why),
        ...part("done", "the steps after the checkpoint before it are trained again"),
      ];
    case "run-finished":
    case "run-failed":
      return outcome(after);
    case "worker-started":
    case "worker-exited":
    case "resume-chosen":
    case "stop-intended":
    case "attempt-ended":
    case "completed":
    case "finish-intended":
      return [];
    default:
      return event satisfies never;
  }
}

function launch(at: number, data: EventData["launch-intended"], state: RunState): Line[] {
  const pool = state.created?.pools.find(({ name }) => name === data.pool);
  const gauge =
    pool === undefined ? "" : pool.emulated ? ` (${pool.platform}, emulated on CPU)` : ` (${pool.platform})`;
  const from = data.resume === null ? "from step 0" : `from step ${data.resume.step} (${data.resume.tier} tier)`;
  return moment(
    at,
    `attempt ${state.attempts} on pool ${data.pool}${gauge}: ${data.nodes.join(", ")}, ${from}`,
    "heading",
  );
}

/** A progress line whenever another twentieth of the run is done, and for the last step. */
function progress(at: number, before: RunState, after: RunState): Line[] {
  const steps = after.created?.steps ?? 0;
  // Of an unknown number of steps, every power of two is told.
  const share = (state: RunState): number =>
    steps === 0 ? Math.ceil(Math.log2(1 + state.highestStep)) : Math.floor((state.highestStep * 20) / steps);
  return share(after) > share(before) ? moment(at, progressText(after)) : [];
}

/** `step 24/120  loss 3.214  4.10 k tokens/s  ETTR 0.87  attempt 3  pool ascend`. */
export function progressText(state: RunState, at: number = state.at): string {
  const steps = String(state.created?.steps || "?");
  const rate = state.tokensPerSecond === null ? "–" : decimal(state.tokensPerSecond);
  const where = `attempt ${state.attempts}  pool ${state.pool ?? "–"}`;
  const step = String(state.step).padStart(steps.length);
  return `step ${step}/${steps}  loss ${nats(state.loss)}  ${rate} tokens/s  ETTR ${ratio(ettr(state, at))}  ${where}`;
}

function detected(at: number, data: EventData["fault-detected"], state: RunState): Line[] {
  const fault = state.faults.at(-1);
  const where = [data.node ?? (data.rank === null ? undefined : `rank ${data.rank}`), `step ${data.step}`];
  const after = data.detectSeconds === null ? "" : `, ${seconds(data.detectSeconds)} after it happened`;
  const seen = data.evidence.length > 0 ? data.evidence.join("; ") : data.why;
  const lines = [
    ...moment(at, `fault ${data.id}: ${data.kind} at ${where.filter(Boolean).join(", ")}`, "bad"),
    ...part("seen", `by ${data.detectedBy}${after}: ${seen}`),
    ...part("concluded", `${data.why} (${data.category}, reaches one ${data.scope})`),
    ...(data.diagnosis === undefined ? [] : part("log says", `${data.diagnosis.code}: ${data.diagnosis.why}`)),
  ];
  if (!data.retried) return lines;
  return [
    ...lines,
    ...part("done", "retry: the workers mended it themselves and go on"),
    ...part("cost", costText(fault?.recoverSeconds ?? null, 0), "good"),
  ];
}

function decided(data: EventData["decided"], before: RunState, after: RunState): Line[] {
  const fault: Fault | undefined = after.faults.find(({ id }) => id === data.fault);
  const leaves = before.pool !== undefined && data.pool !== before.pool;
  if (data.fails) return part("done", `the run ends here (${data.action}): ${data.why}`, "bad");
  if (leaves) {
    return [
      ...part("done", `fail-over: the run leaves pool ${before.pool} for pool ${data.pool}`, "heading"),
      ...part("because", data.why),
      ...data.evidence.flatMap((text, index) => part(index === 0 ? "evidence" : "", text)),
      ...part("history", poolHistory(after, fault?.pool ?? "")),
    ];
  }
  const evicted = data.evicted === null ? "" : `; ${data.evicted} is used no more`;
  return part("done", `${data.action}: ${data.why}${evicted}`);
}

/** Faults of a pool by kind and its productive time, the record on which it was left. */
function poolHistory(state: RunState, pool: string): string {
  const kinds = new Map<string, number>();
  for (const fault of state.faults.filter((other) => other.pool === pool)) {
    kinds.set(fault.detected.kind, (kinds.get(fault.detected.kind) ?? 0) + 1);
  }
  const listed = [...kinds].map(([kind, times]) => `${times} × ${kind}`).join(", ");
  return `${listed} in ${seconds(state.poolProductiveSeconds[pool] ?? 0)} of productive time`;
}

function stopped(at: number, data: EventData["supervisor-stopped"], state: RunState): Line[] {
  if (data.reason === "ended") return [];
  if (data.reason === "detached") {
    return moment(
      at,
      `${data.signal ?? "a signal"}: detached at step ${state.step}; the workers go on, and the same command takes them over`,
    );
  }
  return moment(
    at,
    `stopped by ${data.signal ?? "a signal"} at step ${state.step}; the same command goes on from there`,
  );
}

const cost = (recover: number, lost: number): string => `: cost ${costText(recover, lost)}`;

function costText(recover: number | null, lost: number): string {
  const time = recover === null ? "unknown time" : seconds(recover);
  return `${time}, ${count(lost, "step")} lost`;
}

const place = ({ step, tier }: CheckpointRef): string => `checkpoint of step ${step} (${tier} tier)`;
