/**
 * Cuts a byte stream into frames and puts each chunk's bytes straight into their place.
 * Knows: headers, checksums, bytes that must wait for a place. Does not know: sockets, what a frame means.
 */
import { crc32 } from "node:zlib";
import { decodeHeader, type Frame, headerBytes } from "./frame.ts";

export const chunkBytes = 256 * 1024;

export interface FrameTaker {
  /** Where a chunk's bytes go; undefined leaves it unread until there is a place, `malformed` refuses it. */
  place(frame: Frame): Uint8Array | undefined | "malformed";
  take(frame: Frame, isIntact: boolean): void;
  malformed(): void;
}

export class FrameReader {
  readonly #taker: FrameTaker;
  #kept: Buffer = Buffer.alloc(0);
  #chunk: { frame: Frame; target: Uint8Array; done: number; crc: number } | undefined;
  #isHeld = false;

  constructor(taker: FrameTaker) {
    this.#taker = taker;
  }

  /** True while bytes wait for a place; then nothing more should be read. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Takes what arrived; with nothing, tries again what was held back. */
  push(added: Buffer = Buffer.alloc(0)): void {
    const bytes = this.#kept.length === 0 ? added : Buffer.concat([this.#kept, added]);
    this.#isHeld = false;
    let from = 0;
    while (from < bytes.length && !this.#isHeld) {
      const next = this.#chunk === undefined ? this.#takeHeader(bytes, from) : this.#takePayload(bytes, from);
      if (next === from) break;
      from = next;
    }
    this.#kept = Buffer.from(bytes.subarray(from));
  }

  /** Gives where to go on; the same place where the header is not whole or must wait. */
  #takeHeader(bytes: Buffer, from: number): number {
    if (bytes.length - from < headerBytes) return from;
    const frame = decodeHeader(bytes.subarray(from, from + headerBytes));
    const target = frame?.kind === "chunk" && frame.payloadBytes > 0 ? this.#placeOf(frame) : undefined;
    if (frame === undefined || target === "malformed" || (frame.kind !== "chunk" && frame.payloadBytes > 0)) {
      this.#taker.malformed();
      return bytes.length;
    }
    if (frame.kind !== "chunk") this.#taker.take(frame, true);
    else if (target === undefined) {
      this.#isHeld = true;
      return from;
    } else this.#chunk = { frame, target, done: 0, crc: 0 };
    return from + headerBytes;
  }

  #placeOf(frame: Frame): Uint8Array | undefined | "malformed" {
    return frame.payloadBytes > chunkBytes ? "malformed" : this.#taker.place(frame);
  }

  #takePayload(bytes: Buffer, from: number): number {
    const chunk = this.#chunk!;
    const piece = bytes.subarray(from, from + chunk.frame.payloadBytes - chunk.done);
    chunk.target.set(piece, chunk.done);
    chunk.done += piece.length;
    chunk.crc = crc32(piece, chunk.crc);
    if (chunk.done === chunk.frame.payloadBytes) {
      this.#chunk = undefined;
      this.#taker.take(chunk.frame, chunk.crc === chunk.frame.payloadCrc);
    }
    return from + piece.length;
  }
}
