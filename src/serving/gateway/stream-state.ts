/**
 * What a client has received of one streamed answer, whichever backends it came from, and which events it may receive next.
 * Knows: events, the first token, the end, events of a continuation. Does not know: sockets, time limits, routing.
 */
import { isUtf8 } from "node:buffer";
import { type Meaning, meaningOf } from "./chunk.ts";
import { fitted } from "./continuation.ts";
import { type EventTemplate, eventTemplate } from "./event-template.ts";
import { eventData } from "./events.ts";

export interface StreamState {
  /** Sent to the client, of choice 0. */
  text: string;
  /** Events that said something. */
  pieces: number;
  /** Something was sent that text cannot carry on. */
  beyondText: boolean;
  /** Events may go to the client: something was said. */
  started: boolean;
  finish: string | undefined;
  done: boolean;
  id: string | undefined;
  usage: Meaning["usage"];
  /** When the continuation began, in `text` characters; 0 without one. */
  readonly continuedAt: number[];
}

export function freshStream(): StreamState {
  const none = { finish: undefined, id: undefined, usage: undefined };
  return { text: "", pieces: 0, beyondText: false, started: false, done: false, continuedAt: [], ...none };
}

/** One backend's part of a stream. */
export interface StreamPart {
  /** What the client may have now; a reason when the event is none that a sound backend sends. */
  take(event: Buffer): { send?: Buffer } | { broken: string };
}

/** An opening event or a comment is held until something is said, so that until then another backend can still answer unseen. */
const heldEventsMax = 64;
/** A stream whose events differ in more than their text (counts, log probabilities) is not asked for its pattern for ever. */
const templatesMax = 4;

/** `emptyIsAnswer`: an answer without a word is passed on instead of being called broken. `continuing` names the backend that goes on. */
export function streamPart(
  state: StreamState,
  { emptyIsAnswer, continuing }: { emptyIsAnswer: boolean; continuing: string | undefined },
): StreamPart {
  const held: Buffer[] = [];
  const before = continuing === undefined ? undefined : { text: state.text, pieces: state.pieces };
  let firstOfPart = true;
  let template: EventTemplate | undefined;
  let templates = 0;
  const release = (event: Buffer): { send: Buffer } => {
    if (!firstOfPart && held.length === 0) return { send: event };
    const note =
      before !== undefined && firstOfPart ? [Buffer.from(`: dualgauge: continued on ${continuing}\n\n`)] : [];
    if (before !== undefined && firstOfPart) state.continuedAt.push(before.text.length);
    firstOfPart = false;
    state.started = true;
    const parts = [...note, ...held.splice(0), event];
    return { send: parts.length === 1 ? event : Buffer.concat(parts) };
  };
  const hold = (event: Buffer): { broken: string } | Record<string, never> => {
    if (held.push(event) > heldEventsMax) return { broken: `${heldEventsMax} events without a word` };
    return {};
  };
  return {
    take(event) {
      if (state.done) return {};
      const text = template?.textOf(event);
      if (text !== undefined) {
        state.text += text;
        state.pieces++;
        return { send: event };
      }
      if (!isUtf8(event)) return { broken: "bytes that are no UTF-8" };
      const data = eventData(event);
      if (data === undefined) return firstOfPart ? hold(event) : { send: event };
      if (data === "[DONE]") {
        if (state.finish === undefined && firstOfPart && !emptyIsAnswer) return { broken: "empty" };
        state.done = true;
        return release(event);
      }
      const meaning = meaningIn(data);
      if (meaning === undefined)
        return { broken: /"error"/.test(data) ? "an error in the stream" : "an event that is no JSON" };
      const ends = meaning.finish !== undefined;
      if (firstOfPart && !meaning.says) {
        // The rest of an answer needs no second opening; an end at once may be right, or a backend that has nothing to say.
        if (!ends && meaning.usage === undefined) return before !== undefined ? {} : hold(event);
        if (!emptyIsAnswer) return { broken: "empty" };
      }
      remember(state, meaning);
      if (before === undefined) {
        if (isPlainText(meaning) && templates++ < templatesMax) template = eventTemplate(event, meaning.text);
        return release(event);
      }
      return release(Buffer.from(`data: ${fitted(data, before, state.id, meaning.usage)}\n\n`));
    },
  };
}

/** It says text, and nothing else that is remembered. */
const isPlainText = ({ says, beyondText, finish, usage }: Meaning): boolean =>
  says && !beyondText && finish === undefined && usage === undefined;

function meaningIn(data: string): Meaning | undefined {
  try {
    return meaningOf(JSON.parse(data));
  } catch {
    // Half a document: the caller says so.
    return undefined;
  }
}

function remember(state: StreamState, meaning: Meaning): void {
  state.id ??= meaning.id;
  state.text += meaning.text;
  if (meaning.says) state.pieces++;
  if (meaning.beyondText) state.beyondText = true;
  if (meaning.finish !== undefined) state.finish = meaning.finish;
  if (meaning.usage !== undefined) state.usage = meaning.usage;
}
