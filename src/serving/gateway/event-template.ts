/**
 * Reads the text of events that differ from one read before in nothing but that text, without parsing them anew.
 * Knows: where the one text of such an event stands, which bytes a JSON string may hold as they are. Does not know: other keys.
 * Of a stream's events most are so. Whatever differs in any other byte, or needs escapes, is not read here: the caller parses it.
 */
import { isUtf8 } from "node:buffer";

export interface EventTemplate {
  /** The text, never empty; undefined when the event is not of this kind. */
  textOf(event: Buffer): string | undefined;
}

const keys = ['"content":"', '"text":"'];
const quote = 0x22;
const backslash = 0x5c;
const space = 0x20;

/**
 * `event` said `text` and nothing else, in the value of a key `content` or `text` that occurs once; undefined when that is not so.
 * Inside a JSON string a quote has a backslash before it, so that the bytes of such a key cannot be part of a value.
 */
export function eventTemplate(event: Buffer, text: string): EventTemplate | undefined {
  if (text === "") return undefined;
  const places = keys.flatMap((key) => {
    const at = event.indexOf(key);
    return at < 0 ? [] : [{ start: at + key.length, isOnly: event.indexOf(key, at + 1) < 0 }];
  });
  const [place] = places;
  if (place === undefined || places.length > 1 || !place.isOnly) return undefined;
  const quoted = Buffer.from(JSON.stringify(text).slice(1, -1));
  const { start } = place;
  const end = start + quoted.length;
  if (event.compare(quoted, 0, quoted.length, start, end) !== 0 || event[end] !== quote) return undefined;
  // Copies: the event is a view of a much larger piece of what was received.
  const before = Buffer.from(event.subarray(0, start));
  const after = Buffer.from(event.subarray(end));
  const around = before.length + after.length;
  return {
    textOf(other) {
      const to = other.length - after.length;
      if (other.length <= around) return undefined;
      if (other.compare(before, 0, before.length, 0, before.length) !== 0) return undefined;
      if (other.compare(after, 0, after.length, to) !== 0) return undefined;
      let isAscii = true;
      for (let at = before.length; at < to; at++) {
        const byte = other[at] ?? 0;
        if (byte < space || byte === quote || byte === backslash) return undefined;
        if (byte > 0x7e) isAscii = false;
      }
      if (isAscii) return other.toString("latin1", before.length, to);
      return isUtf8(other.subarray(before.length, to)) ? other.toString("utf8", before.length, to) : undefined;
    },
  };
}
