/**
 * Goes through the bytes of a log once and hands on the few lines that are worth reading.
 * Knows: chunks, line ends, the finder. Does not know: what a line means (observe), where bytes come from (reader).
 */
import { type Pattern, readAhead } from "./finder.ts";
import { hit, signatures } from "./signatures.ts";

export interface LineSink {
  /** A line, or a part of one between carriage returns, with what was hit on it; `number` is 1-based. The texts cost decoding. `ids`: whose anchors were hit; reused. */
  line(flags: number, number: number, text: () => string, before: () => string, ids: readonly number[]): void;
  /** The end of the log, some lines long; `number` is that of its last line. */
  tail?(text: string, number: number): void;
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
/** As much of a cut line is read again with what follows, so that no signature is lost in the cut; none is longer. */
const overlapBytes = 2048;
const decodedBytesMax = 16_384;
const newline = 10;
const carriageReturn = 13;

export function createScanner(sink: LineSink): Scanner {
  const { finder } = signatures();
  let work = room(2 ** 19);
  /** Bytes in `work`; those before `start` are only to look back into. */
  let length = 0;
  let start = 0;
  let number = 1;
  let counted = 0;
  let begun = false;
  /** Of a cut line, what has been told up to here; only rules may be tried again before it, since steps must not count twice. */
  let told = 0;
  /** What follows the cut of a line that began as data is data. */
  let data = false;
  let flags = 0;
  const ids: number[] = [];
  let from = 0;
  let end = 0;

  const flush = (): void => {
    if (flags === 0) return;
    number += newlines(work, counted, from);
    counted = from;
    const { bytes } = work;
    const [first, last] = [from, Math.min(end, from + decodedBytesMax)];
    sink.line(
      flags,
      number,
      () => decode(bytes.subarray(first, last)),
      () => decode(bytes.subarray(Math.max(0, first - lookBackBytes), first)),
      ids,
    );
    flags = 0;
    ids.length = 0;
  };

  /** Segments between `start` and `to`, of which the last ends there. */
  const scan = (to: number): void => {
    const { bytes, view } = work;
    const firstReturn = bytes.subarray(start, to).indexOf(carriageReturn);
    const returns = firstReturn < 0 ? to : start + firstReturn;
    end = start;
    const dataEnd = data ? endOf(bytes, start, newline, to) : 0;
    const found = (pattern: Pattern, at: number): void => {
      if (at >= end) {
        flush();
        from = Math.max(start, bytes.lastIndexOf(newline, at) + 1);
        if (at > returns) from = Math.max(from, bytes.lastIndexOf(carriageReturn, at) + 1);
        end = endOf(bytes, at, newline, to);
        if (end > returns) end = endOf(bytes, at, carriageReturn, end);
      }
      const seen = at + pattern.bytes.length <= told;
      const means = (seen ? pattern.flags & hit.candidate : pattern.flags) & (at < dataEnd ? ~hit.candidate : -1);
      flags |= means;
      if ((means & hit.candidate) !== 0 && !ids.includes(pattern.id)) ids.push(pattern.id);
    };
    finder.find(view, start, to, found);
    flush();
    number += newlines(work, counted, to);
    counted = to;
    start = to;
    told = to;
  };

  const cut = (): void => {
    if (told <= start) data = /^\s*(?:\{|\[[[{"'])/.test(work.bytes.toString("latin1", start, start + 16));
    scan(length);
    start = Math.max(0, length - overlapBytes);
  };

  const lines = (): number => number - (begun ? 0 : 1);

  return {
    push(chunk) {
      const drop = Math.max(0, start - lookBackBytes);
      const kept = length - drop;
      const needed = kept + chunk.length;
      const next = needed + readAhead > work.bytes.length ? room(2 * needed + readAhead) : work;
      next.bytes.set(work.bytes.subarray(drop, length));
      next.bytes.set(chunk, kept);
      [work, length, start, counted, told] = [next, needed, start - drop, counted - drop, told - drop];
      const last = work.bytes.lastIndexOf(newline, length - 1) + 1;
      if (last > start) {
        scan(last);
        data = false;
      }
      if (length - start > segmentBytesMax) cut();
      if (chunk.length > 0) begun = chunk[chunk.length - 1] !== newline;
    },
    end() {
      if (length > start) scan(length);
      const { bytes } = work;
      sink.tail?.(decode(bytes.subarray(Math.max(0, length - lookBackBytes), length)), lines());
    },
    lines,
  };
}

interface Room {
  readonly bytes: Buffer;
  readonly view: DataView;
  readonly words: Int32Array;
}

function room(size: number): Room {
  const memory = new ArrayBuffer((size + 7) & ~7);
  return { bytes: Buffer.from(memory), view: new DataView(memory), words: new Int32Array(memory) };
}

function endOf(bytes: Buffer, at: number, byte: number, to: number): number {
  const found = bytes.indexOf(byte, at);
  return found < 0 || found > to ? to : found;
}

/** Four bytes at a time: a byte of `odd` is zero where a line ends, and only then does no bit reach the top of its sum. */
function newlines({ bytes, words }: Room, from: number, to: number): number {
  let count = 0;
  let at = from;
  for (; at < to && (at & 3) !== 0; at++) if (bytes[at] === newline) count++;
  for (; at + 4 <= to; at += 4) {
    const odd = words[at >> 2]! ^ 0x0a0a0a0a;
    let ends = ~(((odd & 0x7f7f7f7f) + 0x7f7f7f7f) | odd | 0x7f7f7f7f);
    for (; ends !== 0; ends &= ends - 1) count++;
  }
  for (; at < to; at++) if (bytes[at] === newline) count++;
  return count;
}

const gb18030 = new TextDecoder("gb18030");

/** UTF-8, or GB 18030 where it is no UTF-8. */
function decode(bytes: Buffer): string {
  const text = bytes.toString("utf8");
  return text.includes("\ufffd") ? gb18030.decode(bytes) : text;
}
