/**
 * A journal as lines for people: time since the start, sequence, epoch, what happened.
 * Knows: every event type. Does not know: the command line's rendering, which is for users; this one leaves nothing out but steps.
 */
import type { RunEvent } from "../../src/journal/event.ts";

/** One line per event; steps in a row are one line. */
export function transcript(events: readonly RunEvent[]): string {
  const start = events[0]?.at ?? 0;
  const lines: string[] = [];
  events.forEach((event, index) => {
    const isStep = (other: RunEvent | undefined): boolean =>
      other?.type === "progress" || (other?.type === "checkpoint-published" && other.data.checkpoint.tier === "memory");
    // Of a row of steps the last one says all.
    const next = events.slice(index + 1).find((other) => !isStep(other) || other.type === "progress");
    if (isStep(event) && (event.type !== "progress" || isStep(next))) return;
    const time = (event.at - start).toFixed(2).padStart(8);
    lines.push(`${time} s  #${String(event.seq).padStart(3)}  epoch ${event.epoch}  ${event.type}: ${describe(event)}`);
  });
  return `${lines.join("\n")}\n`;
}

function describe(event: RunEvent): string {
  switch (event.type) {
    case "run-created":
      return `${event.data.name}, ${event.data.steps} steps on ${event.data.order.join(", then ")}`;
    case "launch-intended": {
      const { pool, nodes, resume, why } = event.data;
      return `${pool} (${nodes.join(", ")}) from ${resume === null ? "step 0" : `step ${resume.step} (${resume.tier})`}: ${why}`;
    }
    case "progress":
      return `step ${event.data.step}, loss ${event.data.loss?.toFixed(3)}`;
    case "worker-exited":
      return `rank ${event.data.rank}, ${event.data.signal ?? `code ${event.data.code}`}`;
    case "fault-injected":
      return `${event.data.fault} ${event.data.kind} strikes rank ${event.data.rank} in step ${event.data.step}`;
    case "fault-detected": {
      const { id, kind, detectedBy, detectSeconds, why, evidence } = event.data;
      const after = detectSeconds === null ? "" : ` after ${detectSeconds.toFixed(2)} s`;
      return `${id} ${kind} by ${detectedBy}${after}: ${why} [${evidence.join("; ")}]`;
    }
    case "decided": {
      const { fault, action, pool, nodes, why } = event.data;
      return `fault ${fault}: ${action} on ${pool} (${nodes.join(", ")}), because ${why}`;
    }
    case "recovered": {
      const { fault, recoverSeconds, lostSteps } = event.data;
      return `fault ${fault} after ${recoverSeconds.toFixed(2)} s, ${lostSteps} steps lost`;
    }
    case "checkpoint-published":
    case "resume-chosen": {
      const { checkpoint } = event.data;
      return checkpoint === null ? "none: step 0" : `step ${checkpoint.step} (${checkpoint.tier})`;
    }
    case "checkpoint-promoted":
      return `step ${event.data.checkpoint.step} to ${event.data.checkpoint.path}`;
    case "checkpoint-quarantined":
      return `step ${event.data.checkpoint.step} (${event.data.checkpoint.tier}): ${event.data.why}`;
    case "run-finished":
      return `loss ${event.data.finalLoss?.toFixed(3)}, weights ${event.data.weightsSha256}`;
    default: {
      const { source: _, ...data } = { source: null, ...event.data };
      return JSON.stringify(data);
    }
  }
}
