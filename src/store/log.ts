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
      let next = state;
      const events: RunEvent[] = [];
      const states: RunState[] = [];
      // Rounded here, so that what is replayed from the file equals what was reduced while it was written.
      const at = Math.max(Math.round(now() * 1e6) / 1e6, state.at);
      for (const draft of drafts) {
        const epoch = draft.type === "launch-intended" ? next.epoch + 1 : next.epoch;
        const parsed = parseEvent({ ...draft, seq: next.seq + 1, at, run, epoch, v: 1 });
        if ("problem" in parsed) throw new IllegalEvent(parsed.problem);
        const why = illegal(next, parsed.event);
        if (why !== undefined) throw new IllegalEvent(`${draft.type}: ${why}`);
        next = reduce([parsed.event], next);
        events.push(parsed.event);
        states.push(next);
      }
      if (events.length === 0) return events;
      write(
        events.map((event) => `${JSON.stringify(ordered(event))}\n`).join(""),
        events.some((event) => intentTypes.has(event.type)),
      );
      state = next;
      events.forEach((event, index) => {
        onEvent?.(event, states[index] ?? state);
      });
      return events;
    },
  };
}

/** The envelope first, so that a person who reads the file sees order, time and type without searching. */
function ordered({ seq, at, run, epoch, type, v, data }: RunEvent): object {
  return { seq, at, run, epoch, type, v, data };
}
