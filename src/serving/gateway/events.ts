/**
 * Cuts a byte stream into whole server-sent events without changing a byte of them.
 * Knows: blank lines end events (LF, CRLF), events split over chunks. Does not know: what is in an event.
 */

export interface EventCutter {
  /** Whole events that end in `chunk`, each with its blank line; what is left waits for more. */
  push(chunk: Buffer): Buffer[];
  /** Bytes of an event that has not ended. */
  readonly pendingBytes: number;
}

export function eventCutter(): EventCutter {
  let pending: Buffer | undefined;
  return {
    get pendingBytes() {
      return pending?.length ?? 0;
    },
    push(chunk) {
      // Most chunks are whole events; the search then starts where the pending part could still hold half a blank line.
      const bytes = pending === undefined ? chunk : Buffer.concat([pending, chunk]);
      const events: Buffer[] = [];
      let start = 0;
      let from = pending === undefined ? 0 : Math.max(0, pending.length - 3);
      for (;;) {
        const end = eventEnd(bytes, from);
        if (end < 0) break;
        events.push(bytes.subarray(start, end));
        start = end;
        from = end;
      }
      pending = start === bytes.length ? undefined : bytes.subarray(start);
      return events;
    },
  };
}

/** Index after the next blank line, or -1. */
function eventEnd(bytes: Buffer, from: number): number {
  for (let at = bytes.indexOf(10, from); at >= 0; at = bytes.indexOf(10, at + 1)) {
    if (bytes[at + 1] === 10) return at + 2;
    if (bytes[at + 1] === 13 && bytes[at + 2] === 10) return at + 3;
  }
  return -1;
}

/** The event's `data` fields joined as the standard says; undefined for one that has none (a comment). */
export function eventData(event: Buffer): string | undefined {
  const text = event.toString("utf8");
  if (text.startsWith("data: ") && text.indexOf("\n") === text.length - 2) return text.slice(6, -2);
  const lines = text.split(/\r?\n/).filter((line) => line.startsWith("data:"));
  if (lines.length === 0) return undefined;
  return lines.map((line) => line.slice(line[5] === " " ? 6 : 5)).join("\n");
}
