/**
 * Writes frames to a socket one after the other, as fast as it takes them and its bandwidth allows.
 * Knows: backpressure, the emulated bandwidth, the emulated bit flip. Does not know: what a frame means, when to send again.
 */
import type { Socket } from "node:net";
import { crc32 } from "node:zlib";
import { type Bandwidth, bandwidth } from "./bandwidth.ts";
import { encodeHeader, type Frame } from "./frame.ts";

export class FrameWriter {
  readonly #socket: Socket;
  #queue: Promise<void> = Promise.resolve();
  #queued = 0;
  #limit: Bandwidth | undefined;
  #flip: number | undefined;

  constructor(socket: Socket, bytesPerSecond: number | undefined) {
    this.#socket = socket;
    this.limit(bytesPerSecond);
  }

  get isIdle(): boolean {
    return this.#queued === 0;
  }

  limit(bytesPerSecond: number | undefined): void {
    this.#limit = bytesPerSecond === undefined ? undefined : bandwidth(bytesPerSecond);
  }

  corruptNext(bit: number): void {
    this.#flip = bit;
  }

  /** Resolves when the socket has taken it or is gone. `payload` must not change before the other end has it. */
  write(frame: Omit<Frame, "payloadBytes" | "payloadCrc">, payload?: Uint8Array): Promise<void> {
    this.#queued++;
    this.#queue = this.#queue.then(async () => {
      const whole = { payloadBytes: payload?.length ?? 0, payloadCrc: payload === undefined ? 0 : crc32(payload) };
      await this.#put(encodeHeader({ ...frame, ...whole }));
      if (payload !== undefined) await this.#putLimited(this.#damaged(payload));
      this.#queued--;
    });
    return this.#queue;
  }

  #damaged(payload: Uint8Array): Uint8Array {
    if (this.#flip === undefined) return payload;
    const bit = this.#flip % (payload.length * 8);
    this.#flip = undefined;
    const copy = Uint8Array.from(payload);
    copy[bit >> 3]! ^= 1 << (bit & 7);
    return copy;
  }

  async #putLimited(payload: Uint8Array): Promise<void> {
    const step = this.#limit?.pieceBytes ?? payload.length;
    for (let from = 0; from < payload.length && !this.#socket.destroyed; from += step) {
      const piece = payload.subarray(from, from + step);
      await this.#put(piece);
      const seconds = this.#limit?.take(piece.length, performance.now() / 1000) ?? 0;
      if (seconds > 0) await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    }
  }

  async #put(bytes: Uint8Array): Promise<void> {
    if (this.#socket.destroyed || this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#socket.off("drain", done);
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.on("drain", done);
      this.#socket.on("close", done);
    });
  }
}
