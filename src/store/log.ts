/**
 * Numbers, dates and checks events before they are stored, and keeps the state that they add up to.
 * Knows: legality, one write per batch, which events must be durable. Does not know: where lines go (journal-file, memory in tests).
 */
import { type EventDraft, intentTypes, parseEvent, type RunEvent } from "../journal/event.ts";
import { illegal } from "../journal/legal.ts";
import { reduce } from "../journal/reduce.ts";
import type { RunState } from "../journal/state.ts";

export interface Log {
  state(): RunState;
  /** Stores the events in one write, made durable when one of them is an intent; throws what the storage throws, then nothing changed. */
  append(drafts: readonly EventDraft[]): readonly RunEvent[];
}

/** An event that its journal must not hold: a defect of dualgauge, never a person's mistake. */
export class IllegalEvent extends Error {
  override readonly name = "IllegalEvent";
}

export interface LogOptions {
  readonly run: string;
  readonly state: RunState;
  /** Unix seconds, never falling within this process. */
  readonly now: () => number;
  readonly write: (lines: string, durable: boolean) => void;
  readonly onEvent?: ((event: RunEvent, state: RunState) => void) | undefined;
}

/** The longest line that is written or read. */
export const maxLineBytes = 4 << 20;

export function openLog({ run, state: initial, now, write, onEvent }: LogOptions): Log {
  let state = initial;
  return {
    state: () => state,
    append(drafts) {
      if (drafts.length === 0) return [];
      const events: RunEvent[] = [];
      // Rounded here, so that what is replayed from the file equals what was reduced while it was written.
      const at = Math.max(Math.round(now() * 1e6) / 1e6, state.at);
      let { seq, epoch } = state;
      for (const draft of drafts) {
        if (draft.type === "launch-intended") epoch++;
        const parsed = parseEvent({ ...draft, seq: ++seq, at, run, epoch, v: 1 });
        if ("problem" in parsed) throw new IllegalEvent(parsed.problem);
        events.push(parsed.event);
      }
      const next = reduce(events, state, (before, event) => {
        const why = illegal(before, event);
        if (why !== undefined) throw new IllegalEvent(`${event.type}: ${why}`);
      });
      write(
        events.map((event) => `${JSON.stringify(ordered(event))}\n`).join(""),
        events.some((event) => intentTypes.has(event.type)),
      );
      let shown = state;
      state = next;
      // Whoever tells the run needs the state after each event, not after all of them.
      if (onEvent !== undefined)
        for (const event of events) {
          shown = reduce([event], shown);
          onEvent(event, shown);
        }
      return events;
    },
  };
}

/** The envelope first, so that a person who reads the file sees order, time and type without searching. */
function ordered({ seq, at, run, epoch, type, v, data }: RunEvent): object {
  return { seq, at, run, epoch, type, v, data };
}
