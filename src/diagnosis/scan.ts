/**
 * Goes through the bytes of a log once and hands on the few lines that are worth reading.
 * Knows: chunks, line ends, the automaton. Does not know: what a line means (observe), where bytes come from (reader).
 */
import { hit, signatures } from "./signatures.ts";

export interface LineSink {
  /** A line, or a part of one between carriage returns, with what was hit on it; `number` is 1-based. The texts cost decoding. */
  line(flags: number, number: number, text: () => string, before: () => string): void;
}

export interface Scanner {
  push(chunk: Uint8Array): void;
  end(): void;
  readonly lines: () => number;
}

/** Kept before a line, to look back into. */
const lookBackBytes = 4096;
/** A line without an end is cut here and goes on under the same number. */
const segmentBytesMax = 65_536;
const decodedBytesMax = 16_384;
/** Only these are told to the sink. */
const interesting = ~(hit.newline | hit.carriageReturn);

export function createScanner(sink: LineSink): Scanner {
  const { automaton } = signatures();
  const { table, width, columnOf, root, firstFlagged } = automaton;
  let state = root;
  let flags = 0;
  let number = 1;
  let held: Buffer = Buffer.alloc(0);
  /** Where in `held` the current segment begins. */
  let start = 0;
  /** Something stands on the last line. */
  let begun = false;

  const finish = (buffer: Buffer, end: number): void => {
    if ((flags & interesting) !== 0) {
      const from = start;
      sink.line(
        flags,
        number,
        () => decode(buffer.subarray(from, Math.min(end, from + decodedBytesMax))),
        () => decode(buffer.subarray(Math.max(0, from - lookBackBytes), from)),
      );
    }
    flags = 0;
  };

  const scan = (buffer: Buffer, from: number): void => {
    // Locals: this loop runs once per byte.
    let s = state;
    let pending = flags;
    const flagsCell = width - 1;
    const lineEnd = hit.newline | hit.carriageReturn;
    const end = buffer.length;
    for (let i = from; i < end; i++) {
      s = table[s + columnOf[buffer[i]!]!]!;
      if (s < firstFlagged) continue;
      const found = table[s + flagsCell]!;
      pending |= found;
      if ((found & lineEnd) === 0) continue;
      if ((pending & interesting) !== 0) {
        flags = pending;
        finish(buffer, i);
      }
      pending = 0;
      start = i + 1;
      if ((found & hit.newline) !== 0) number++;
    }
    state = s;
    flags = pending;
  };

  return {
    push(chunk) {
      const buffer =
        held.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([held, chunk]);
      scan(buffer, held.length);
      if (buffer.length - start > segmentBytesMax) {
        finish(buffer, buffer.length);
        start = buffer.length;
      }
      begun = start < buffer.length;
      const keep = Math.max(0, start - lookBackBytes);
      held = Buffer.from(buffer.subarray(keep));
      start -= keep;
    },
    end() {
      finish(held, held.length);
      start = held.length;
    },
    lines: () => number - (begun ? 0 : 1),
  };
}

const gb18030 = new TextDecoder("gb18030");

/** UTF-8, or GB 18030 where it is no UTF-8. */
function decode(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\ufffd") ? gb18030.decode(bytes) : text;
}
